#!/usr/bin/env python3
"""kill -9 at random moments while `produce` runs, again and again.

Each cycle feeds numbered lines to `produce --ack durable`, kills at a random moment, and reads the
topic: every line that was reported as acknowledged is there, none twice, all in order. The
journal is the smallest there can be, so that much of what is read has been sorted into segments,
and that kills meet the sorter. What is killed and what comes after differs:

  data plane      under `up`, which starts it again; produce rides through
  both planes     the same, with the control plane
  everything      `up` too, started again at once; produce rides through
  long outage     everything, and started again only after produce gave up
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time

import node
from node import Node

LINES = 30_000
FILLING = "-" * 400  # of each line: three cycles or so fill half of the journal, which is sorted
JOURNAL = "64MiB"
CYCLES_PER_NODE = 25
FEED_S = 0.6
OUTAGE_TIMEOUT = "1s"
KINDS = ("data plane", "both planes", "everything", "long outage")
# `up` gives up at five deaths of a program within ten seconds.
ENDS_MAX = 3
ENDS_WINDOW_S = 11


class Feeder(threading.Thread):
    """Writes a cycle's lines in uneven pieces over about FEED_S, as a live source would."""

    def __init__(self, pipe, lines, seed):
        super().__init__(daemon=True)
        self.pipe, self.lines, self.random = pipe, lines, random.Random(seed)
        self.start()

    def run(self):
        at = 0
        try:
            while at < len(self.lines):
                size = self.random.choice((1, 10, 500, 2000))
                self.pipe.write("".join(line + "\n" for line in self.lines[at : at + size]))
                self.pipe.flush()
                at += size
                time.sleep(FEED_S * size / len(self.lines))
            self.pipe.close()
        except BrokenPipeError:
            pass  # produce gave up


class KillLoop:
    def __init__(self, up, data, seed):
        self.up = up
        self.data = data
        self.random = random.Random(seed)
        self.ends = []
        self.expected = []  # every line of the topic so far
        self.sorting_cut = 0  # kills that met a segment file half written

    def pick_kind(self):
        kind = self.random.choice(KINDS)
        now = time.monotonic()
        self.ends = [end for end in self.ends if now - end < ENDS_WINDOW_S]
        if kind in KINDS[:2] and len(self.ends) >= ENDS_MAX:
            kind = KINDS[2]
        return kind

    def strike(self, kind, pids):
        if kind in KINDS[:2]:
            self.ends.append(time.monotonic())
            node.kill(pids["millraced"], *([pids["millrace-control"]] if kind == KINDS[1] else []))
            return
        self.ends.clear()
        node.kill(*pids.values())
        self.up.process.wait(node.HANG_S)
        if kind == KINDS[2]:
            self.up.launch()

    def cycle(self, number):
        kind = self.pick_kind()
        # Mostly from the first record on, so that the start-up of programs is not all that is hit.
        starts_late = self.random.random() < 0.8
        delay_s = self.random.uniform(0, FEED_S)
        lines = [f"{number}.{line}{FILLING}" for line in range(LINES)]
        pids = self.up.pids()
        timeout = OUTAGE_TIMEOUT if kind == KINDS[3] else f"{node.HANG_S}s"
        with self.up.spawn("produce", "t", "--ack", "durable", "--timeout", timeout, "-o", "json",
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           text=True) as producer:
            feeder = Feeder(producer.stdin, lines, self.random.random())
            if starts_late:
                node.eventually(lambda: self.up.topic_end("t") > len(self.expected))
            time.sleep(delay_s)
            self.strike(kind, pids)
            self.sorting_cut += len(self.files("segment.new"))
            said, complaint = producer.stdout.read(), producer.stderr.read()
            code = producer.wait(node.HANG_S)
            feeder.join(node.HANG_S)
        if kind == KINDS[3]:
            self.up.launch()
        self.up.wait_ready()
        acknowledged = json.loads(said)["acknowledged"]
        # What was struck after the last line was acknowledged is no outage for produce.
        assert code == 0 or kind == KINDS[3] and code == 4, (code, complaint)
        assert code != 0 or acknowledged == len(lines), (acknowledged, complaint)
        found = self.up.ok("consume", "t", "--from", len(self.expected), "--exit-at-end").split()
        assert len(found) >= acknowledged, f"{acknowledged} acknowledged, {len(found)} there"
        assert found == lines[: len(found)], first_difference(found, lines)
        self.expected += found
        print(f"cycle {number}: {kind} after {delay_s * 1000:.0f} ms: {acknowledged} acknowledged,"
              f" {len(found)} there", flush=True)

    def files(self, beginning):
        return [name for _, _, names in os.walk(self.data)
                for name in names if name.startswith(beginning)]

    def check_all(self):
        found = self.up.consume("t")
        assert found == self.expected, first_difference(found, self.expected)
        self.up.quiet_status()
        segments = len(self.files("segment-"))
        print(f"{len(found)} records, {segments} segment files, {self.sorting_cut} half written"
              " when they were killed", flush=True)
        assert segments > 0 or len(found) * len(FILLING) < 64 << 20, "nothing was sorted"


def first_difference(found, wanted):
    at = next((i for i, pair in enumerate(zip(found, wanted)) if pair[0] != pair[1]),
              min(len(found), len(wanted)))
    return f"record {at} is {found[at : at + 3]} and not {wanted[at : at + 3]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)

    def every_acknowledged_line_survives_kill_at_any_moment(directory):
        for first in range(0, options.cycles, CYCLES_PER_NODE):
            data = os.path.join(directory, str(first))
            os.mkdir(data)
            with Node(data, "--journal-size", JOURNAL) as up:
                up.ok("topic", "create", "t")
                loop = KillLoop(up, data, options.seed + first)
                for number in range(first, min(first + CYCLES_PER_NODE, options.cycles)):
                    loop.cycle(number)
                loop.check_all()
            shutil.rmtree(data)
    node.case(every_acknowledged_line_survives_kill_at_any_moment)
    sys.exit(node.run_cases())


if __name__ == "__main__":
    main()
