#!/usr/bin/env python3
"""The data of a node that is down: looked at, given up in part, taken out."""

import hashlib
import json
import os

import node
from node import Node, case

LINE_BYTES = 1000
# More than half of the journal, so that the oldest are in segments and the newest are not.
COUNT = 60_000


def lines(first, count):
    return "".join(f"{number}:".ljust(LINE_BYTES - 1, "x") + "\n"
                   for number in range(first, first + count))


def numbers(records):
    return [int(record.split(":", 1)[0]) for record in records]


def fill(up):
    for first in range(0, COUNT, 20_000):
        run = up.run("produce", "t", stdin=lines(first, 20_000))
        assert run.returncode == 0, run.stderr
    assert node.eventually(lambda: up.status()["shards"][0]["segment_files"] > 0)
    assert up.stop() == 0


def log(up, verb, *words):
    return up.run("log", verb, *words, up.data)


def verify(up):
    run = log(up, "verify", "--json")
    assert run.returncode in (0, 1), run.stderr
    found = json.loads(run.stdout)
    assert found["sound"] == (run.returncode == 0)
    return found["shards"][0]


def shard_file(up, name):
    return os.path.join(up.data, "shard-0", name)


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 4]))


def damage_segment(up):
    name = min(name for name in os.listdir(shard_file(up, "")) if name.startswith("segment-"))
    flip(shard_file(up, name), 4096 + (3 << 20))
    return name


def damage_journal(up):
    file_bytes = os.path.getsize(shard_file(up, "journal-0000"))
    position = verify(up)["journal_end"] - (1 << 20)
    files = 64 * (1 << 20) // file_bytes
    flip(shard_file(up, f"journal-{position // file_bytes % files:04}"), position % file_bytes)


def digests(up):
    """Of every file but the locks, which hold the number of whoever had them last, and what was not
    finished, which goes with the next start or repair."""
    found = {}
    for folder, _, names in os.walk(up.data):
        for name in names:
            if "lock" in name or name.endswith(".new"):
                continue
            with open(os.path.join(folder, name), "rb") as file:
                found[os.path.join(folder, name)] = hashlib.sha256(file.read()).hexdigest()
    return found


def lost(found):
    """All offsets that are named as missing."""
    return {offset for finding in found["findings"] if finding["kind"] == "lost"
            for offset in range(finding["first_offset"], finding["last_offset"] + 1)}


@case
def a_running_node_is_left_alone(directory):
    with Node(directory) as up:
        up.ok("produce", "t", stdin="1\n")
        for verb in ("verify", "repair"):
            run = log(up, verb)
            assert run.returncode == 2 and "running" in run.stderr, run
        assert up.consume("t") == ["1"]


@case
def a_sound_folder_is_sound_and_stays_as_it_is(directory):
    with Node(directory) as up:
        fill(up)
        before = digests(up)
        found = verify(up)
        assert found["findings"] == [] and found["segment_files"] > 0, found
        assert found["partitions"][0]["log_end"] == COUNT, found
        assert log(up, "repair").returncode == 0
        assert digests(up) == before
        assert up.run("log", "verify", directory + "/nowhere").returncode == 2
        assert up.run("log", "look", up.data).returncode == 2


@case
def bad_copies_are_written_again(directory):
    with Node(directory) as up:
        fill(up)
        before = digests(up)
        flip(shard_file(up, "superblock"), 4096 + 20)
        name = min(name for name in os.listdir(shard_file(up, "")) if name.startswith("segment-"))
        flip(shard_file(up, name), 40)
        kinds = [finding["kind"] for finding in verify(up)["findings"]]
        assert kinds == ["copy", "copy"], kinds
        assert log(up, "repair").returncode == 0
        assert digests(up) == before


@case
def a_loss_is_named_accepted_and_passed_over(directory):
    with Node(directory) as up:
        fill(up)
        segment = damage_segment(up)
        damage_journal(up)
        before = digests(up)
        found = verify(up)
        missing = lost(found)
        assert missing and len(missing) < 5000, len(missing)
        text = log(up, "verify")
        assert text.returncode == 1 and segment in text.stdout and "journal" in text.stdout, text
        dry = log(up, "repair")
        assert dry.returncode == 1 and "--accept-loss" in dry.stdout, dry
        for finding in found["findings"]:
            assert finding["what"] in dry.stdout, (finding, dry.stdout)
        assert digests(up) == before

        taken = os.path.join(directory, "taken")
        log(up, "salvage", "--into", taken)
        with open(os.path.join(taken, "salvage.json")) as file:
            salvaged = json.load(file)[0]["partitions"][0]
        there = sum(last - first + 1 for first, last in salvaged["there"])
        assert there == COUNT - len(missing), (there, len(missing))
        assert {offset for first, last in salvaged["missing"]
                for offset in range(first, last + 1)} == missing
        assert os.path.getsize(os.path.join(taken, salvaged["file"])) > there * LINE_BYTES
        assert digests(up) == before

        # Today's node serves what it can and takes nothing more.
        up.start()
        refused = up.run("produce", "t", "--timeout", "5s", stdin="x\n")
        assert refused.returncode != 0 and "damaged" in refused.stderr, refused
        assert up.stop() == 0

        accepted = log(up, "repair", "--accept-loss")
        assert accepted.returncode == 0, (accepted.stdout, accepted.stderr)
        assert verify(up)["findings"] == []
        up.start()
        rest = [number for number in range(COUNT) if number not in missing]
        assert numbers(up.consume("t")) == rest
        run = up.run("produce", "t", stdin=lines(COUNT, 1000))
        assert run.returncode == 0, run.stderr
        assert numbers(up.consume("t")) == rest + list(range(COUNT, COUNT + 1000))
        up.kill_all()
        up.start()
        assert numbers(up.consume("t")) == rest + list(range(COUNT, COUNT + 1000))


if __name__ == "__main__":
    node.main()
