"""Runs the matrix: starts every peer, then lets their loads take turns, round after round."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

import conditions
import matrix
import results as read
from peer import Load

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("MILLRACE_BUILD", os.path.join(ROOT, "build"))
LOADGEN = os.path.join(BUILD, "perf", "loadgen", "millrace-loadgen")
# Of one run of the generator, beyond what it measures: its drain, and making what it needs.
EXTRA_WAIT_S = 90
WARM_UP_DRAIN_S = 5
FLOORS = ("ring", "memif", "udp", "disk")
# A rate so many times what a load bore as fast as it goes is not tried; with a window in flight it
# may bear less than a rate.
BEYOND = 5


def say(text):
    print(f"compare: {text}", file=sys.stderr, flush=True)


class Bar:
    """A line that says how far a long run is: redrawn on a terminal, now and then elsewhere."""

    def __init__(self, total):
        self.total = total
        self.done = 0
        self.start = time.monotonic()
        self.said = 0

    def step(self, what):
        self.done += 1
        passed = time.monotonic() - self.start
        left = passed / self.done * (self.total - self.done)
        width = 30 * self.done // self.total
        line = (f"[{'#' * width}{'.' * (30 - width)}] {self.done}/{self.total}, "
                f"{left / 60:.0f} min left: {what}")
        if sys.stderr.isatty():
            print(f"\r{line:<100}", end="" if self.done < self.total else "\n", file=sys.stderr,
                  flush=True)
        elif time.monotonic() - self.said > 30 or self.done == self.total:
            self.said = time.monotonic()
            say(line)


def generate(load, address, settings, workload, plan):
    """One run of the generator: its JSON, or {"error": ...}."""
    command = [*(load.program or [LOADGEN]), "--driver", load.driver, *workload.flags(), "--warm-up",
               str(plan.warm_up_s), "--seconds", str(plan.measured_s)]
    if address:
        command += ["--address", address]
    if not load.program:
        command += ["--drain", str(plan.drain_s)]
        if load.pins_generator:
            command += ["--cpu", str(min(os.sched_getaffinity(0)))]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True,
                              timeout=plan.warm_up_s + plan.measured_s + plan.drain_s +
                              EXTRA_WAIT_S + (matrix.FILL_S_MAX if workload.backlog else 0))
    except subprocess.TimeoutExpired:
        return {"error": "it did not end"}
    if done.returncode != 0:
        return {"error": (done.stderr.strip() or f"exit code {done.returncode}")[-400:]}
    return json.loads(done.stdout.strip().splitlines()[-1])


class Beside:
    """Something done again and again on a thread while a peer is measured; turn() does it once."""

    def __init__(self, every_s):
        self.every_s = every_s
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.work)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.thread.join()

    def work(self):
        while not self.is_over.wait(self.every_s):
            self.turn()


class Brake(Beside):
    """Makes a peer stand still for a share of the time, to see whether the report shows it."""

    PERIOD_S = 0.01

    def __init__(self, running, share):
        super().__init__(self.PERIOD_S * (1 - share))
        self.running = running
        self.share = share

    def turn(self):
        self.running.pause()
        time.sleep(self.PERIOD_S * self.share)
        self.running.resume()


class Memory(Beside):
    """The most resident memory of a peer."""

    EVERY_S = 0.2

    def __init__(self, running):
        super().__init__(self.EVERY_S)
        self.running = running
        self.most = 0

    def turn(self):
        self.most = max(self.most, self.running.usage()["resident_bytes"])


class Started:
    """A peer's setup that stands still (SIGSTOP) until it is its turn."""

    START_REST_S = 60
    TURN_REST_S = 10

    def __init__(self, peer, setup, directory, slowed):
        self.peer = peer
        self.setup = setup
        self.slowed = slowed
        self.directory = os.path.join(directory, f"{peer.name}-{setup.name}".replace(" ", "-"))
        os.mkdir(self.directory)
        self.running = None
        self.endings = 0  # of its own accord, or the kernel's
        self.restless = 0  # turns after which it went on working
        try:
            self.wake()
            self.rest(self.START_REST_S)
        except BaseException:
            self.stop()
            raise

    def wake(self):
        if self.running is not None and self.running.has_ended():
            self.endings += 1
            say(f"{self.peer.name}, {self.setup.name} has ended, and is started again")
            self.stop()
        if self.running is None:
            directory = tempfile.mkdtemp(dir=self.directory)
            self.running = self.peer.start(directory, self.setup)
            self.warm_up()
        else:
            self.running.resume()
        time.sleep(self.peer.wake_s)

    def warm_up(self):
        if self.peer.warm_up_s:
            plan = matrix.Plan((), 1, 0, self.peer.warm_up_s, WARM_UP_DRAIN_S)
            self.generate(self.setup.loads[0], matrix.closed(100), plan)

    def generate(self, load, workload, plan):
        return generate(load, self.running.address, {**load.settings, **self.running.settings},
                        workload, plan)

    def rest(self, seconds=TURN_REST_S):
        """Ends its turn: it does what its load has left, and stands still. Who has no end of that
        is stopped, and started for its next turn."""
        if self.running is None:
            return
        if not self.setup.restarts:
            if self.running.settle(seconds, self.setup.spins):
                self.running.pause()
                return
            self.restless += 1
        self.stop()

    def stop(self):
        if self.running is not None:
            self.running.stop()
            self.running = None

    def measure(self, load, workload, plan):
        try:
            self.wake()
            before = self.running.usage()
            memory = Memory(self.running)
            with contextlib.ExitStack() as beside:
                if self.slowed:
                    beside.enter_context(Brake(self.running, self.slowed))
                # Looking costs time, which would show in latencies.
                if workload.axis:
                    beside.enter_context(memory)
                one = self.generate(load, workload, plan)
            after = self.running.usage()
        finally:
            self.rest()
        if "error" not in one:
            seconds = plan.warm_up_s + plan.measured_s
            one["messages"] = one["sent_per_s"] * seconds
            one["peer_cpu_s"] = after["cpu_s"] - before["cpu_s"]
            one["peer_written_bytes"] = after["written_bytes"] - before["written_bytes"]
            one["peer_resident_bytes"] = max(memory.most, after["resident_bytes"])
        return one


