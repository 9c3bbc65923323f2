#!/usr/bin/env python3
"""The comparison with other systems, without the other systems: its figures over made-up rounds,
its page in a real browser, and a whole run of Millrace alone."""

import json
import os
import random
import shutil
import struct
import subprocess
import sys
import zlib

import node
from node import Skip, case

PERF = os.path.join(node.ROOT, "perf")
sys.path[:0] = [os.path.join(PERF, "report"), os.path.join(PERF, "peers")]

import matrix  # noqa: E402
import measure  # noqa: E402
import page  # noqa: E402
import peer as peers  # noqa: E402
import readme  # noqa: E402
import results as read  # noqa: E402
import table  # noqa: E402
from peer import AXES, Load, Peer, Setup  # noqa: E402

OURS = (0xd5, 0x5e, 0x00)


def some_round(rate, p50_ns):
    latency = {"p50_ns": p50_ns, "p99_ns": 3 * p50_ns, "p999_ns": 9 * p50_ns,
               "buckets": [[p50_ns, 900], [3 * p50_ns, 95], [9 * p50_ns, 5]]}
    return {"reached_target": True, "acknowledged_per_s": rate, "delivered_per_s": rate,
            "acknowledged": latency, "delivered": latency, "unacknowledged": 0, "lost": 0,
            "duplicated": 0, "reordered": 0, "foreign": 0, "client_cpu_s": 1.0,
            "peer_cpu_s": 2.0, "messages": 1000, "peer_resident_bytes": 3 << 20, "backlog": None}


def some_cell(peer, workload, rate, rounds):
    return {"peer": peer, "setup": "flushed", "load": "log", "workload": workload,
            "durability": "device", "payload_bytes": 100, "partitions": 1, "rate": rate,
            "axis": "", "amount": 0, "rounds": rounds,
            "driver": "native" if peer == "millrace" else peer}


def some_results(factor=1.0, host=1.0):
    """factor: how much more Millrace carries, and how much later; host: all."""
    cells = []
    for peer, base, times in (("millrace", 2e6, factor * host), ("kafka", 1e5, host)):
        fast = [some_round(times * base * share, 20_000) for share in (0.9, 1.0, 1.1)]
        paced = [some_round(5000, times * 1e11 / base * share) for share in (0.9, 1.0, 1.1)]
        cells += [some_cell(peer, "fast", 0, fast), some_cell(peer, "paced", 5000, paced)]
    limit = {"peer": "generator", "setup": "", "load": "null", "payload_bytes": 100,
             "rounds": [some_round(2.2e6, 1)]}
    return {"conditions": {"date": "a day", "commit": "abc", "processor": "one", "processors": 2,
                           "kernel": "6", "disk": "vda",
                           "mitigations": {}}, "plan": {"rounds": 3, "measured_s": 1.0},
            "floors": {"ring": {"p50_ns": 200, "p99_ns": 250, "p999_ns": 300},
                       "udp": {"p50_ns": 10_000, "p99_ns": 20_000, "p999_ns": 30_000},
                       "disk": {"p50_ns": 100_000, "p99_ns": 200_000, "p999_ns": 300_000,
                                "path": "disk", "bytes_per_s": 2e9}}, "limits": [limit], "cells": cells,
            "versions": {"kafka": "<1.0>"}, "setups": [], "absent": [], "slowed": {}}


@case
def figures_are_medians_with_their_spread(_):
    cell = read.cells(some_results())[0]
    assert cell.rate() == read.Figure(2e6, 1.8e6, 2.2e6), cell.rate()
    assert cell.cpu_ns().median == 2e6
    # Nine tenths of what the generator can: its limit, not the system's.
    assert read.is_clients(cell, read.client_limit(some_results(), 100))
    lines = [line for line in table.markdown(some_results()).split("\n") if "millrace" in line]
    assert "| 2 M/s (1.8 M/s to 2.2 M/s) |" in lines[0], lines
    assert "the generator's limit" in lines[0], lines
    assert "| 0.1 of the disk |" in lines[0], lines
    assert "| 5 udp, 0.5 disk |" in lines[1], lines
    assert "| floor: udp |  |  | 10 us | 20 us | 30 us |  |  | 1 |  |  |" in \
        table.markdown(some_results())
    assert "limit" not in lines[1], lines


