#!/usr/bin/env python3
"""Millrace beside the systems people run today, on this machine, in one run.

Writes results.json, report.md and report.html into the folder --out names.
"""

import argparse
import dataclasses
import json
import os
import re
import shutil
import signal
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "peers")]

import matrix  # noqa: E402
import measure  # noqa: E402
import page  # noqa: E402
import readme  # noqa: E402
import registry  # noqa: E402
import results as read  # noqa: E402
import table  # noqa: E402


def parse():
    parser = argparse.ArgumentParser(prog="./dev bench compare", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer workloads, shorter rounds")
    parser.add_argument("--growth", action="store_true",
                        help="what more partitions, subscribers, connections and backlog cost")
    parser.add_argument("--peers", help=f"of {', '.join(registry.names())} [all]")
    parser.add_argument("--workloads", help="only those in whose name this regular expression is found")
    parser.add_argument("--rounds", type=int, help="instead of the plan's")
    parser.add_argument("--seconds", type=float, help="of each round, instead of the plan's")
    parser.add_argument("--out", default="build/compare", help="a folder [build/compare]")
    parser.add_argument("--compare", metavar="OLD.json", help="an earlier run's results.json")
    parser.add_argument("--page", metavar="RESULTS.json", help="write the page of this run again")
    parser.add_argument("--readme", action="store_true",
                        help="write the tables of perf/README.md anew")
    parser.add_argument("--seed", type=int, default=1, help="of the order of turns [1]")
    parser.add_argument("--slow", metavar="PEER=SHARE", action="append", default=[],
                        help="make it stand still for this share of the time, as in redis=0.5")
    return parser.parse_args()


def slowed_peers(words):
    """By name, the share of the time."""
    found = {}
    for word in words:
        name, _, share = word.partition("=")
        try:
            found[name] = float(share)
        except ValueError:
            sys.exit(f"--slow {word}: it reads PEER=SHARE, as in redis=0.5")
        if name not in registry.names() or not 0 < found[name] < 1:
            sys.exit(f"--slow {word}: a peer of {', '.join(registry.names())}, and a share between "
                     "0 and 1")
    return found


def chosen_plan(asked):
    plans = {False: (matrix.FULL, matrix.QUICK), True: (matrix.FULL_GROWTH, matrix.QUICK_GROWTH)}
    plan = plans[asked.growth][asked.quick]
    plan = dataclasses.replace(plan, rounds=asked.rounds or plan.rounds,
                               measured_s=asked.seconds or plan.measured_s)
    if not asked.workloads:
        return plan
    try:
        kept = tuple(one for one in plan.workloads if re.search(asked.workloads, one.name))
    except re.error as error:
        sys.exit(f"--workloads {asked.workloads}: {error}")
    if not kept:
        sys.exit(f"--workloads {asked.workloads} finds none of: " +
                 "; ".join(one.name for one in plan.workloads))
    return dataclasses.replace(plan, workloads=kept)


def run(asked):
    if asked.page:
        with open(asked.page) as file:
            return json.load(file)
    try:
        chosen = registry.choose(asked.peers.split(",") if asked.peers else None)
    except ValueError as error:
        sys.exit(str(error))
    # Where a device is below: what is measured as flushed has to reach one.
    directory = tempfile.mkdtemp(prefix="millrace-compare-", dir=os.environ.get("TMPDIR", "/var/tmp"))
    try:
        return measure.measure(chosen, chosen_plan(asked), directory, asked.seed,
                               slowed_peers(asked.slow))
    except KeyboardInterrupt:
        sys.exit("compare: ended before the first turn")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def write(asked, results):
    os.makedirs(asked.out, exist_ok=True)
    found = None
    if asked.compare:
        with open(asked.compare) as file:
            found = read.changes(json.load(file), results)
    with open(os.path.join(asked.out, "results.json"), "w") as file:
        json.dump(results, file)
    text = table.markdown(results)
    if found is not None:
        text += "\n".join(["### Since the run before", "", *table.changes_lines(found), ""])
    for name, content in (("report.md", text), ("report.html", page.render(results, found))):
        with open(os.path.join(asked.out, name), "w") as file:
            file.write(content)
    if asked.readme:
        readme.write(results)
    print(text)
    print(f"compare: {asked.out}/report.html, report.md and results.json", file=sys.stderr)


def main():
    # As Ctrl-C: in the middle of turns, what was measured is written.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    asked = parse()
    results = run(asked)
    write(asked, results)
    complete = "ended_after" not in results and all(
        cell.rounds or cell.beyond() for cell in read.cells(results))
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