def loads_of(setup, workload):
    return [load for load in setup.loads if not workload.axis or workload.axis in load.grows]


def start_all(chosen, plan, directory, slowed, started):
    """All that have a turn, into started. Whoever cannot be installed or started is told, returned
    and left out of the figures, by name."""
    absent = []
    for peer in chosen:
        setups = [setup for setup in peer.setups
                  if any(loads_of(setup, workload) for workload in plan.workloads)]
        if not setups:
            continue
        try:
            peer.install()
        except (RuntimeError, OSError) as error:
            absent.append({"peer": peer.name, "setup": "", "why": str(error)})
            say(f"{peer.name} is not there: {error}")
            continue
        for setup in setups:
            say(f"starting {peer.name}, {setup.name}")
            try:
                started.append(Started(peer, setup, directory, slowed.get(peer.name, 0)))
            except (RuntimeError, OSError) as error:
                absent.append({"peer": peer.name, "setup": setup.name, "why": str(error)})
                say(f"{peer.name}, {setup.name} did not start: {error}")
    return absent


def measure_floors():
    floors = {}
    for of in FLOORS:
        done = subprocess.run([os.path.join(BUILD, "millrace"), "bench", "floor", "--of", of, "-o",
                               "json"], capture_output=True, text=True)
        floors[of] = (json.loads(done.stdout) if done.returncode == 0
                      else {"error": done.stderr.strip()[-400:]})
    return floors


