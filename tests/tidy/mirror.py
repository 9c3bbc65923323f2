"""Tests mirror the sources: each test file has its source and is built, and each folder of code has a test."""

import os
import re

from tree import Finding

SOURCE_ROOTS = ("dataplane/", "storage/", "control/", "nic-config/")
# Below tests/, and mirrors of nothing.
OTHER_TESTS = ("support", "sim", "powercut", "fuzz", "interop", "hw", "tidy", "perf")
MAIN = re.compile(r"^int main\(", re.MULTILINE)


def check(tree):
    findings = []
    tested = set()
    built = "".join(tree.text(path) for path in tree.paths("meson.build", under="tests/"))
    for path in tree.paths("_test.cc", under="tests/"):
        if not re.search(rf"['/]{re.escape(os.path.basename(path))}'", built):
            findings.append(Finding(path, 1, "no meson.build names it, so it never runs"))
        mirrored = path[len("tests/") : -len("_test.cc")]
        if mirrored.split("/")[0] in OTHER_TESTS:
            continue
        tested.add(os.path.dirname(mirrored))
        if not any(tree.exists(mirrored + suffix) for suffix in (".h", ".hpp", ".cc")):
            findings.append(Finding(path, 1, f"tests no source: neither {mirrored}.h nor .cc is there"))
    untested = {}
    for path in tree.paths(".cc"):
        folder = os.path.dirname(path)
        if path.startswith(SOURCE_ROOTS) and folder not in tested and not MAIN.search(tree.text(path)):
            untested.setdefault(folder, path)
    for folder, path in sorted(untested.items()):
        findings.append(Finding(path, 1, f"no test in tests/{folder}/"))
    return findings
