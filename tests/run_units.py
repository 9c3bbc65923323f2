#!/usr/bin/env python3
"""Builds and runs the unit tests of one meson build directory, case by case.

A test executable is GoogleTest unless its output shows no case, and then its exit status counts as
one. Every case becomes one line of --results: pass|fail|skip, a tab, its name.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time

CASE_BEGIN = re.compile(r"\[ RUN {6}\] (\S+)")
CASE_END = re.compile(r"\[ +(OK|FAILED|SKIPPED) +\] ([^\s,]+).*\(\d+ ms\)")
OUTCOMES = {"OK": "pass", "FAILED": "fail", "SKIPPED": "skip"}
SKIPPED_EXIT = 77
TIMEOUT_S = 600
TAIL_LINES = 60


def introspect(build, what):
    return json.loads(subprocess.check_output(["meson", "introspect", build, "--" + what]))


def chosen_tests(build, folders):
    """The tests whose executable lies in one of the folders, or all."""
    tests = []
    for test in introspect(build, "tests"):
        path = os.path.relpath(test["cmd"][0], build)
        if not folders or any(path.startswith(folder + "/") for folder in folders):
            tests.append(test)
    return tests


def build_targets(build, tests, jobs, log):
    """Builds the tests' executables and what they depend on; true when that worked."""
    files = {target["id"]: target["filename"] for target in introspect(build, "targets")}
    wanted = set()
    for test in tests:
        if test["cmd"][0].startswith(build + "/"):
            wanted.add(os.path.relpath(test["cmd"][0], build))
        for target in test["depends"]:
            wanted.update(os.path.relpath(name, build) for name in files.get(target, []))
    with open(log, "w") as output:
        command = ["ninja", "-C", build, "-j", str(jobs), *sorted(wanted)]
        return subprocess.run(command, stdout=output, stderr=subprocess.STDOUT).returncode == 0


def read_cases(output):
    """[(outcome, case)] of a GoogleTest output; a case that began and never ended has failed."""
    cases = []
    running = None
    for line in output.splitlines():
        ended = CASE_END.search(line)
        begun = CASE_BEGIN.search(line)
        if begun:
            running = begun.group(1)
        elif ended and ended.group(2) == running:
            cases.append((OUTCOMES[ended.group(1)], running))
            running = None
    if running is not None:
        cases.append(("fail", running))
    return cases


def run_test(test, wrap):
    """(cases, output) of one executable."""
    environment = {
        "ASAN_OPTIONS": "detect_stack_use_after_return=1",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
        **os.environ,
        **test.get("env", {}),
    }
    try:
        run = subprocess.run(
            wrap + test["cmd"], cwd=test.get("workdir") or None, env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=TIMEOUT_S)
        status, output = run.returncode, run.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as expired:
        status = f"over {TIMEOUT_S} s"
        output = (expired.stdout or b"").decode(errors="replace")
    except OSError as error:
        status, output = str(error), ""
    cases = read_cases(output)
    if not cases:
        outcome = {0: "pass", SKIPPED_EXIT: "skip"}.get(status, "fail")
        return [(outcome, f"(exit status {status})")], output
    if status != 0 and not any(outcome == "fail" for outcome, _ in cases):
        cases.append(("fail", f"(all cases passed, yet the exit status is {status})"))
    return cases, output


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True, type=os.path.abspath)
    parser.add_argument("--label", required=True)
    parser.add_argument("--results", required=True)
    parser.add_argument("--log", required=True)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--folder", action="append", default=[])
    parser.add_argument("--wrap", default="", help="a command to run each executable under")
    options = parser.parse_args()

    def record(outcome, name):
        with open(options.results, "a") as results:
            results.write(f"{outcome}\t{options.label} {name}\n")

    # What meson knows is stale when a meson.build changed since.
    subprocess.run(["ninja", "-C", options.build, "build.ninja"], stdout=subprocess.DEVNULL)
    tests = chosen_tests(options.build, options.folder)
    began = time.monotonic()
    if not build_targets(options.build, tests, options.jobs, options.log):
        record("fail", f"build in {options.build}")
        with open(options.log) as log:
            sys.stderr.writelines(log.readlines()[-TAIL_LINES:])
        return 1
    print(f"  built in {time.monotonic() - began:.0f} s", file=sys.stderr)

    failed = False
    for test in tests:
        began = time.monotonic()
        cases, output = run_test(test, options.wrap.split())
        bad = [case for outcome, case in cases if outcome == "fail"]
        for outcome, case in cases:
            record(outcome, f"{test['name']} {case}")
        word = "FAIL" if bad else "ok"
        took = time.monotonic() - began
        print(f"  {word} {test['name']}: {len(cases)} cases, {took:.1f} s", file=sys.stderr)
        if bad:
            failed = True
            print("\n".join(output.splitlines()[-TAIL_LINES:]), file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
