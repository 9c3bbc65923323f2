"""Atomics live where they can be reviewed together: the ring, the counter, and the region."""

import re

import cpp_source
from tree import Finding

ALLOWED = ("dataplane/ring/", "dataplane/base/counter.h", "dataplane/link/", "tests/", "perf/")
ATOMIC = re.compile(r"\bstd::atomic|\batomic_(ref|flag|load|store)|\b__atomic_|\b__sync_")
INCLUDE = re.compile(r"\s*#\s*include\s+<(stdatomic\.h|atomic)>")


def check(tree):
    findings = []
    for path in tree.cpp_paths():
        if path.startswith(ALLOWED):
            continue
        code = cpp_source.blank(tree.text(path)).splitlines()
        for number, line in tree.lines(path):
            match = INCLUDE.match(line) or ATOMIC.search(code[number - 1])
            if match:
                findings.append(Finding(path, number, f"{match.group(0).strip()} outside " +
                                        ", ".join(ALLOWED[:3])))
    return findings
