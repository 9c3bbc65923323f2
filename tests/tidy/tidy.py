#!/usr/bin/env python3
"""The repository's own rules. Each check prints one line: ok NAME, or FAIL NAME: file:line: what
for each finding. Without --fast, clang-tidy runs over every source file as well."""

import argparse
import os
import sys

import atomics
import clang_tidy
import function_length
import headers
import includes
import layout
import mirror
import selftest
import walk
import words
from tree import Tree

CHECKS = {
    "includes": includes.check,
    "walk": walk.check,
    "mirror": mirror.check,
    "headers": headers.check,
    "function-length": function_length.check,
    "words": words.check,
    "atomics": atomics.check,
    "layout": layout.check,
    "clang-tidy": clang_tidy.check,
}
SLOW = {"clang-tidy"}
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


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

    failed = False
    if options.self_test:
        for name in options.checks or CHECKS:
            problem = selftest.prove(name, CHECKS[name])
            print(f"FAIL {name} can fail: {problem}" if problem else f"ok {name} can fail", flush=True)
            failed |= problem is not None
    for name in options.checks or [name for name in CHECKS if not options.fast or name not in SLOW]:
        findings = CHECKS[name](tree)
        for finding in findings:
            print(f"FAIL {name}: {finding}")
        if not findings:
            print(f"ok {name}")
        sys.stdout.flush()
        failed |= bool(findings)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