@case
def what_failed_and_what_is_wrong_is_told(_):
    results = some_results()
    results["cells"][0]["rounds"][0].update(lost=7, reached_target=False)
    results["cells"][0]["rounds"][1] = {"error": "no room"}
    line = next(line for line in table.markdown(results).split("\n") if "millrace" in line)
    assert "rate not reached; 7 not delivered; 1 rounds failed: no room" in line, line


@case
def protocols_that_millrace_does_not_speak_are_named(_):
    assert table.setup_lines(some_results())[-1].endswith("alone: kafka")


@case
def a_change_counts_only_outside_the_noise(_):
    def changed(*factors):
        found = read.changes(some_results(), some_results(*factors))
        return {(one["cell"].data["peer"], one["cell"].data["workload"], one["figure"]):
                one["is_change"] for one in found}
    assert not any(changed(1.1).values()), changed(1.1)
    slower = changed(2.0)
    assert slower["millrace", "paced", "p50"] and slower["millrace", "fast", "rate"], slower
    assert not slower["millrace", "fast", "p50"], slower


@case
def a_host_that_is_faster_today_is_no_change(_):
    old, new = some_results(), some_results(1.0, 2.0)
    for one in read.changes(old, new):
        assert not one["is_change"], one
    rate = next(one for one in read.changes(old, some_results(0.5, 2.0))
                if one["cell"].data["peer"] == "millrace" and one["figure"] == "rate")
    assert rate["is_change"] and rate["ratio"] == 1.0 and rate["others"].median == 2.0, rate


def some_growth():
    """Twice the subscribers, half the rate; one of the peers cannot."""
    results = some_results()
    for peer, base in (("millrace", 2e6), ("kafka", 1e5)):
        for amount in (1, 10, 100):
            for rate in (0, 5000):
                rounds = [some_round(base / amount, 1000 * amount)]
                if (peer, amount) == ("kafka", 100):
                    rounds = [{"error": "too many"}]
                cell = some_cell(peer, f"{amount} {rate}", rate, rounds)
                results["cells"].append({**cell, "axis": "subscribers", "amount": amount})
    return results


@case
def what_growth_costs_is_a_table_of_its_own(_):
    text = table.markdown(some_growth())
    assert "### More subscribers" in text and "### 10 0" not in text, text
    lines = text[text.index("### More subscribers"):].split("\n")
    assert "| system | 1 | 10 | 100 |" in lines, lines
    assert ("| millrace log, flushed | 2 M/s; 1 us / 3 us; 3 MiB | 200 k/s; 10 us / 30 us; 3 MiB | "
            "20 k/s; 100 us / 300 us; 3 MiB |") in lines, lines
    assert any(line.endswith("| too many |") for line in lines), lines


@case
def a_rate_that_is_not_reached_ends_the_line(_):
    results = some_results()
    assert not read.ladders(results)
    paced = [cell for cell in results["cells"] if cell["rate"]]
    for cell in paced:
        faster = [{**one, "reached_target": cell["peer"] == "millrace"} for one in cell["rounds"]]
        results["cells"].append({**cell, "workload": "faster", "rate": 9000, "rounds": faster})
    ladder = read.ladders(results)[100, 1]
    assert ladder["millrace log, flushed"] == {5000: 150_000, 9000: 150_000}, ladder
    assert ladder["kafka log, flushed"] == {5000: 3e6, 9000: None}, ladder
    assert "Rate against latency" in page.render(results)


