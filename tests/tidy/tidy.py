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
CLANG_TIDY_FINDING = re.compile(r"^(\S+?):(\d+):\d+: (?:warning|error): (.*)$")
# Arguments of gcc that clang refuses.
GCC_ONLY = re.compile(r" -(?:mmem(?:cpy|set)-strategy=\S+|flto=auto|ffat-lto-objects)")


def clang_tidy(tree):
    """clang-tidy with .clang-tidy, over what the build directory compiles."""
    build = os.path.join(tree.root, "build")
    with open(os.path.join(build, "compile_commands.json")) as file:
        database = json.load(file)
    for entry in database:
        entry["command"] = GCC_ONLY.sub("", entry["command"])
    for_clang = os.path.join(build, "for-clang")
    os.makedirs(for_clang, exist_ok=True)
    with open(os.path.join(for_clang, "compile_commands.json"), "w") as file:
        json.dump(database, file)
    paths = {os.path.normpath(os.path.join(entry["directory"], entry["file"])) for entry in database}

    def run(path):
        """What it says of the file; that it could not read the command at all is said, too."""
        command = ["clang-tidy", "--quiet", "-p", for_clang,
                   "--extra-arg=-Wno-unknown-warning-option", path]
        output = subprocess.run(command, capture_output=True, text=True).stdout
        return re.sub(r"^error: ", path + ":1:1: error: ", output, flags=re.MULTILINE)

    findings = set()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for output in pool.map(run, sorted(paths)):
            for line in output.splitlines():
                match = CLANG_TIDY_FINDING.match(line)
                if not match:
                    continue
                # Paths are as the compiler was given them, which was in the build directory.
                path = os.path.relpath(os.path.join(build, match.group(1)), tree.root)
                if not path.startswith(".."):
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
