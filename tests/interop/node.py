"""A real node for the scripts of this folder, and the cases they print.

Programs come from build/, or from MILLRACE_BUILD. A Node is `millrace up` in a temporary directory
on ports of its own. Every process that is started here is ended by its id, and by the kernel
(PR_SET_PDEATHSIG) should the script itself be killed.
"""

import ctypes
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("MILLRACE_BUILD", os.path.join(ROOT, "build"))
NATIVE_PORT = 7070
ADMIN_PORT = 9644
# Only something that hangs takes this long.
HANG_S = 60
SKIPPED_EXIT = 77
PR_SET_PDEATHSIG = 1

libc = ctypes.CDLL(None, use_errno=True)


class Skip(Exception):
    """What the script tests is not possible on this host; the text says why."""


def program(name):
    """The path of a built program, or of a test's own program below tests."""
    places = ("", os.path.join("tests", "interop"), os.path.join("tests", "powercut"))
    for path in (os.path.join(BUILD, place, name) for place in places):
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    for room in ("control", "dataplane"):
        path = os.path.join(BUILD, room, name)
        if os.access(path, os.X_OK):
            return path
    sys.exit(f"{name} is not built: ./dev build")


def end_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def spawn(command, **options):
    """A child that does not outlive this script."""
    return subprocess.Popen(command, preexec_fn=end_with_parent, **options)


def eventually(condition, seconds=HANG_S, pause_s=0.02):
    """What the condition gives once it is true; its last false value after a hang's time."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(pause_s)


def is_alive(pid):
    """A zombie has ended, too."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def kill(*pids):
    """Kills these processes as one blow, and returns when they are gone."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for pid in pids:
        assert eventually(lambda: not is_alive(pid)), f"{pid} does not die"


def free_offset(extra_ports=()):
    """A port offset with which nothing else on this host listens."""
    for _ in range(200):
        offset = random.SystemRandom().randrange(1000, 50_000)
        wanted = [(socket.SOCK_DGRAM, NATIVE_PORT), (socket.SOCK_STREAM, ADMIN_PORT)]
        wanted += [(socket.SOCK_DGRAM, port) for port in extra_ports]
        try:
            for kind, port in wanted:
                with socket.socket(socket.AF_INET, kind) as probe:
                    probe.bind(("127.0.0.1", port + offset))
            return offset
        except OSError:
            continue
    raise Skip("no free ports on 127.0.0.1")


class Node:
    """`millrace up ARGUMENT...` with its data in DIRECTORY. `prefix` runs before every command."""

    def __init__(self, directory, *arguments, offset=None, prefix=(), memory_only=False,
                 listen_ports=()):
        self.directory = directory
        self.data = os.path.join(directory, "data")
        self.offset = free_offset(listen_ports) if offset is None else offset
        self.prefix = list(prefix)
        place = ["--memory-only"] if memory_only else ["--data", self.data]
        if not memory_only and not any("--journal-size" in str(word) for word in arguments):
            place += ["--journal-size", "64MiB"]
        self.arguments = [*place, *map(str, arguments)]
        self.process = None
        self.log = os.path.join(directory, "up.log")

    def __enter__(self):
        return self.start() if self.process is None else self

    def __exit__(self, *_):
        self.close()

    def command(self, *words):
        return [*self.prefix, program("millrace"), *map(str, words), "--port-offset",
                str(self.offset)]

    def launch(self):
        """Starts `up` and does not wait for it."""
        with open(self.log, "ab") as log:
            self.process = spawn(self.command("up", *self.arguments), stdin=subprocess.DEVNULL,
                                 stdout=log, stderr=log)

    def start(self):
        self.launch()
        self.wait_ready()
        return self

    def wait_ready(self):
        def is_settled():
            return (self.process.poll() is not None or
                    self.run("wait", "--timeout", "1s").returncode == 0)
        assert eventually(is_settled) and self.process.poll() is None, (
            f"not ready:\n{self.log_text()}")

    def run(self, *words, stdin="", timeout_s=HANG_S):
        """One command of the command line, to its end."""
        return subprocess.run(self.command(*words), input=stdin, capture_output=True, text=True,
                              timeout=timeout_s, preexec_fn=end_with_parent)

    def ok(self, *words, stdin=""):
        """Standard output of a command that has to succeed."""
        run = self.run(*words, stdin=stdin)
        assert run.returncode == 0, f"{words} ended with {run.returncode}: {run.stderr}"
        return run.stdout

    def spawn(self, *words, **options):
        return spawn(self.command(*words), **options)

    def json(self, *words, stdin=""):
        return json.loads(self.ok(*words, "-o", "json", stdin=stdin))

    def status(self):
        return self.json("status")

    def pids(self):
        return self.status()["pids"]

    def topic_end(self, topic):
        """The sum of its partitions' ends, as they were shown last; a little after the fact."""
        offsets = self.json("topic", "describe", topic)["offsets"]
        return sum(one.get("log_end", 0) for one in offsets)

    def consume(self, topic, *words):
        """All records of a topic as lines."""
        return self.ok("consume", topic, "--from", "earliest", "--exit-at-end",
                       *words).splitlines()

    def quiet_status(self):
        """The status once no packet is between the ledger's two sides."""
        found = {}

        def is_balanced():
            found.update(self.status())
            return found["ledger"]["balance"] == 0
        assert eventually(is_balanced, seconds=10), f"the ledger stays at {found['ledger']}"
        assert found["drops"]["total"] == sum(
            count for reason, count in found["drops"].items() if reason != "total")
        return found

    def log_text(self):
        with open(self.log, errors="replace") as log:
            return log.read()

    def stop(self):
        """Ctrl-C; the exit code of `up`."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(HANG_S)
        self.process = None
        return code

    def kill_all(self):
        """Power off, as far as processes go: all three at once."""
        pids = self.pids()
        kill(pids["up"], pids["millraced"], pids["millrace-control"])
        self.process.wait(HANG_S)
        self.process = None

    def close(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(HANG_S)
        self.process = None


CASES = []


def case(function):
    """Registers a function of one argument, a directory of its own, as a case."""
    CASES.append(function)
    return function


def run_cases(names=()):
    """Runs and prints the cases; the script's exit status: skipped when nothing else was left."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    passed = 0
    failed = 0
    for function in CASES:
        name = function.__name__
        if names and name not in names:
            continue
        directory = tempfile.mkdtemp(prefix="millrace-interop-")
        started = time.monotonic()
        try:
            function(directory)
            passed += 1
            print(f"ok {name} ({time.monotonic() - started:.1f} s)", flush=True)
        except Skip as reason:
            print(f"skip {name}: {reason}", flush=True)
        except Exception:
            failed += 1
            print(f"FAIL {name}\n{traceback.format_exc()}", flush=True)
            log = os.path.join(directory, "up.log")
            if os.path.exists(log):
                with open(log, errors="replace") as text:
                    print("the end of the node's log:\n" + "".join(text.readlines()[-20:]))
        finally:
            shutil.rmtree(directory, ignore_errors=True)
    if failed:
        return 1
    return 0 if passed else SKIPPED_EXIT


def main():
    """The whole of a script's main: all cases, or those named on the command line."""
    sys.exit(run_cases(sys.argv[1:]))
