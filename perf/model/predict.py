#!/usr/bin/env python3
"""What a message costs on each path, and from it the rates of hosts with more cores, NIC queues and
devices; what two processors can check of that is checked.

Writes model.json and model.md into the folder --out names.
"""

import argparse
import dataclasses
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "report")]

import checks  # noqa: E402
import conditions  # noqa: E402
import count  # noqa: E402
import device  # noqa: E402
import lines  # noqa: E402
import model  # noqa: E402
import server  # noqa: E402
import text  # noqa: E402

PATHS = ("memif", "udp")
ACKS = ("memory", "durable")
# The ring floor is there and back, each way a slot and the index that shows it.
RING_LINES = 4
LINE_NS_UNKNOWN = 50.0
SPREAD = ("rate", "node_ns", "client_ns")
THROTTLED_BYTES_PER_S = 100_000_000
CORES = (1, 2, 4, 8, 16, 32)
# Small messages in full packets, and a packet each.
SHAPES = ((100, 0), (1344, 1500))
# What a host has besides cores: acknowledgement, queues (0: one for each core), devices.
HOSTS = (("memory", 0, 4), ("memory", 1, 4), ("durable", 0, 1), ("durable", 0, 2),
         ("durable", 0, 4))


@dataclasses.dataclass(frozen=True)
class Plan:
    rounds: int
    times: count.Times
    device_s: float


FULL = Plan(3, count.Times(), 2.0)
QUICK = Plan(1, count.Times(0.4, 0.6, 0.3), 0.5)