class SomeStarted:
    """A system that bears so many messages a second, and is measured at once."""

    def __init__(self, name, bears, calls, interrupted_at=None):
        load = Load("log", name)
        self.peer = Peer()
        self.peer.name = name
        self.setup = Setup("flushed", "device", (load,))
        self.bears, self.calls, self.interrupted_at = bears, calls, interrupted_at

    def measure(self, load, workload, plan):
        if len(self.calls) == self.interrupted_at:
            raise KeyboardInterrupt
        self.calls.append((self.peer.name, workload.rate))
        return some_round(min(self.bears, workload.rate or self.bears), 1000)


def turns(rounds, interrupted_at=None):
    calls, results = [], some_results()
    plan = matrix.Plan((matrix.closed(100), matrix.paced(100, 5_000), matrix.paced(100, 50_000)),
                       rounds, 0, 1, 1)
    started = [SomeStarted(name, bears, calls, interrupted_at)
               for name, bears in (("millrace", 1e6), ("kafka", 8_000))]
    measure.take_turns(started, plan, random.Random(1), results)
    return calls, results


@case
def a_rate_far_beyond_what_a_system_bears_is_not_tried(_):
    calls, results = turns(2)
    assert calls.count(("millrace", 50_000)) == 2 and calls.count(("kafka", 5_000)) == 2, calls
    assert ("kafka", 50_000) not in calls, calls
    cell = next(one for one in read.cells(results) if one.key[0] == "kafka" and one.data["rate"] == 50_000)
    assert not cell.reached_target()
    assert table.remarks(cell, None) == "rate not tried: it bore 8 k/s", table.remarks(cell, None)
    fast = next(one for one in read.cells(results) if one.key == (*cell.key[:3], matrix.closed(100).name))
    assert table.growth_text(fast, cell) == "8 k/s; 50,000/s not tried; 3 MiB"
    assert readme.row_remarks([fast, cell]) == "rate not tried"
    assert page.render(results) and "ended_after" not in results


@case
def a_turn_that_fails_is_a_round_that_says_so(_):
    class Broken(SomeStarted):
        def measure(self, *_):
            raise RuntimeError("it did not start")
    results, calls = {}, []
    started = [Broken("kafka", 1, calls), SomeStarted("redis", 1, calls)]
    measure.take_turns(started, matrix.Plan((matrix.closed(100),), 2, 0, 1, 1), random.Random(1), results)
    errors = {cell.key[0]: cell.errors for cell in read.cells(results)}
    assert errors == {"kafka": ["RuntimeError: it did not start"] * 2, "redis": []}, errors


class SomeRunning:
    """Whether it is paused is all there is to it."""

    address, settings, is_paused, is_over = "", {}, False, False

    def has_ended(self):
        return self.is_over

    def stop(self):
        self.is_over = True

    def pause(self):
        self.is_paused = True

    def resume(self):
        self.is_paused = False

    def settle(self, seconds, spins):
        return True

    def usage(self):
        return {"cpu_s": 0, "written_bytes": 0, "resident_bytes": 0}


@case
def a_peer_stands_still_after_a_turn_that_failed(directory):
    peer = Peer()
    peer.name = "millrace"
    peer.start = lambda *_: SomeRunning()
    load = Load("log", "null", program=("echo", "no JSON"))
    setup = Setup("flushed", "device", (load,))
    plan = matrix.Plan((matrix.closed(100),), 1, 0, 0, 0)
    one = measure.Started(peer, setup, directory, 0)
    failed = measure.turn_of(one, load, plan.workloads[0], plan)
    assert failed["error"].startswith("JSONDecodeError"), failed
    assert one.running.is_paused


@case
def who_has_ended_is_started_again_and_the_page_says_so(directory):
    peer = Peer()
    peer.name = "redis"
    peer.start = lambda *_: SomeRunning()
    one = measure.Started(peer, Setup("flushed", "device", ()), directory, 0)
    first = one.running
    one.wake()
    assert one.running is first and one.endings == 0
    first.is_over = True
    one.wake()
    assert one.running is not first and one.endings == 1
    results = {**some_results(), "endings": [{"peer": "redis", "setup": "flushed", "times": 1}]}
    assert "redis flushed ended 1 times between turns" in table.markdown(results)


