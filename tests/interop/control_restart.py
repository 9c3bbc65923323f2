#!/usr/bin/env python3
"""millrace-control is on no message's path: killed under load it loses and stalls nothing, and it
comes back by itself."""

import os
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

import node
from node import Node, case

KILLS = 3  # `up` gives up at five within ten seconds
SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[^}]*\})? ([-+]?[0-9.eE+-]+|NaN|[+-]Inf)$")


def get(up, path):
    """(status, text) of a page of the admin port."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{node.ADMIN_PORT + up.offset}{path}",
                                    timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class Load:
    """`produce` fed with numbers until told to end, and `consume` writing them into a file."""

    def __init__(self, up, directory):
        self.path = os.path.join(directory, "consumed")
        self.ending = threading.Event()
        self.fed = 0
        self.output = open(self.path, "w")
        self.reader = up.spawn("consume", "t", "--from", "earliest", stdout=self.output,
                               stderr=subprocess.DEVNULL)
        self.producer = up.spawn("produce", "t", "-o", "json", stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.feeder = threading.Thread(target=self.feed, daemon=True)
        self.feeder.start()

    def feed(self):
        while not self.ending.is_set():
            try:
                numbers = range(self.fed, self.fed + 100)
                self.producer.stdin.write("".join(f"{n}\n" for n in numbers))
                self.producer.stdin.flush()
            except BrokenPipeError:
                return  # its exit code tells
            self.fed += 100
            time.sleep(0.005)
        self.producer.stdin.close()

    def read_count(self):
        with open(self.path, "rb") as text:
            return text.read().count(b"\n")

    def finish(self):
        """All numbers that were fed, as they were read."""
        self.ending.set()
        self.feeder.join()
        said = self.producer.stdout.read()
        assert self.producer.wait(node.HANG_S) == 0, said
        node.eventually(lambda: self.read_count() >= self.fed)
        self.reader.kill()
        self.reader.wait()
        self.output.close()
        with open(self.path) as text:
            return text.read().split()


@case
def killed_under_load_it_loses_and_stalls_nothing(directory):
    with Node(directory) as up:
        up.ok("topic", "create", "t")
        up.ok("topic", "create", "other", "--partitions", "2")
        load = Load(up, directory)
        assert node.eventually(lambda: load.read_count() > 0)
        data_plane = up.pids()["millraced"]
        for _ in range(KILLS):
            control = up.pids()["millrace-control"]
            # `up` stands still, so that control stays dead for as long as we look.
            os.kill(up.process.pid, signal.SIGSTOP)
            try:
                node.kill(control)
                began, seen = time.monotonic(), load.read_count()
                assert node.eventually(lambda: load.read_count() > seen + 5000), (
                    f"{load.read_count() - seen} records while control was dead")
                print(f"5000 records passed in {time.monotonic() - began:.2f} s without control")
            finally:
                os.kill(up.process.pid, signal.SIGCONT)
            up.wait_ready()
            pids = up.pids()
            assert pids["millraced"] == data_plane and pids["millrace-control"] != control, pids
            names = [one["name"] for one in up.json("topic", "list")["topics"]]
            assert sorted(names) == ["other", "t"], names
        found = load.finish()
        assert found == [str(n) for n in range(load.fed)], f"{len(found)} of {load.fed} came"
        assert node.eventually(lambda: up.status()["partitions"] == 3), up.status()["partitions"]
        up.ok("topic", "create", "after")
        up.ok("produce", "after", stdin="1\n")
        assert up.consume("after") == ["1"]
        up.quiet_status()


@case
def without_control_known_topics_work_and_the_rest_says_why(directory):
    with Node(directory) as up:
        up.ok("topic", "create", "t")
        os.kill(up.process.pid, signal.SIGSTOP)
        try:
            node.kill(up.pids()["millrace-control"])
            up.ok("produce", "t", stdin="1\n2\n")
            assert up.consume("t") == ["1", "2"]
            for words in (["topic", "create", "u"], ["topic", "list"], ["status"]):
                assert up.run(*words).returncode == 6, words
            assert up.run("produce", "u", stdin="1\n").returncode == 3
        finally:
            os.kill(up.process.pid, signal.SIGCONT)
        up.wait_ready()
        up.ok("produce", "u", stdin="1\n")


@case
def probes_say_what_is_so(directory):
    with Node(directory) as up:
        assert get(up, "/livez")[0] == 200
        code, text = get(up, "/readyz?verbose")
        assert code == 200 and "[+]" in text and "[-]" not in text, text
        # The data plane dies and is gone for at least the 100 ms that `up` waits, then for longer.
        for _ in range(4):
            os.kill(up.pids()["millraced"], signal.SIGKILL)
            seen = node.eventually(lambda: [page for page in [get(up, "/readyz?verbose")]
                                            if page[0] == 503], seconds=1, pause_s=0.001)
            assert get(up, "/livez")[0] == 200
            up.wait_ready()
            if seen:
                break
        assert seen and "[-]" in seen[0][1], seen


@case
def metrics_parse_and_count(directory):
    with Node(directory) as up:
        up.ok("produce", "t", stdin="1\n2\n3\n")

        def samples():
            code, text = get(up, "/metrics")
            assert code == 200
            found, kinds = {}, {}
            for line in text.splitlines():
                if line.startswith("# TYPE "):
                    _, _, name, kind = line.split()
                    assert name not in kinds, f"{name} has two types"
                    kinds[name] = kind
                elif line and not line.startswith("#"):
                    match = SAMPLE.match(line)
                    assert match, f"no sample: {line}"
                    family = re.sub(r"_(bucket|sum|count)$", "", match[1])
                    assert match[1] in kinds or family in kinds, f"no type: {line}"
                    series = match[1] + (match[2] or "")
                    assert series not in found, f"twice: {series}"
                    found[series] = float(match[3])
            return found
        assert node.eventually(lambda: sum(
            value for series, value in samples().items()
            if series.startswith("millrace_core_appended_records_total")) == 3), samples()
        assert node.eventually(lambda: samples()["millrace_partitions"] == 1), samples()
        before = len(samples())
        for number in range(20):
            up.ok("topic", "create", f"topic-{number}")
        assert len(samples()) == before, "series grow with topics"
        if shutil.which("promtool"):
            check = subprocess.run(["promtool", "check", "metrics"], input=get(up, "/metrics")[1],
                                   capture_output=True, text=True)
            assert check.returncode == 0, check.stdout + check.stderr


if __name__ == "__main__":
    node.main()
