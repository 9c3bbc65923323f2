#!/usr/bin/env python3
"""Packets that are wrong, by the million: the node lives, grows no more, names why it dropped each,
and serves its clients as before. Over memif, where the headers are wrong too, and kernel UDP."""

import os
import random
import subprocess

import node
from node import Node, case

PACKETS = 1_000_000
WARM_UP = 100_000
ROUND = 250_000
ROUNDS_MAX = 40
GROWTH_MAX_MIB = 8
LINES = "".join(f"{n}\n" for n in range(1000))


def flood(up, address, count, seed):
    run = subprocess.run([node.program("flood"), address, "flooded", str(count), str(seed)],
                         capture_output=True, text=True, timeout=120,
                         preexec_fn=node.end_with_parent)
    assert run.returncode == 0, f"seed {seed}: {run.stderr}\n{up.log_text()}"
    return {line.split()[0]: int(line.split()[1]) for line in run.stdout.splitlines()}


def resident_mib(pid):
    with open(f"/proc/{pid}/status") as status:
        line = next(line for line in status if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def run_flood(directory, address_of, reasons):
    """Floods until PACKETS have arrived; a kernel socket loses what it has no room for."""
    seed = random.SystemRandom().randrange(1 << 30)
    print(f"seed {seed}")
    socket_path = os.path.join(directory, "memif.sock")
    with Node(directory, "--port", f"udp:127.0.0.1:{node.NATIVE_PORT}", "--port",
              f"memif:socket={socket_path},role=server", "--listen", "5514=flooded",
              listen_ports=[5514]) as up:
        address = address_of(up, socket_path)
        # Memory that is used for the first time is no leak.
        flood(up, address, WARM_UP, seed)
        pids = up.pids()
        before = up.quiet_status()
        before_mib = resident_mib(pids["millraced"])
        sent = {}
        for number in range(1, ROUNDS_MAX):
            for fault, count in flood(up, address, ROUND, seed + number).items():
                sent[fault] = sent.get(fault, 0) + count
            arrived = up.status()["ledger"]["received"] - before["ledger"]["received"]
            if arrived >= PACKETS:
                break
        after = up.quiet_status()
        grown_mib = resident_mib(pids["millraced"]) - before_mib
        print(f"{sum(sent.values())} sent, {arrived} arrived, {after['drops']['total']} dropped, "
              f"{grown_mib:.1f} MiB grown\nsent: {sent}\ndrops: {after['drops']}")
        assert arrived >= PACKETS, "too few arrived"
        assert up.pids() == pids, f"a plane was started again\n{up.log_text()}"
        assert grown_mib < GROWTH_MAX_MIB, grown_mib
        assert all(count > 0 for fault, count in sent.items() if fault != "headers_spoiled"), sent
        dropped = after["drops"]["total"] - before["drops"]["total"]
        assert dropped > arrived / 2, (dropped, arrived)
        for reason in reasons:
            assert after["drops"].get(reason, 0) > 0, f"nothing was dropped as {reason}"
        # Sessions of the flood end by their idle time, and nothing of it is in anyone's way.
        up.ok("topic", "create", "t")
        assert up.json("produce", "t", stdin=LINES)["acknowledged"] == 1000
        assert up.ok("consume", "t", "--from", "earliest", "--exit-at-end") == LINES
        assert node.eventually(lambda: up.status()["cores"][0]["sessions"] == 0), up.status()


PAYLOAD_REASONS = ["bad_magic", "bad_version", "unknown_type", "malformed", "unknown_session"]


@case
def a_million_malformed_packets_over_memif(directory):
    run_flood(directory, lambda up, path:
              f"memif:socket={path},server=192.168.77.1:{node.NATIVE_PORT + up.offset}",
              PAYLOAD_REASONS + ["truncated_frame", "not_for_us", "unknown_ethertype",
                                 "bad_ip_header", "bad_ip_checksum", "no_listener"])


@case
def a_million_malformed_packets_over_kernel_udp(directory):
    run_flood(directory, lambda up, _: f"127.0.0.1:{node.NATIVE_PORT + up.offset}",
              PAYLOAD_REASONS)


if __name__ == "__main__":
    node.main()
