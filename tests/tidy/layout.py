"""Every source file is as clang-format leaves it."""

import re
import subprocess

from tree import Finding

PLACE = re.compile(r"^(.+?):(\d+):\d+: (?:error|warning)")


def check(tree):
    paths = tree.cpp_paths()
    if not paths:
        return []
    run = subprocess.run(["clang-format", "--dry-run", "-Werror", "--style=file", *paths],
                         cwd=tree.root, capture_output=True, text=True)
    first_lines = {}
    for line in run.stderr.splitlines():
        match = PLACE.match(line)
        if match:
            first_lines.setdefault(match.group(1), int(match.group(2)))
    findings = [Finding(path, number, "./dev format changes this")
                for path, number in sorted(first_lines.items())]
    if run.returncode != 0 and not findings:
        findings.append(Finding(".clang-format", 1, run.stderr.strip()))
    return findings
