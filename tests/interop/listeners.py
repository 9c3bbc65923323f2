#!/usr/bin/env python3
"""Listeners on kernel UDP: datagrams and lines of them become records, keyed as asked for."""

import socket

import node
from node import Node, case


def send_and_wait(up, topic, port, datagrams, records, source_port=0):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("127.0.0.1", source_port))
        for datagram in datagrams:
            sender.sendto(datagram, ("127.0.0.1", port + up.offset))
    assert node.eventually(lambda: up.topic_end(topic) == records), up.topic_end(topic)
    return up.ok("consume", topic, "--from", "earliest", "--exit-at-end", "--key-delimiter",
                 "|").splitlines()


@case
def statsd_lines_over_kernel_udp_become_records(directory):
    with Node(directory, "--listen", "8125=statsd,framing=lines,key=source",
              listen_ports=[8125]) as up:
        found = send_and_wait(up, "statsd", 8125, [b"a:1|c\nb:2|c\n", b"c:3|g", b"\n"], 3)
        assert [line.split("|", 1)[1] for line in found] == ["a:1|c", "b:2|c", "c:3|g"], found
        assert all(line.startswith("127.0.0.1") for line in found), found
        up.quiet_status()


@case
def a_byte_range_of_a_datagram_is_its_key(directory):
    with Node(directory, "--listen", "9000=feed,key=bytes:2:4,partitions=4",
              listen_ports=[9000]) as up:
        assert up.json("topic", "describe", "feed")["partitions"] == 4
        found = send_and_wait(up, "feed", 9000, [b"..AAAA1", b"..BBBB1", b"..AAAA2", b"xy"], 4)
        assert sorted(found) == sorted(["AAAA|..AAAA1", "BBBB|..BBBB1", "AAAA|..AAAA2", "|xy"])
        assert [line for line in found if line.startswith("AAAA")] == [
            "AAAA|..AAAA1", "AAAA|..AAAA2"]


@case
def a_deleted_topic_drops_its_datagrams_by_name(directory):
    with Node(directory, "--listen", "5514=syslog", listen_ports=[5514]) as up:
        assert send_and_wait(up, "syslog", 5514, [b"1"], 1) == ["|1"]
        up.ok("topic", "delete", "syslog")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            def is_dropped():
                sender.sendto(b"lost", ("127.0.0.1", 5514 + up.offset))
                return up.status()["drops"].get("unknown_topic", 0) > 0
            assert node.eventually(is_dropped), up.status()["drops"]
        up.quiet_status()


if __name__ == "__main__":
    node.main()
