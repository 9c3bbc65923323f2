"""clang-tidy with .clang-tidy, over what the build directory compiles."""

import json
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

from tree import Finding

# An error without a place: it could not read the command at all.
FINDING = re.compile(r"^(?:(\S+?):(\d+):\d+: (?:warning|error)|error): (.*)$")
# Arguments of gcc that clang refuses.
GCC_ONLY = re.compile(r" -(?:mmem(?:cpy|set)-strategy=\S+|flto=auto|ffat-lto-objects)")


def check(tree):
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
        command = ["clang-tidy", "--quiet", "-p", for_clang,
                   "--extra-arg=-Wno-unknown-warning-option", path]
        output = subprocess.run(command, capture_output=True, text=True).stdout
        return findings_in(output, path, build, tree.root)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        findings = set().union(*pool.map(run, sorted(paths)))
    return sorted(findings, key=lambda f: (f.path, f.line))


def findings_in(output, path, build, root):
    """What the output of a run over `path` says of files under `root`."""
    findings = set()
    for line in output.splitlines():
        match = FINDING.match(line)
        if not match:
            continue
        # Paths are as the compiler was given them, which was in the build directory.
        place = os.path.relpath(os.path.join(build, match.group(1) or path), root)
        if not place.startswith(".."):
            findings.add(Finding(place, int(match.group(2) or 1), match.group(3)))
    return findings
