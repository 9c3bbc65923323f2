#!/usr/bin/env python3
"""What was acknowledged as durable is there after kill -9, in its order, once."""

import os
import signal
import subprocess
import time

import node
from node import Node, case

LINES = "".join(f"{n}\n" for n in range(1, 200_001))


def produce_lines(up):
    up.ok("topic", "create", "t")
    report = up.json("produce", "t", "--ack", "durable", stdin=LINES)
    assert report["acknowledged"] == 200_000, report


def assert_lines(up):
    assert up.ok("consume", "t", "--from", "earliest", "--exit-at-end") == LINES


@case
def lines_survive_kill_of_both_planes(directory):
    with Node(directory) as up:
        produce_lines(up)
        before = up.pids()
        node.kill(before["millraced"], before["millrace-control"])
        up.wait_ready()
        after = up.pids()
        assert after["up"] == before["up"] and after["millraced"] != before["millraced"], after
        assert_lines(up)


@case
def lines_survive_kill_of_everything(directory):
    with Node(directory) as up:
        produce_lines(up)
        up.kill_all()
        up.start()
        assert_lines(up)
        # And a log that was recovered goes on where it was.
        up.ok("produce", "t", stdin="after\n")
        assert up.ok("consume", "t", "--from", "200000", "--exit-at-end") == "after\n"


@case
def planes_die_with_up(directory):
    with Node(directory) as up:
        pids = up.pids()
        node.kill(pids["up"])
        up.process.wait(node.HANG_S)
        for name in ("millraced", "millrace-control"):
            assert node.eventually(lambda: not node.is_alive(pids[name])), f"{name} is left"
        up.start()


@case
def lines_survive_a_clean_stop(directory):
    with Node(directory) as up:
        produce_lines(up)
        assert up.stop() == 0
        up.start()
        assert_lines(up)


@case
def the_end_of_a_deleted_topic_survives_kill(directory):
    with Node(directory) as up:
        up.ok("produce", "t", stdin="old\n")
        up.ok("topic", "delete", "t")
        up.kill_all()
        up.start()
        assert up.json("topic", "list")["topics"] == []
        up.ok("produce", "t", stdin="new\n")
        assert up.consume("t") == ["new"]


@case
def a_producer_id_is_known_again_after_kill(directory):
    with Node(directory) as up:
        for value in ("1\n2\n3\n", "4\n", "5\n6\n"):
            report = up.json("produce", "t", "--producer-id", "7", stdin=value)
            assert report["acknowledged"] == report["records"] == value.count("\n"), report
            up.kill_all()
            up.start()
        assert up.consume("t") == ["1", "2", "3", "4", "5", "6"]


@case
def produce_rides_through_a_restart(directory):
    with Node(directory) as up:
        up.ok("topic", "create", "t")
        with up.spawn("produce", "t", stdin=subprocess.PIPE, stderr=subprocess.PIPE,
                      text=True) as producer:
            producer.stdin.write("1\n")
            producer.stdin.flush()
            assert node.eventually(lambda: up.topic_end("t") == 1)
            data_plane = up.pids()["millraced"]
            os.kill(up.process.pid, signal.SIGSTOP)  # so that the restart waits for us
            try:
                node.kill(data_plane)
                producer.stdin.write("2\n")
                producer.stdin.flush()
                time.sleep(0.5)
            finally:
                os.kill(up.process.pid, signal.SIGCONT)
            _, said = producer.communicate("3\n", timeout=node.HANG_S)
        assert producer.returncode == 0, said
        up.wait_ready()
        assert up.consume("t") == ["1", "2", "3"]


@case
def a_burst_after_a_long_silence_is_taken(directory):
    with Node(directory) as up:
        up.ok("topic", "create", "t")
        with up.spawn("produce", "t", "--timeout", "3s", stdin=subprocess.PIPE,
                      stderr=subprocess.PIPE, text=True) as producer:
            producer.stdin.write("first\n")
            producer.stdin.flush()
            time.sleep(3.2)
            # More than the client buffers, in few lines: some wait for room.
            _, said = producer.communicate(("x" * 20_000 + "\n") * 1000, timeout=node.HANG_S)
        assert producer.returncode == 0, said
        assert len(up.consume("t")) == 1001


@case
def consume_rides_through_a_restart(directory):
    with Node(directory) as up:
        up.ok("produce", "t", stdin="1\n2\n")
        with up.spawn("consume", "t", "--from", "earliest", "--count", "4",
                      stdout=subprocess.PIPE, text=True) as reader:
            assert node.eventually(lambda: up.status()["cores"][0]["subscriptions"] == 1)
            node.kill(up.pids()["millraced"])
            up.wait_ready()
            up.ok("produce", "t", stdin="3\n4\n")
            assert reader.communicate(timeout=node.HANG_S)[0].split() == ["1", "2", "3", "4"]
            assert reader.returncode == 0


if __name__ == "__main__":
    node.main()