def parse():
    parser = argparse.ArgumentParser(prog="./dev bench model", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round, and shorter")
    parser.add_argument("--paths", default=",".join(PATHS), help="of memif, udp [both]")
    parser.add_argument("--out", default="build/model", help="a folder [build/model]")
    parser.add_argument("--again", metavar="MODEL.json", help="tables of this run's counts, again")
    parser.add_argument("--readme", action="store_true",
                        help="write the tables of perf/model/README.md anew")
    parser.add_argument("--nic-gbit", type=float, default=100, help="each way [100]")
    parser.add_argument("--queue-mpps", type=float, default=15, help="packets of a queue [15]")
    parser.add_argument("--device-gbps", type=float, default=3, help="GB/s written [3]")
    parser.add_argument("--device-kiops", type=float, default=50, help="flushed writes [50]")
    parser.add_argument("--memory-gbps", type=float, default=100, help="GB/s [100]")
    return parser.parse_args()


def say(words):
    print(f"model: {words}", file=sys.stderr, flush=True)


def line_ns():
    """A cache line from one core to another, waited for; of the hand-over between two cores."""
    done = subprocess.run([server.millrace.PROGRAM, "bench", "floor", "--of", "ring", "-o", "json"],
                          capture_output=True, text=True)
    if done.returncode != 0:
        return LINE_NS_UNKNOWN
    return json.loads(done.stdout)["p50_ns"] / RING_LINES


def workloads(path):
    keys = (*checks.FITTED, *checks.UNSEEN_SIZES, *checks.UNSEEN_BATCHES)
    return [count.Workload(path, ack, *key) for ack in ACKS for key in keys]


def median_cell(rounds):
    """Of each figure, over the rounds of one workload that have it; nested ones too."""
    merged = {}
    for name in dict.fromkeys(name for one in rounds for name in one):
        values = [one[name] for one in rounds if one.get(name) is not None]
        if not values:
            merged[name] = None
        elif isinstance(values[0], dict):
            merged[name] = median_cell(values)
        elif isinstance(values[0], (int, float)):
            merged[name] = statistics.median(values)
            if name in SPREAD:
                merged.setdefault("spread", {})[name] = [min(values), max(values)]
        else:
            merged[name] = values[0]
    return merged


def count_path(path, plan):
    found = {}
    with server.Node(path) as node:
        node.settle()
        counter = count.Counter(node, plan.times)
        if counter.why_no_perf:
            say(f"costs are bounds and no system calls are counted: {counter.why_no_perf}")
        for turn in range(plan.rounds):
            say(f"{path}: round {turn + 1} of {plan.rounds}")
            for workload in workloads(path):
                found.setdefault(workload.name, []).append(counter.count(workload))
    return [median_cell(rounds) for rounds in found.values()], counter.why_no_perf


def complete(cells):
    """The lines that cross, counted from shapes; bounds where perf could not tell work apart."""
    facts = lines.Facts.read()
    for cell in cells:
        cell["terms"] = [dataclasses.asdict(term)
                         for term in (*lines.port_terms(cell), *lines.device_terms(cell))]
        cell["crossing"] = [dataclasses.asdict(term) for term in lines.crossing_terms(cell, facts)]
        cell["lines"] = sum(term["lines"] for term in cell["terms"])
        cell["crossing_lines"] = sum(term["lines"] for term in cell["crossing"])
        cell["crossing_bytes"] = lines.crossing_bytes(cell)
        for of in ("node", "client"):
            if cell[f"{of}_ns"] is None:
                cell[f"{of}_ns"] = cell[f"{of}_cpu_ns"]


def measure(asked):
    plan = QUICK if asked.quick else FULL
    directory = os.environ.get("TMPDIR", "/var/tmp")
    found = {"conditions": conditions.gather(server.ROOT, directory), "rounds": plan.rounds,
             "window": plan.times.window, "cells": [], "checks": [],
             "device": device.measure(directory, plan.device_s), "line_ns": line_ns()}
    for path in asked.paths.split(","):
        cells, found["why_no_perf"] = count_path(path, plan)
        complete(cells)
        found["cells"] += cells
        made = [*checks.unseen(cells, "a payload size not seen", checks.UNSEEN_SIZES),
                *checks.unseen(cells, "a batch size not seen", checks.UNSEEN_BATCHES),
                *checks.loop_rates(cells, found["device"])]
        say(f"{path}: sharing processors")
        made += checks.sharing(cells, found["line_ns"], plan.times, plan.rounds)
        try:
            made += checks.device_bound(cells, THROTTLED_BYTES_PER_S, plan.times)
        except OSError as problem:
            say(f"no slower device can be made here: {problem}")
        found["checks"] += [{**dataclasses.asdict(one), "error": one.error} for one in made]
    return found


def hardware(asked, found, cores, queues, devices):
    return model.Hardware(cores, queues, devices, asked.queue_mpps * 1e6, asked.nic_gbit / 8 * 1e9,
                          asked.device_gbps * 1e9, asked.device_kiops * 1e3,
                          asked.memory_gbps * 1e9, found["line_ns"])


def predict(asked, found):
    """Rates of hosts, for what was counted of SHAPES."""
    found["costs"], found["predictions"] = {}, []
    for path in dict.fromkeys(cell["path"] for cell in found["cells"]):
        cells = [cell for cell in found["cells"] if cell["path"] == path]
        costs = {of: checks.fit_cells(cells, f"{of}_ns") for of in ("node", "client")}
        found["costs"][path] = {of: dataclasses.asdict(one) for of, one in costs.items()}
        of_key = {(cell["ack"], checks.key_of(cell)): cell for cell in cells}
        for key, cores, (ack, queues, devices) in itertools.product(SHAPES, CORES, HOSTS):
            # The kernel's sockets are no queues.
            if path == "udp" and queues:
                continue
            cell = of_key[ack, key]
            made = model.predict(costs["node"], checks.shape_of(cell),
                                 hardware(asked, found, cores, queues or cores, devices))
            found["predictions"].append(
                {"path": path, "ack": ack, "payload_bytes": key[0], "batch_bytes": key[1],
                 "cores": cores, "queues": queues, "devices": devices, **dataclasses.asdict(made)})


def write(asked, found):
    os.makedirs(asked.out, exist_ok=True)
    page = text.markdown(found, asked)
    for name, content in (("model.json", json.dumps(found)), ("model.md", page)):
        with open(os.path.join(asked.out, name), "w") as file:
            file.write(content)
    if asked.readme:
        write_readme(text.markdown(found, asked, is_short=True))
    print(page)
    say(f"{asked.out}/model.md and model.json")


def write_readme(measured):
    """Its last section is what was measured last."""
    path = os.path.join(HERE, "README.md")
    with open(path) as file:
        kept, heading, _ = file.read().partition("\n## Measured\n")
    with open(path, "w") as file:
        file.write(f"{kept}{heading}\n{measured}")


def main():
    # Ctrl-C and its like end what was started in order.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    asked = parse()
    if asked.again:
        with open(asked.again) as file:
            found = json.load(file)
    else:
        found = measure(asked)
    predict(asked, found)
    write(asked, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
