"""Words that do not belong in code or docs: promises of later work, and paths of one machine."""

import re

from tree import Finding

# In pieces, so that this file passes its own check.
BANNED = [
    (re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX"]) + r")\b"),
     "unfinished work is not committed"),
    (re.compile(r"/" + r"(work|briefs|home/\w+)/"), "a path of one machine"),
    (re.compile(r"\bissue " + r"#?\d", re.IGNORECASE), "code explains itself, not by a number elsewhere"),
]
TEXT_SUFFIXES = (".h", ".hpp", ".cc", ".c", ".py", ".sh", ".md", ".build", ".txt", ".toml", ".html",
                 ".js", ".css", ".in", "dev", ".ci/run")


def check(tree):
    findings = []
    for path in tree.paths(*TEXT_SUFFIXES):
        for number, line in tree.lines(path):
            for pattern, why in BANNED:
                match = pattern.search(line)
                if match:
                    findings.append(Finding(path, number, f"'{match.group(0)}': {why}"))
    return findings
