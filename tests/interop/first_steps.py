#!/usr/bin/env python3
"""A newcomer's first minutes: every command of the README, every answer a script can meet."""

import json
import os
import re
import signal
import socket
import subprocess
import time

import node
from node import Node, case


def readme_commands():
    """The lines of the README's first five minutes, without their comments."""
    with open(os.path.join(node.ROOT, "README.md")) as readme:
        section = readme.read().split("## The first five minutes", 1)[1]
    block = section.split("```", 2)[1]
    return [line.split("  #")[0].strip() for line in block.splitlines() if line.strip()]


def run_as_newcomer(directory, offset, line):
    """A line of the README, typed where build/ is, against the node at this offset."""
    if not os.path.lexists(os.path.join(directory, "build")):
        os.symlink(node.BUILD, os.path.join(directory, "build"))
    return subprocess.run(["bash", "-o", "pipefail", "-c", line], cwd=directory,
                          env={**os.environ, "MILLRACE_PORT_OFFSET": str(offset)},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
                          preexec_fn=node.end_with_parent)


@case
def every_command_of_the_readme_works(directory):
    commands = readme_commands()
    assert len(commands) >= 5, commands
    with Node(directory) as up:
        for line in commands:
            run = run_as_newcomer(directory, up.offset, line)
            assert run.returncode == 0, f"{line}\n{run.stdout}{run.stderr}"
            if " consume " in line:
                assert run.stdout.split() == [str(n) for n in range(1, 1001)], run.stdout[:200]


@case
def up_prints_the_commands_to_type_next(directory):
    with Node(directory) as up:
        # `wait` may return before `up` has seen for itself that the node is ready.
        assert node.eventually(lambda: "Ctrl-C" in up.log_text()), up.log_text()
        text = up.log_text()
        typed = re.findall(r"^  (\S.*millrace .*)$", text, re.MULTILINE)
        assert [line.split("millrace ", 1)[1].split()[2] for line in typed] == [
            "topic", "produce", "consume", "status"], text
        for line in typed:
            line += " --exit-at-end" if " consume " in line else ""
            run = run_as_newcomer(directory, 0, line)  # the line names the offset itself
            assert run.returncode == 0, f"{line}\n{run.stderr}"


@case
def topics_are_made_listed_described_and_deleted(directory):
    with Node(directory) as up:
        made = up.json("topic", "create", "orders", "--partitions", "3", "--durability", "memory")
        assert (made["name"], made["partitions"], made["durability"]) == ("orders", 3, "memory")
        up.ok("topic", "create", "orders", "--if-not-exists")
        assert [topic["name"] for topic in up.json("topic", "list")["topics"]] == ["orders"]
        def offsets():
            return up.json("topic", "describe", "orders")["offsets"]
        assert [one["partition"] for one in offsets()] == [0, 1, 2], offsets()
        assert node.eventually(lambda: all(one["present"] for one in offsets())), offsets()
        up.ok("produce", "orders", "--partition", "1", stdin="1\n2\n")
        assert node.eventually(
            lambda: [one["log_end"] for one in offsets()] == [0, 2, 0]), offsets()
        assert "orders" in up.ok("topic", "list")
        assert "LOG-END" in up.ok("topic", "describe", "orders")
        assert up.json("topic", "delete", "orders")["name"] == "orders"
        assert up.json("topic", "list")["topics"] == []
        up.ok("topic", "create", "orders")
        assert up.consume("orders") == [], "a deleted topic's records came back"


@case
def keys_files_counts_and_json(directory):
    with Node(directory) as up:
        up.ok("topic", "create", "t")
        lines = "a=1\nb=2\nno key\n=empty key\n"
        report = up.json("produce", "t", "--key-delimiter", "=", stdin=lines)
        assert (report["records"], report["acknowledged"], report["ack"]) == (4, 4, "durable")
        records = [json.loads(line) for line in up.consume("t", "-o", "json")]
        assert [(one["offset"], one["key"], one["value"]) for one in records] == [
            (0, "a", "1"), (1, "b", "2"), (2, None, "no key"), (3, "", "empty key")], records
        assert up.consume("t", "--key-delimiter", ":") == ["a:1", "b:2", ":no key", ":empty key"]
        assert up.consume("t", "--count", "2") == ["1", "2"]

        # One record of several packets, with bytes that are no lines.
        content = "".join(f"line {n}\n" for n in range(40_000))
        path = os.path.join(directory, "whole")
        with open(path, "w") as file:
            file.write(content)
        assert up.json("produce", "t", "--file", path)["records"] == 1
        assert up.ok("consume", "t", "--from", "4", "--count", "1") == content + "\n"


