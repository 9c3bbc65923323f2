#!/usr/bin/env python3
"""What is kept and what goes, as seen from outside, and a disk that runs full: a small file system
of the test's own, on a loop device."""

import contextlib
import os
import subprocess

import node
from node import Node, Skip, case, eventually

LINE_BYTES = 1000


def lines(first, count):
    return "".join(f"{number}:".ljust(LINE_BYTES - 1, "x") + "\n"
                   for number in range(first, first + count))


def numbers(records):
    return [int(record.split(":", 1)[0]) for record in records]


@contextlib.contextmanager
def small_disk(directory, mib):
    """An ext4 file system of so many MiB."""
    if os.geteuid() != 0:
        raise Skip("mounting a file system takes root")
    image = os.path.join(directory, "image")
    mounted = os.path.join(directory, "disk")
    os.mkdir(mounted)
    with open(image, "wb") as file:
        file.truncate(mib << 20)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    mount = subprocess.run(["mount", "-o", "loop", image, mounted], capture_output=True, text=True)
    if mount.returncode != 0:
        raise Skip(f"no loop device: {mount.stderr.strip()}")
    try:
        yield mounted
    finally:
        subprocess.run(["umount", mounted], check=True)


def offsets(up, topic, partition=0):
    return up.json("topic", "describe", topic)["offsets"][partition]


def shard(up):
    return up.status()["shards"][0]


def produce(up, topic, first, count, *words):
    return up.run("produce", topic, *words, stdin=lines(first, count))


@case
def old_records_go_and_new_ones_stay(directory):
    with Node(directory) as up:
        up.ok("topic", "create", "t", "--retention", "1s")
        up.ok("topic", "create", "kept")
        for topic in ("t", "kept"):
            assert produce(up, topic, 0, 500).returncode == 0
        assert eventually(lambda: offsets(up, "t")["log_start"] == 500), offsets(up, "t")
        assert up.consume("t") == []
        assert numbers(up.consume("kept")) == list(range(500))
        up.ok("topic", "alter", "t", "--retention", "unlimited")
        assert produce(up, "t", 500, 100).returncode == 0
        up.kill_all()
        up.start()
        assert numbers(up.consume("t")) == list(range(500, 600))
        described = up.ok("topic", "describe", "t")
        assert "unlimited" in described, described
        # What begins before the log does.
        early = up.run("consume", "t", "--from", "10", "--exit-at-end")
        assert early.returncode != 0 and "not in the log" in early.stderr, early


def all_records(up, topic, *words):
    """From the earliest on; anew where retention or compaction took away what was being read."""
    def attempt():
        run = up.run("consume", topic, "--from", "earliest", "--exit-at-end", *words)
        if run.returncode != 0 and "not in the log" in run.stderr:
            return None
        assert run.returncode == 0, run.stderr
        return (run.stdout.splitlines(),)
    return eventually(attempt)[0]


@case
def a_partition_keeps_to_its_size(directory):
    with small_disk(directory, 320) as disk:
        with Node(disk) as up:
            up.ok("topic", "create", "t", "--retention-size", "20MiB")
            for first in range(0, 400_000, 50_000):
                run = produce(up, "t", first, 50_000)
                assert run.returncode == 0, run.stderr

            def is_small():
                return offsets(up, "t")["bytes"] < 40 << 20
            assert eventually(is_small), offsets(up, "t")
            found = numbers(all_records(up, "t"))
            assert found == list(range(found[0], 400_000)) and len(found) > 15_000, len(found)
            assert eventually(lambda: shard(up)["segment_bytes"] < 80 << 20), shard(up)


@case
def a_node_keeps_to_its_size(directory):
    with Node(directory, "--data-max", "40MiB") as up:
        for topic in ("a", "b"):
            for first in range(0, 150_000, 50_000):
                run = produce(up, topic, first, 50_000)
                assert run.returncode == 0, run.stderr
        assert eventually(lambda: shard(up)["segment_bytes"] < 60 << 20), shard(up)
        for topic in ("a", "b"):
            found = numbers(all_records(up, topic))
            assert found == list(range(150_000 - len(found), 150_000))
        assert len(all_records(up, "b")) > 20_000


