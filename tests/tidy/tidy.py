#!/usr/bin/env python3
"""The repository's own rules. Each check prints one line: ok NAME, or FAIL NAME: file:line: what
for each finding. Without --fast, clang-tidy runs over every source file as well."""

import argparse
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import atomics
import function_length
import headers
import includes
import layout
import mirror
import selftest
import walk
import words
from tree import Finding, Tree

CHECKS = {
    "includes": includes.check,
    "walk": walk.check,
    "mirror": mirror.check,
    "headers": headers.check,
    "function-length": function_length.check,
    "words": words.check,
    "atomics": atomics.check,
    "layout": layout.check,
}
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CLANG_TIDY_FINDING = re.compile(r"^(/\S+?):(\d+):\d+: (?:warning|error): (.*)$")


def clang_tidy(tree):
    """clang-tidy with .clang-tidy, over what the build directory compiles."""
    build = os.path.join(tree.root, "build")
    with open(os.path.join(build, "compile_commands.json")) as database:
        paths = {os.path.normpath(os.path.join(entry["directory"], entry["file"]))
                 for entry in json.load(database)}

    def run(path):
        # The compile commands are gcc's; what clang does not know of them is no finding.
        command = ["clang-tidy", "--quiet", "-p", build, "--extra-arg=-Wno-unknown-warning-option",
                   "--extra-arg=-Wno-unused-command-line-argument", path]
        return subprocess.run(command, capture_output=True, text=True).stdout

    findings = set()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for output in pool.map(run, sorted(paths)):
            for line in output.splitlines():
                match = CLANG_TIDY_FINDING.match(line)
                if match and match.group(1).startswith(tree.root + "/"):
                    path = os.path.relpath(match.group(1), tree.root)
                    findings.add(Finding(path, int(match.group(2)), match.group(3)))
    return sorted(findings, key=lambda f: (f.path, f.line))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fast", action="store_true", help="without clang-tidy")
    parser.add_argument("--self-test", action="store_true", help="prove first that each check can fail")
    parser.add_argument("--fix-walk", action="store_true", help="rewrite the places in the walk's table")
    parser.add_argument("checks", nargs="*", metavar="CHECK", help="only these: " + ", ".join(CHECKS))
    options = parser.parse_args()
    unknown = [name for name in options.checks if name not in CHECKS]
    if unknown:
        parser.error("no check " + ", ".join(unknown))

    tree = Tree(ROOT)
    if options.fix_walk:
        for function in walk.fix(tree):
            print(f"not found: {function}", file=sys.stderr)
        tree = Tree(ROOT)

    checks = {name: CHECKS[name] for name in options.checks or CHECKS}
    failed = False
    if options.self_test:
        for name, check in checks.items():
            problem = selftest.prove(name, check)
            print(f"FAIL {name} can fail: {problem}" if problem else f"ok {name} can fail", flush=True)
            failed |= problem is not None
    if not options.fast and not options.checks:
        checks["clang-tidy"] = clang_tidy
    for name, check in checks.items():
        findings = check(tree)
        for finding in findings:
            print(f"FAIL {name}: {finding}")
        if not findings:
            print(f"ok {name}")
        sys.stdout.flush()
        failed |= bool(findings)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