@case
def consume_starts_where_it_is_told(directory):
    with Node(directory) as up:
        up.ok("produce", "t", stdin="1\n2\n3\n")
        time.sleep(0.05)
        between_ms = int(time.time() * 1000)
        time.sleep(0.05)
        up.ok("produce", "t", stdin="4\n5\n")

        def lines(where):
            return up.ok("consume", "t", "--from", where, "--exit-at-end").split()
        assert lines("earliest") == ["1", "2", "3", "4", "5"]
        assert lines("3") == ["4", "5"]
        assert lines("5") == []
        assert lines(f"@{between_ms}") == ["4", "5"]
        assert lines("2020-01-01T00:00:00Z") == ["1", "2", "3", "4", "5"]
        assert lines("latest") == []
        # Latest sees what comes later, and only that.
        with up.spawn("consume", "t", "--count", "1", stdout=subprocess.PIPE,
                      text=True) as reader:
            assert node.eventually(
                lambda: up.status()["cores"][0]["subscriptions"] == 1), "never subscribed"
            up.ok("produce", "t", stdin="6\n")
            assert reader.communicate(timeout=node.HANG_S)[0] == "6\n"
            assert reader.returncode == 0


@case
def keys_choose_partitions_and_keep_their_order(directory):
    with Node(directory) as up:
        up.ok("topic", "create", "t", "--partitions", "4")
        up.ok("produce", "t", "--key-delimiter", "=",
              stdin="".join(f"key{n % 10}={n}\n" for n in range(2000)))
        records = [json.loads(line) for line in up.consume("t", "-o", "json")]
        assert sorted(int(one["value"]) for one in records) == list(range(2000))
        assert len({one["partition"] for one in records}) > 1
        for key in range(10):
            mine = [one for one in records if one["key"] == f"key{key}"]
            assert len({one["partition"] for one in mine}) == 1, key
            values = [int(one["value"]) for one in mine]
            assert values == sorted(values), key


@case
def every_exit_code_is_what_it_says(directory):
    def code(*words, at=None, stdin=""):
        run = (at or up).run(*words, stdin=stdin)
        if run.returncode != 0:
            assert "error" in run.stderr, f"{words} failed without a reason: {run.stderr}"
        return run.returncode
    nobody = Node(directory)  # never started
    with Node(directory) as up:
        assert code("topic", "create", "t") == 0
        assert code("topic", "create", "t") == 1
        assert code("topic", "create", "not/a/name") == 2
        assert code("produce", "t", "--ack", "maybe") == 2
        assert code("consume", "t", "--from", "yesterday") == 2
        assert code("consume", "t", "--no-such-flag") == 2
        assert code("no-such-verb") == 2
        assert code("topic", "describe", "missing") == 3
        assert code("topic", "delete", "missing") == 3
        assert code("consume", "missing") == 3
        assert code("produce", "missing", "--no-create", stdin="1\n") == 3
        assert code("produce", "t", "--file", os.path.join(directory, "missing")) == 3
        assert code("consume", "t", "--timeout", "200ms") == 4
        assert code("wait", "--timeout", "200ms", at=nobody) == 4
        assert code("status", at=nobody) == 6
        assert code("topic", "list", at=nobody) == 6
        assert code("produce", "t", "--timeout", "300ms", at=nobody, stdin="1\n") == 6


@case
def produce_gives_up_when_the_node_stands_still(directory):
    with Node(directory) as up:
        up.ok("topic", "create", "t")
        with up.spawn("produce", "t", "--timeout", "1s", stdin=subprocess.PIPE,
                      stderr=subprocess.PIPE, text=True) as producer:
            producer.stdin.write("1\n")
            producer.stdin.flush()
            assert node.eventually(
                lambda: up.json("topic", "describe", "t")["offsets"][0]["durable_end"] == 1)
            data_plane = up.pids()["millraced"]
            os.kill(data_plane, signal.SIGSTOP)
            try:
                _, said = producer.communicate("2\n", timeout=node.HANG_S)
            finally:
                os.kill(data_plane, signal.SIGCONT)
        assert producer.returncode == 4, (producer.returncode, said)
        assert "1 of 2 records acknowledged" in said, said