@case
def of_each_key_the_last_record_stays(directory):
    keys = 500

    def keyed(first, count):
        return "".join(f"key-{number % keys}={number}:".ljust(LINE_BYTES - 1, "x") + "\n"
                       for number in range(first, first + count))

    def filler(up):
        # What is still in the journal is not compacted.
        run = produce(up, "other", 0, 60_000)
        assert run.returncode == 0, run.stderr

    with small_disk(directory, 320) as disk:
        with Node(disk) as up:
            up.ok("topic", "create", "t", "--compact", "1s")
            up.ok("topic", "create", "other", "--retention-size", "10MiB")
            assert "1s" in up.ok("topic", "describe", "t")
            total = 400_000  # more than the disk has room for
            for first in range(0, total, 50_000):
                run = up.run("produce", "t", "--key-delimiter", "=",
                             stdin=keyed(first, 50_000))
                assert run.returncode == 0, run.stderr
            gone = range(0, keys, 2)
            run = up.run("produce", "t", "--key-delimiter", "=", "--tombstones",
                         stdin="".join(f"key-{number}=\n" for number in gone))
            assert run.returncode == 0, run.stderr

            def records():
                lines_read = all_records(up, "t", "--key-delimiter", "=")
                return [line.split("=", 1) for line in lines_read]

            started = up.json("topic", "describe", "t")["created"].split(".")[0] + "Z"
            from_time = up.ok("consume", "t", "--from", started, "--exit-at-end").splitlines()
            assert f"{total - 1}:" in "".join(from_time[-2 * keys:]), from_time[-1:]

            def is_compacted():
                filler(up)
                return len(records()) < 3 * keys
            assert eventually(is_compacted), len(records())
            for _ in range(2):
                found = records()
                last = dict(found)
                assert len(found) < 3 * keys, len(found)
                for key in range(keys):
                    value = last.get(f"key-{key}", "")
                    if key in gone:
                        assert value == "", (key, value)
                    else:
                        assert int(value.split(":")[0]) == total - keys + key, (key, value)
                at = offsets(up, "t")
                assert (at["log_start"], at["log_end"]) == (0, total + len(gone)), at
                up.kill_all()
                up.start()
            up.ok("topic", "alter", "t", "--compact", "off")
            assert up.run("produce", "t", "--key-delimiter", "=",
                          stdin="key-1=a\nkey-1=b\n").returncode == 0
            assert records()[-2:] == [["key-1", "a"], ["key-1", "b"]]


@case
def trimmed_records_stay_away(directory):
    with Node(directory) as up:
        assert produce(up, "t", 0, 1000).returncode == 0
        up.ok("topic", "trim", "t", "--before", "600")
        assert eventually(lambda: offsets(up, "t")["log_start"] == 600), offsets(up, "t")
        assert numbers(up.consume("t")) == list(range(600, 1000))
        assert produce(up, "t", 1000, 10).returncode == 0  # durable, and so is what came before
        up.kill_all()
        up.start()
        assert numbers(up.consume("t")) == list(range(600, 1010))
        assert up.run("topic", "trim", "t", "--before", "1", "--partition", "7").returncode != 0
        assert up.run("topic", "trim", "nobody", "--before", "1").returncode == 3


@case
def a_full_disk_refuses_writes_and_serves_reads_and_deletions(directory):
    with small_disk(directory, 256) as disk:
        with Node(disk) as up:
            written = 0
            refusal = None
            while refusal is None:
                run = produce(up, "t", written, 10_000, "--timeout", "10s")
                if run.returncode == 0:
                    written += 10_000
                else:
                    refusal = run.stderr
                assert written < 300_000, "more than the disk holds"
            assert "nearly full" in refusal, refusal
            assert eventually(lambda: shard(up)["disk_low"]), shard(up)
            assert shard(up)["disk_free_bytes"] > 8 << 20, shard(up)
            assert "disk low" in up.ok("status")
            assert any(event["kind"] == "disk_low" for event in up.status()["events"])
            found = numbers(up.consume("t"))
            assert found[:written] == list(range(written)), (len(found), written)
            assert found == list(range(len(found)))
            # It starts again, refuses again, and can be made less full.
            up.kill_all()
            up.start()
            assert eventually(lambda: shard(up)["disk_low"])
            assert numbers(up.consume("t")) == found
            up.ok("topic", "trim", "t", "--before", str(len(found) - 1000))
            assert eventually(lambda: not shard(up)["disk_low"]), shard(up)
            run = produce(up, "t", len(found), 1000)
            assert run.returncode == 0, run.stderr
            assert numbers(up.consume("t")) == list(range(len(found) - 1000, len(found) + 1000))


if __name__ == "__main__":
    node.main()
