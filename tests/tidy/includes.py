"""Includes agree with the table of rooms, and folders do not include each other in a circle."""

import os
import re

from rooms import PRIVATE_ROOMS, PROTOCOLS, ROOMS, room_of
from tree import Finding

# Installed, so included by their bare names where a user of the library would.
PUBLIC_HEADERS = {name: ("dataplane/client/", "tests/dataplane/client/") for name in ("millrace.h", "millrace.hpp")}

INCLUDE = re.compile(r'\s*#\s*include\s+"([^"]+)"')


def check(tree):
    findings = []
    edges = {}
    for path in tree.cpp_paths():
        for number, line in tree.lines(path):
            match = INCLUDE.match(line)
            if not match:
                continue
            target = match.group(1)
            what = _objection(tree, path, target)
            if what:
                findings.append(Finding(path, number, what))
            source_folder, target_folder = os.path.dirname(path), os.path.dirname(target)
            if source_folder != target_folder and tree.exists(target):
                edges.setdefault(source_folder, {}).setdefault(target_folder, (path, number))
    return findings + _circles(edges)


def _objection(tree, path, target):
    """What is wrong with path including target, or None."""
    if target in PUBLIC_HEADERS and path.startswith(PUBLIC_HEADERS[target]):
        return None
    if not tree.exists(target):
        return f'"{target}" is no file of this tree; includes are written from the root'
    room = room_of(path)
    if room is None:
        return f"lies in no room of tests/tidy/rooms.py, yet includes {target}"
    target_room = room_of(target)
    if target_room in PRIVATE_ROOMS and room not in PRIVATE_ROOMS:
        return f"nobody includes {target_room}/, and this includes {target}"
    protocol, target_protocol = _protocol_of(path), _protocol_of(target)
    if protocol and target_protocol and protocol != target_protocol:
        return f"protocols never include each other: {target}"
    if target_room == room:
        return None
    for allowed in ROOMS[room]:
        if allowed == "" or target == allowed or target.startswith(allowed + "/"):
            return None
    return f"{room} may not include {target}"


def _protocol_of(path):
    parts = path.split("/")
    depth = PROTOCOLS.count("/") + 1
    if path.startswith(PROTOCOLS + "/") and len(parts) > depth + 1:
        return parts[depth]
    return None


def _circles(edges):
    """One finding per circle of folders."""
    findings = []
    state = {}
    trail = []

    def visit(folder):
        state[folder] = "open"
        trail.append(folder)
        for target in sorted(edges.get(folder, {})):
            if state.get(target) == "open":
                path, number = edges[folder][target]
                circle = trail[trail.index(target) :] + [target]
                findings.append(Finding(path, number, "folders include each other: " + " -> ".join(circle)))
            elif target not in state:
                visit(target)
        trail.pop()
        state[folder] = "done"

    for folder in sorted(edges):
        if folder not in state:
            visit(folder)
    return findings
