"""The files of a source tree, and findings about them."""

import os
import subprocess
from dataclasses import dataclass

CPP_SUFFIXES = (".h", ".hpp", ".cc", ".c")
HEADER_SUFFIXES = (".h", ".hpp")


@dataclass(frozen=True)
class Finding:
    path: str
    line: int
    what: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.what}"


class Tree:
    """A directory with sources; what git ignores is not there."""

    def __init__(self, root, cache=None):
        self.root = root
        self.cache = cache or os.path.join(root, "build", "tidy")
        self._texts = {}
        self._paths = sorted(self._list())

    def _list(self):
        if os.path.exists(os.path.join(self.root, ".git")):
            command = ["git", "-C", self.root, "ls-files", "-coz", "--exclude-standard"]
            names = subprocess.check_output(command).decode().split("\0")
            return {n for n in names if n and os.path.isfile(os.path.join(self.root, n))}
        return {
            os.path.relpath(os.path.join(folder, name), self.root)
            for folder, _, names in os.walk(self.root)
            for name in names
        }

    def paths(self, *suffixes, under=""):
        return [
            p for p in self._paths if p.startswith(under) and (not suffixes or p.endswith(suffixes))
        ]

    def cpp_paths(self, under=""):
        return self.paths(*CPP_SUFFIXES, under=under)

    def exists(self, path):
        return path in self._paths

    def text(self, path):
        if path not in self._texts:
            with open(os.path.join(self.root, path), errors="replace") as source:
                self._texts[path] = source.read()
        return self._texts[path]

    def lines(self, path):
        """(number from 1, line) of a file."""
        return enumerate(self.text(path).splitlines(), 1)