def measure(chosen, plan, directory, seed, slowed):
    """The whole matrix, as results.py reads it. slowed: by peer, which share of the time it is made
    to stand still."""
    results = {"conditions": conditions.gather(ROOT, directory), "seed": seed,
               "plan": {"rounds": plan.rounds, "warm_up_s": plan.warm_up_s,
                        "measured_s": plan.measured_s},
               "floors": measure_floors(), "limits": [], "cells": [], "versions": {},
               "slowed": slowed}
    for payload_bytes in dict.fromkeys(one.payload_bytes for one in plan.workloads):
        rounds = [generate(Load("null", "null"), "", {}, matrix.closed(payload_bytes), plan)
                  for _ in range(plan.rounds)]
        results["limits"].append({"peer": "generator", "setup": "", "load": "null",
                                  "payload_bytes": payload_bytes, "rounds": rounds})
    started = []
    try:
        results["absent"] = start_all(chosen, plan, directory, slowed, started)
        results["versions"] = {one.peer.name: one.peer.version() for one in started}
        results["setups"] = [{"peer": one.peer.name, "setup": one.setup.name,
                              "note": one.setup.note, "durability": one.setup.durability}
                             for one in started]
        take_turns(started, plan, random.Random(seed), results)
    finally:
        for what in ("endings", "restless"):
            results[what] = [{"peer": one.peer.name, "setup": one.setup.name, "times": times}
                             for one in started if (times := getattr(one, what))]
        # Whoever is impatient by now shall still have what was measured.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        for one in started:
            with contextlib.suppress(RuntimeError, OSError, subprocess.TimeoutExpired):
                one.stop()
    return results


def take_turns(started, plan, order, results):
    """Round after round of the whole plan, so that a run that is ended early has some of all."""
    found = {}
    turns = {workload: [(one, load) for one in started for load in loads_of(one.setup, workload)]
             for workload in plan.workloads}
    bar = Bar(sum(map(len, turns.values())) * plan.rounds)
    try:
        for _ in range(plan.rounds):
            for workload in plan.workloads:
                # No peer always follows the same other one.
                for one, load in order.sample(turns[workload], len(turns[workload])):
                    cell = cell_of(found, one, load, workload)
                    bar.step(f"{read.Cell(cell).label}: {workload.name}")
                    if not is_beyond(found, cell):
                        cell["rounds"].append(turn_of(one, load, workload, plan))
    except KeyboardInterrupt:
        results["ended_after"] = f"{max(0, bar.done - 1):,} of {bar.total:,} turns"
        say(f"ended after {results['ended_after']}")
    finally:
        results["cells"] = [cell for cell in found.values() if cell["rounds"] or cell["beyond"]]


def turn_of(one, load, workload, plan):
    """What fails is a round that says so, not the end of the others."""
    try:
        return one.measure(load, workload, plan)
    except (RuntimeError, OSError, ValueError, LookupError) as error:
        return {"error": f"{type(error).__name__}: {error}"[-400:]}


def cell_of(found, one, load, workload):
    key = (one.peer.name, one.setup.name, load.name, workload.name)
    return found.setdefault(key, {
        "peer": key[0], "setup": key[1], "load": key[2], "workload": key[3],
        "durability": load.durability or one.setup.durability,
        "payload_bytes": workload.payload_bytes, "partitions": workload.partitions,
        "rate": workload.rate, "axis": workload.axis, "amount": workload.amount,
        "driver": load.driver, "beyond": 0, "rounds": []})


def is_beyond(found, cell):
    """Whether its rate is so far over what the same load bore as fast as it goes that waiting for
    it would tell nothing; the cell keeps that rate. What began to be measured goes on."""
    if cell["rate"] and not cell["rounds"] and not cell["beyond"]:
        same = ("peer", "setup", "load", "payload_bytes", "partitions", "axis", "amount")
        fastest = [figure.high for other in found.values()
                   if not other["rate"] and all(other[name] == cell[name] for name in same)
                   and (figure := read.Cell(other).rate()) is not None]
        if fastest and cell["rate"] > BEYOND * max(fastest):
            cell["beyond"] = max(fastest)
    return cell["beyond"] != 0