@case
def who_is_compiled_as_it_runs_has_run_before_it_counts(directory):
    log = os.path.join(directory, "log")
    peer = Peer()
    peer.name = "kafka"
    peer.start = lambda *_: SomeRunning()
    peer.warm_up_s = 7.5
    load = Load("log", "null", program=("sh", "-c", f'echo "$@" >> {log}; echo "{{}}"', "sh"))
    one = measure.Started(peer, Setup("flushed", "device", (load,)), directory, 0)

    def runs():
        with open(log) as file:
            return file.read().splitlines()
    assert len(runs()) == 1 and "--warm-up 0 --seconds 7.5" in runs()[0], runs()
    one.wake()
    assert len(runs()) == 1
    one.running.is_over = True
    one.wake()
    assert len(runs()) == 2


@case
def a_peer_ends_what_a_load_left_before_it_stands_still(directory):
    class Writer(SomeRunning):
        has_settled_awake = False

        def settle(self, seconds, spins):
            self.has_settled_awake = not self.is_paused
            return True

    peer = Peer()
    peer.name = "millrace"
    peer.start = lambda *_: Writer()
    one = measure.Started(peer, Setup("udp", "device", ()), directory, 0)
    assert one.running.has_settled_awake and one.running.is_paused
    one.running.has_settled_awake = False
    one.wake()
    one.rest()
    assert one.running.has_settled_awake and one.running.is_paused


@case
def who_has_no_end_of_what_a_load_left_is_started_anew_and_the_page_says_so(directory):
    class Restless(SomeRunning):
        def settle(self, seconds, spins):
            return seconds > measure.Started.TURN_REST_S

    peer = Peer()
    peer.name = "gearmand"
    peer.start = lambda *_: Restless()
    one = measure.Started(peer, Setup("recommended", "memory", ()), directory, 0)
    first = one.running
    one.wake()
    one.rest()
    assert first.is_over and one.running is None and (one.restless, one.endings) == (1, 0)
    one.wake()
    assert one.running is not first and not one.running.is_over and one.endings == 0
    results = {**some_results(), "restless": [{"peer": "gearmand", "setup": "recommended",
                                               "times": 1}]}
    assert "gearmand recommended still worked at what a load had left it 1 times" in \
        table.markdown(results)


def settles(spins, cpu_s=0.0, written_bytes=0):
    """Whether one does that uses so much between two looks at it."""
    class Busy(peers.Running):
        looks = 0

        def usage(self):
            self.looks += 1
            return {"cpu_s": self.looks * cpu_s, "written_bytes": self.looks * written_bytes}

    return Busy(None, "", "").settle(2.5 * peers.LOOK_S, spins)


@case
def who_computes_or_writes_has_not_settled_unless_computing_is_no_sign(_):
    assert settles(spins=False)
    assert not settles(spins=False, cpu_s=peers.LOOK_S / 2)
    assert settles(spins=True, cpu_s=peers.LOOK_S / 2)
    assert not settles(spins=True, written_bytes=64 << 20)
    assert not settles(spins=False, written_bytes=64 << 20)


@case
def who_is_not_ready_when_a_run_is_ended_is_stopped(directory):
    def interrupted():
        raise KeyboardInterrupt

    class Sleeper(SomeRunning):
        def settle(self, seconds, spins):
            interrupted()

        def stop(self):
            stopped.append(self)

    stopped = []
    process, log = peers.spawn(["sleep", "infinity"], directory)
    peer = Peer()
    peer.name = "kafka"
    load = Load("log", "null")
    setup = Setup("flushed", "device", (load,))
    starts = {"starts": lambda *_: peers.when_ready(peers.Running(process, "", log), interrupted),
              "settles": lambda *_: Sleeper()}
    for name, peer.start in starts.items():
        os.mkdir(os.path.join(directory, name))
        try:
            measure.Started(peer, setup, os.path.join(directory, name), 0)
            raise AssertionError(f"{name}: the interrupt was lost")
        except KeyboardInterrupt:
            pass
    assert process.poll() is not None and len(stopped) == 1, (process, stopped)


