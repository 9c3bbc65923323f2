#!/usr/bin/env python3
"""Power cuts of a real run: what a node does to its disk is recorded while clients publish to it,
and cuts at many places of the recording are replayed. See tests/powercut/README.md."""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

import node
from node import Node

MIB = 1 << 20
# The least that millraced takes, and less than `up` does: segments are made and journal files used
# again soon.
SIZES = f"--journal-size {32 * MIB} --tail-size {16 * MIB}"
# A topic that is deleted, and more than is sorted at once: so there is a file of segments that holds
# nothing else and goes.
GONE, GONE_PARTITIONS, GONE_UNTIL = "gone", 2, 24 * MIB
TOPIC, PARTITIONS = "t", 4
# A topic that loses its oldest records.
RETAINED, RETENTION_SIZE = "retained", "1MiB"
# How far the recording is at the end of each life of the node.
LIVES_UNTIL = (80 * MIB, 136 * MIB)
RECORDING, LEDGER = "shard-0.recording", "ledger"
KEPT = os.path.join(node.BUILD, "powercut")


def say(text):
    if sys.stderr.isatty():
        print(text, file=sys.stderr, flush=True)


def record_programs(directory):
    """A directory of programs for `up --programs` whose millraced records its disk there."""
    programs = os.path.join(directory, "programs")
    os.mkdir(programs)
    os.symlink(os.path.realpath(node.program("millrace-control")),
               os.path.join(programs, "millrace-control"))
    wrapper = os.path.join(programs, "millraced")
    with open(wrapper, "w") as script:
        script.write("#!/bin/sh\n"
                     f"exec '{os.path.realpath(node.program('millraced'))}' \"$@\""
                     f" --record-disk '{directory}' {SIZES}\n")
    os.chmod(wrapper, 0o755)
    return programs


class Run:
    def __init__(self, directory, seed):
        self.random = random.Random(seed)
        self.recording = os.path.join(directory, RECORDING)
        self.ledger = os.path.join(directory, LEDGER)
        self.up = Node(directory, "--programs", record_programs(directory))

    def load(self, until, *topics):
        say(f"recording: {' '.join(topics)} until {until // MIB} MiB")
        address = f"127.0.0.1:{node.NATIVE_PORT + self.up.offset}"
        run = subprocess.run([node.program("powercut_load"), address, self.recording, str(until),
                              self.ledger, str(self.random.randrange(1, 1 << 24)), *topics],
                             capture_output=True, text=True, timeout=180,
                             preexec_fn=node.end_with_parent)
        assert run.returncode == 0, f"{run.stderr}\n{self.up.log_text()}"

    def note(self, line):
        with open(self.ledger, "a") as ledger:
            ledger.write(line + "\n")

    def begin(self):
        self.up.ok("topic", "create", GONE, "--partitions", GONE_PARTITIONS)
        self.up.ok("topic", "create", TOPIC, "--partitions", PARTITIONS)
        self.up.ok("topic", "create", RETAINED, "--retention-size", RETENTION_SIZE)
        self.note(f"retain {RETAINED}")
        self.load(GONE_UNTIL, f"{GONE}:{GONE_PARTITIONS}")
        self.note(f"delete {time.clock_gettime_ns(time.CLOCK_MONOTONIC)} {GONE}")
        self.up.ok("topic", "delete", GONE)

    def record(self):
        for life, until in enumerate(LIVES_UNTIL):
            with self.up:
                if life == 0:
                    self.begin()
                self.load(until, f"{TOPIC}:{PARTITIONS}", f"{RETAINED}:1")
                assert self.up.stop() == 0, self.up.log_text()


def replay(directory, words, kept):
    """The exit code; its last line is the one that counts."""
    return subprocess.run([node.program("powercut"), os.path.join(directory, RECORDING),
                           os.path.join(directory, LEDGER),
                           "--again", f"./dev powercut --recording {kept}", *words],
                          preexec_fn=node.end_with_parent).returncode


def keep(directory, kept):
    """Where the next run does not take it away."""
    shutil.rmtree(kept, ignore_errors=True)
    os.makedirs(kept)
    for name in (RECORDING, LEDGER, "up.log"):
        path = os.path.join(directory, name)
        if os.path.exists(path):
            shutil.move(path, kept)
    print(f"kept {kept}", file=sys.stderr, flush=True)


def record_and_replay(seed, words, keeps):
    directory = tempfile.mkdtemp(prefix="millrace-powercut-")
    kept = os.path.relpath(os.path.join(KEPT, str(seed)))
    status = 1
    try:
        run = Run(directory, seed)
        started = time.monotonic()
        run.record()
        size = os.path.getsize(run.recording) // MIB
        print(f"recorded {size} MiB in {time.monotonic() - started:.1f} s", flush=True)
        status = replay(directory, words, kept)
    except node.Skip as reason:
        print(f"skip: {reason}")
        status = node.SKIPPED_EXIT
    except Exception:
        print(f"{traceback.format_exc()}0 passed, 1 failed", flush=True)
    finally:
        if keeps or status not in (0, node.SKIPPED_EXIT):
            keep(directory, kept)
        shutil.rmtree(directory, ignore_errors=True)
    return status


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cycles", type=int, default=30)
    parser.add_argument("--seed", type=int, help="of the run and its cuts, or of the one cut")
    parser.add_argument("--cut", type=int, help="only the one after so many events")
    parser.add_argument("--recording", help="the directory of an earlier run, instead of a new one")
    parser.add_argument("--keep", action="store_true", help="the recording, whatever is found")
    parser.add_argument("words", nargs="*", help="for the replay, after --: see `powercut --help`")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    seed = options.seed
    if seed is None:
        seed = random.SystemRandom().randrange(1 << 31)
    words = ["--cycles", str(options.cycles), "--seed", str(seed), *options.words]
    if options.cut is not None:
        words += ["--cut", str(options.cut)]
    print(f"seed {seed}", flush=True)
    if options.recording:
        sys.exit(replay(options.recording, words, options.recording))
    sys.exit(record_and_replay(seed, words, options.keep))


if __name__ == "__main__":
    main()
