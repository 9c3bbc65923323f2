#!/usr/bin/env python3
"""What a node costs that nobody talks to: its share of a core, and its memory."""

import os
import time

import node
from node import Node, case

LOOK_S = 5
MEMORY_MAX_MIB = 512
# README says 5 %; the host may be busy, and only a loop that spins is caught here.
CPU_MAX_PERCENT = 50


def cpu_s(pids):
    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_mib(pids):
    """Proportional share, so that what the three have in common counts once."""
    total_kib = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as rollup:
            total_kib += sum(int(line.split()[1]) for line in rollup
                             if line.startswith(("Pss:", "Shared_Hugetlb:", "Private_Hugetlb:")))
    return total_kib / 1024


@case
def an_idle_node_costs_little(directory):
    # As `up` comes without options.
    with Node(directory, "--journal-size", "1GiB") as up:
        up.ok("produce", "t", stdin="1\n")
        pids = list(up.pids().values())

        def has_settled():
            before = cpu_s(pids)
            time.sleep(0.5)
            return cpu_s(pids) - before < 0.1
        node.eventually(has_settled, seconds=10)
        before = cpu_s(pids)
        time.sleep(LOOK_S)
        percent = (cpu_s(pids) - before) / LOOK_S * 100
        used_mib = memory_mib(pids)
        print(f"idle: {percent:.1f} % of a core, {used_mib:.0f} MiB")
        assert used_mib < MEMORY_MAX_MIB, used_mib
        assert percent < CPU_MAX_PERCENT, percent


@case
def memory_stays_below_its_bound_under_load(directory):
    with Node(directory, "--journal-size", "1GiB") as up:
        up.ok("produce", "t", "--ack", "memory", stdin=("x" * 1000 + "\n") * 200_000)
        used_mib = memory_mib(up.pids().values())
        print(f"after 200 MB: {used_mib:.0f} MiB")
        assert used_mib < MEMORY_MAX_MIB, used_mib


def locked_kib(pid):
    """Kilobytes of its programs and libraries in memory (its share), and how many are locked."""
    resident = locked = 0
    of_a_file = False
    with open(f"/proc/{pid}/smaps") as smaps:
        for line in smaps:
            words = line.split()
            if not words[0].endswith(":"):
                of_a_file = words[-1].endswith((".so", "millraced")) or ".so." in words[-1]
            elif of_a_file and words[0] == "Pss:":
                resident += int(words[1])
            elif of_a_file and words[0] == "Locked:":
                locked += int(words[1])
    return resident, locked


@case
def a_dedicated_node_locks_its_memory(directory):
    with Node(directory, "--profile", "dedicated") as up:
        up.ok("produce", "t", stdin="1\n")
        resident, locked = locked_kib(up.pids()["millraced"])
        with open(f"/proc/{up.pids()['millraced']}/status") as status:
            fields = dict(line.split(":", 1) for line in status)
        print(f"programs and libraries: {resident} KiB, locked {locked}; in all{fields['VmLck']}")
        assert 0 < resident == locked, (resident, locked)
        assert "paged out" not in up.log_text()


@case
def a_dedicated_node_that_may_not_lock_says_so_and_goes_on(directory):
    without = ["prlimit", "--memlock=8388608", "setpriv", "--bounding-set=-ipc_lock"]
    with Node(directory, "--profile", "dedicated", prefix=without) as up:
        up.ok("produce", "t", stdin="1\n")
        assert "1\n" in up.ok("consume", "t", "--from", "earliest", "--exit-at-end")
        text = up.log_text()
        assert "a dedicated core pins all its memory, but RLIMIT_MEMLOCK is 8192 KiB" in text, text
        assert locked_kib(up.pids()["millraced"])[1] == 0


if __name__ == "__main__":
    node.main()
