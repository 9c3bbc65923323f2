"""A node and the load on it, and what both have used so far: time, bytes, packets, records."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "perf", "peers")]

import millrace  # noqa: E402
import peer  # noqa: E402

LOADGEN = os.path.join(millrace.BUILD, "perf", "loadgen", "millrace-loadgen")
END_WAIT_S = 40


def node_cpu():
    return max(os.sched_getaffinity(0))


def client_cpu():
    return min(os.sched_getaffinity(0))


class Node:
    """`millrace up` with these cores, in a folder of its own until the end of the with."""

    def __init__(self, path, cpus=None, profile="dedicated"):
        self.path = path
        self.cpus = cpus or [node_cpu()]
        # Where a device is below: what is counted as written has to reach one.
        self.directory = tempfile.mkdtemp(prefix="millrace-model-",
                                          dir=os.environ.get("TMPDIR", "/var/tmp"))
        os.mkdir(os.path.join(self.directory, "load"))
        try:
            self.running = millrace.up(self.directory, path, self.cpus, profile)
        except RuntimeError:
            shutil.rmtree(self.directory, ignore_errors=True)
            raise
        self.address = self.running.address
        self.offset = int(self.running.settings["port-offset"])
        self.pid = next(pid for pid in self.running.pids() if name_of(pid) == "millraced")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        self.running.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def settle(self):
        self.running.settle()

    def core_threads(self):
        """Of the cores, each held to its processor; of several the one that has used the most."""
        found = []
        for cpu in self.cpus:
            pinned = [int(thread) for thread in os.listdir(f"/proc/{self.pid}/task")
                      if os.sched_getaffinity(int(thread)) == {cpu}]
            found.append(max(pinned, key=cpu_ns))
        return found

    def written_bytes(self):
        """Handed to the device by the data plane: journal, segments, superblocks."""
        with open(f"/proc/{self.pid}/io") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("write_bytes:"))

    def counters(self):
        """Each metric, summed over cores, ports and shards."""
        url = f"http://127.0.0.1:{millrace.ADMIN_PORT + self.offset}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return sum_metrics(answer.read().decode())

    def snapshot(self):
        counters = self.counters()
        counters["at_ns"] = time.monotonic_ns()
        counters["device_bytes"] = self.written_bytes()
        counters["core_cpu_ns"] = sum(map(cpu_ns, self.core_threads()))
        return counters


class Load:
    """The native driver as fast as the window lets, until the end of the with."""

    def __init__(self, node, ack, payload_bytes, batch_bytes=0, window=1024, cpu=None, rate=0):
        self.node = node
        command = [LOADGEN, "--driver", "native", "--address", node.address, "--size",
                   str(payload_bytes), "--warm-up", "0", "--seconds", "3600", "--drain", "5",
                   "--cpu", str(client_cpu() if cpu is None else cpu),
                   "--set", f"port-offset={node.offset}", "--set", f"ack={ack}",
                   "--set", f"batch-bytes={batch_bytes}"]
        command += ["--rate", str(rate)] if rate else ["--window", str(window)]
        self.process, self.log = peer.spawn(command, os.path.join(node.directory, "load"))
        self.pid = self.process.pid

    def __enter__(self):
        return self

    # Asked to end it takes its topic along, and with it what the node would sort.
    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(END_WAIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def warm_up(self, seconds):
        """So long, from the first message on."""
        before = self.node.counters()["core_appended_records"]
        deadline = time.monotonic() + END_WAIT_S
        while self.node.counters()["core_appended_records"] == before:
            self.check()
            if time.monotonic() > deadline:
                raise RuntimeError("no message arrives")
            time.sleep(0.02)
        time.sleep(seconds)

    def check(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"the load ended with {self.process.returncode}:\n"
                               f"{peer.last_lines(self.log)}")

    def cpu_ns(self):
        return cpu_ns(self.pid)


def sum_metrics(text):
    sums = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            name = name.split("{", 1)[0].removeprefix("millrace_").removesuffix("_total")
            sums[name] = sums.get(name, 0.0) + float(value)
    return sums


def rate(before, after):
    """Messages a second between two snapshots."""
    return ((after["core_appended_records"] - before["core_appended_records"]) * 1e9 /
            (after["at_ns"] - before["at_ns"]))


def cpu_ns(thread):
    """Nanoseconds of processor that a thread has had."""
    with open(f"/proc/{thread}/schedstat") as file:
        return int(file.read().split()[0])


def name_of(pid):
    with open(f"/proc/{pid}/comm") as file:
        return file.read().strip()