@case
def who_stood_still_goes_on_with_its_programs_in_memory(directory):
    program = ("import mmap, time; file = open('data', 'w+b'); file.truncate(4096); "
               "kept = mmap.mmap(file.fileno(), 4096); print(flush=True); time.sleep(1000)")
    process, log = peers.spawn([sys.executable, "-c", program], directory)
    running = peers.Running(process, "", log)
    try:
        peers.when_ready(running, lambda: os.path.getsize(log) != 0)
        with open(f"/proc/{process.pid}/maps") as maps:
            assert os.path.join(directory, "data") in maps.read()
        assert any("/libc" in path for path in running.programs()), running.programs()
        assert not any(path.startswith(directory) for path in running.programs())

        def read_of_files():
            with open("/proc/self/io") as counts:
                return int(counts.readline().split()[1])
        running.pause()
        before = read_of_files()
        running.resume()
        programs_bytes = sum(map(os.path.getsize, running.programs()))
        assert read_of_files() - before >= programs_bytes > 1 << 20
        assert node.eventually(lambda: state_of(process.pid) != "T")
    finally:
        running.stop()


def state_of(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0]


@case
def a_run_that_is_ended_early_has_some_of_all(_):
    calls, results = turns(5, interrupted_at=7)
    assert len(calls) == 7 and {rate for _, rate in calls} == {0, 5_000, 50_000}, calls
    assert results["ended_after"] == "8 of 30 turns", results["ended_after"]
    rounds = sum(len(cell.rounds) for cell in read.cells(results))
    assert rounds == 7, rounds
    for text in (table.markdown(results), page.render(results)):
        assert "Ended early, after 8 of 30 turns." in text


@case
def the_readme_has_what_was_measured_last(_):
    text = f"# A\n\n{readme.SIDE_BY_SIDE}\n\nold\n\n### Next\n\nkept\n"
    made = readme.replaced(text, readme.SIDE_BY_SIDE, readme.side_by_side(some_results()))
    assert "old" not in made and made.endswith("\n\n### Next\n\nkept\n"), made
    row = next(line for line in made.split("\n") if line.startswith("| millrace"))
    assert ("| 2 M/s (1.8 M/s to 2.2 M/s) | 50 us (45 us to 55 us) / 150 us (135 us to 165 us); "
            "5 udp |") in row, row
    assert "0.5 disk" in row, row
    grown = readme.growth(some_growth(), "subscribers", [1, 10, 100])
    assert "| system | 1 | 10 | 100 |" in grown and "commit abc" in grown[0], grown
    with open(readme.PATH) as file:
        real = file.read()
    for heading in (readme.SIDE_BY_SIDE, readme.SIZES, readme.RATES,
                    *map(readme.GROWTH.format, AXES)):
        readme.replaced(real, heading, [])