@case
def ctrl_c_stops_cleanly_and_leaves_nothing_running(directory):
    up = Node(directory)
    up.start()
    pids = up.pids()
    reader = up.spawn("consume", "greetings", stderr=subprocess.DEVNULL)
    up.ok("produce", "greetings", stdin="hello\n")
    assert up.stop() == 0, up.log_text()
    reader.kill()
    reader.wait()
    for name, pid in pids.items():
        assert not node.is_alive(pid), f"{name} is left"
    for kind, port in ((socket.SOCK_DGRAM, 7070), (socket.SOCK_STREAM, 9644)):
        with socket.socket(socket.AF_INET, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port + up.offset))
    with up:
        assert up.consume("greetings") == ["hello"]


@case
def memory_only_keeps_nothing(directory):
    os.environ["TMPDIR"] = directory
    try:
        with Node(directory, memory_only=True) as up:
            up.ok("produce", "t", "--ack", "memory", stdin="1\n2\n")
            assert up.consume("t") == ["1", "2"]
            assert up.status()["data"] is None
            assert up.stop() == 0
            left = [name for name in os.listdir(directory) if name != "up.log"]
            assert left == [], left
            up.start()
            assert up.json("topic", "list")["topics"] == []
    finally:
        del os.environ["TMPDIR"]


@case
def a_second_up_on_the_same_data_is_refused(directory):
    with Node(directory) as up:
        second = subprocess.run(
            [node.program("millrace"), "up", "--data", up.data, "--port-offset",
             str(node.free_offset())], capture_output=True, text=True, timeout=node.HANG_S,
            preexec_fn=node.end_with_parent)
        assert second.returncode == 1, second
        assert f"in use by 'millrace up' with pid {up.pids()['up']}" in second.stderr, second.stderr
        up.ok("status")


@case
def a_journal_of_another_size_is_refused_by_name(directory):
    with Node(directory, "--journal-size", "64MiB") as up:
        assert up.stop() == 0
    other = Node(directory, "--journal-size", "128MiB")
    other.launch()
    assert other.process.wait(node.HANG_S) == 1, other.log_text()
    assert "the journal was made with" in other.log_text(), other.log_text()
    assert "CHECK failed" not in other.log_text(), other.log_text()


@case
def a_taken_port_is_named(directory):
    offset = node.free_offset()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", node.NATIVE_PORT + offset))
        up = Node(directory, offset=offset)
        up.launch()
        assert up.process.wait(node.HANG_S) == 1
        assert str(node.NATIVE_PORT + offset) in up.log_text(), up.log_text()


@case
def a_fault_in_the_config_file_is_shown_with_line_and_column(directory):
    path = os.path.join(directory, "node.toml")
    for text, place in (("[node]\nmemory_only = true\ncolour = 1\n", "3:1"),
                        ("[storage]\njournal_size = \"lots\"\n", "2:16"),
                        ("[node\n", "1:6")):
        with open(path, "w") as file:
            file.write(text)
        run = subprocess.run([node.program("millrace"), "up", "--config", path],
                             capture_output=True, text=True, timeout=node.HANG_S,
                             preexec_fn=node.end_with_parent)
        assert run.returncode == 2, run
        assert f"{path}:{place}: " in run.stderr, run.stderr


@case
def the_config_file_is_obeyed(directory):
    path = os.path.join(directory, "node.toml")
    with open(path, "w") as file:
        file.write('[node]\nmemory_only = true\n[[listener]]\nport = 514\ntopic = "syslog"\n')
    offset = node.free_offset([514])
    up = Node(directory, offset=offset)
    up.arguments = ["--config", path]
    with up:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"<13>hello", ("127.0.0.1", 514 + offset))
        assert node.eventually(lambda: up.topic_end("syslog") == 1)
        assert up.consume("syslog") == ["<13>hello"]


if __name__ == "__main__":
    node.main()
