"""Every header compiles alone. A header whose text and includes did not change since it last did is
not compiled again."""

import hashlib
import os
import re
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor

from tree import HEADER_SUFFIXES, Finding

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
FLAGS = ["-std=c++20", "-Wall", "-Wextra", "-D_GNU_SOURCE", "-march=x86-64-v3", "-fsyntax-only"]
LIBRARIES = ["libdpdk", "liburing", "hwloc", "libisal", "fmt"]
JOBS = 2


def check(tree):
    headers = tree.paths(*HEADER_SUFFIXES)
    flags = FLAGS + _library_flags() + ["-I", tree.root]
    with ThreadPoolExecutor(JOBS) as pool:
        return [finding for finding in pool.map(lambda h: _compile(tree, h, flags), headers) if finding]


def _library_flags():
    flags = []
    for library in LIBRARIES:
        found = subprocess.run(["pkg-config", "--cflags", library], capture_output=True, text=True)
        for flag in shlex.split(found.stdout):
            if flag.startswith("-I"):
                flags += ["-isystem", flag[2:]]
            elif not flag.startswith("-march"):
                flags.append(flag)
    return flags


def _digest(tree, header, flags):
    """Of the header and everything of ours that it reaches."""
    digest = hashlib.sha256(" ".join(flags).encode())
    seen, waiting = set(), [header]
    while waiting:
        path = waiting.pop()
        if path in seen or not tree.exists(path):
            continue
        seen.add(path)
        digest.update(path.encode() + b"\0" + tree.text(path).encode())
        waiting.extend(sorted(INCLUDE.findall(tree.text(path))))
    return digest.hexdigest()


def _compile(tree, header, flags):
    proof = os.path.join(tree.cache, "headers", _digest(tree, header, flags))
    if os.path.exists(proof):
        return None
    # Included, not compiled itself: "#pragma once in main file" is a warning.
    run = subprocess.run(["g++", *flags, "-x", "c++", "-"], input=f'#include "{header}"\n',
                         capture_output=True, text=True)
    errors = run.stderr
    if run.returncode == 0 and 'extern "C"' in tree.text(header):
        # A header made for C as well must be C as well.
        run = subprocess.run(["gcc", "-std=c11", "-Wall", "-Wextra", "-fsyntax-only", "-I", tree.root,
                              "-x", "c", "-"], input=f'#include "{header}"\n',
                             capture_output=True, text=True)
        errors = run.stderr
    if run.returncode != 0:
        first = next((line for line in errors.splitlines() if "error" in line), errors.strip())
        return Finding(header, 1, f"does not compile alone: {first}")
    os.makedirs(os.path.dirname(proof), exist_ok=True)
    open(proof, "w").close()
    return None