@case
def a_matrix_has_a_table_of_sizes_and_one_of_rates(_):
    few = some_results()
    assert readme.sizes(few) is None and readme.rates(few) is None
    results = some_results()
    for peer, base in (("kafka", 1e5), ("millrace", 2e6)):
        for size, partitions in ((288, 1), (288, 100)):
            one = some_round(base / partitions, 1000)
            cell = some_cell(peer, f"{size} {partitions}", 0, [{**one, "lost": partitions - 1}])
            results["cells"].append({**cell, "payload_bytes": size, "partitions": partitions})
        for rate in (1_000, 10_000, 100_000):
            reached = rate < base
            one = {**some_round(rate, 1e9 / base), "reached_target": reached}
            cell = some_cell(peer, f"288 {rate}", rate, [one])
            results["cells"].append({**cell, "payload_bytes": 288})
    sizes = readme.sizes(results)
    assert "| system | 100 B | 288 B | 288 B, 100 |" in sizes, sizes
    assert sizes[-2].startswith("| millrace"), sizes
    assert sizes[-1].endswith("| 100 k/s | 1 k/s; behind when it ended |"), sizes
    rates = readme.rates(results)
    assert "| system | 1,000/s | 10,000/s | 100,000/s |" in rates, rates
    assert rates[-2].startswith("| millrace log, flushed | 500 ns / 1.5 us |"), rates
    assert rates[-1].endswith("| 10 us / 30 us | not reached |"), rates


def pixels(path):
    """Rows of bytes of an 8-bit PNG, and the bytes of a pixel."""
    with open(path, "rb") as file:
        data = file.read()
    at, packed = 8, b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", body[:10])
        elif kind == b"IDAT":
            packed += body
        at += 12 + length
    assert depth == 8 and colour in (2, 6), (depth, colour)
    size = 3 if colour == 2 else 4
    raw, row, rows = zlib.decompress(packed), bytes(width * size), []
    for y in range(height):
        kind = raw[y * (width * size + 1)]
        line = bytearray(raw[y * (width * size + 1) + 1:(y + 1) * (width * size + 1)])
        for i in range(len(line)):
            left = line[i - size] if i >= size else 0
            above = row[i]
            corner = row[i - size] if i >= size else 0
            if kind == 1:
                guess = left
            elif kind == 2:
                guess = above
            elif kind == 3:
                guess = (left + above) // 2
            elif kind == 4:
                guess = min((left, above, corner), key=lambda one: abs(left + above - corner - one))
            else:
                guess = 0
            line[i] = (line[i] + guess) & 255
        row = bytes(line)
        rows.append(row)
    return rows, size


@case
def the_page_needs_nothing_else_and_a_browser_shows_it(directory):
    text = page.render(some_growth(), read.changes(some_results(), some_results(2.0)))
    for word in ("<script", "http://", "https://", "@import", "url("):
        assert word not in text, word
    assert "&lt;1.0&gt;" in text
    path = os.path.join(directory, "report.html")
    with open(path, "w") as file:
        file.write(text)
    browser = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if browser is None:
        raise Skip("no Chromium: install chromium-headless-shell")
    picture = os.path.join(directory, "report.png")
    subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         f"--user-data-dir={directory}/profile", "--window-size=1000,900", "--hide-scrollbars",
         f"--screenshot={picture}", f"file://{path}"], check=True, capture_output=True,
        timeout=node.HANG_S)
    rows, size = pixels(picture)
    ours = sum(tuple(row[i:i + 3]) == OURS for row in rows for i in range(0, len(row), size))
    # The bar of the fastest is some hundred pixels long and a dozen high.
    assert ours > 3000, ours
    # Nothing is wider than the window: its right edge is paper.
    edge = {row[-size:] for row in rows}
    assert len(edge) == 1, edge


@case
def a_whole_run_of_millrace_alone(directory):
    command = [sys.executable, os.path.join(PERF, "report", "compare.py"), "--quick", "--peers",
               "millrace", "--workloads", "100 B", "--rounds", "1", "--seconds", "0.3", "--out",
               directory]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    with open(os.path.join(directory, "results.json")) as file:
        results = json.load(file)
    assert not results["absent"], results["absent"]
    cells = read.cells(results)
    assert len(cells) == 8, [cell.key for cell in cells]
    for cell in cells:
        assert not cell.errors and not cell.faults(), (cell.key, cell.errors, cell.faults())
        assert cell.rate().median > 0 and cell.buckets("delivered"), cell.key
    assert "millrace durable, memif" in done.stdout, done.stdout


if __name__ == "__main__":
    node.main()
