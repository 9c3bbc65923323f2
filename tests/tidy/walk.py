"""The walk: the table in dataplane/README.md names the place of each of the ten functions, and
Core::run_turn calls them in that order, itself or through the functions of the core and of the
shard that it calls."""

import os
import re

import cpp_source
from tree import Finding

README = "dataplane/README.md"
CORE = "dataplane/core/core.cc"
SHARD = "dataplane/shard/shard_apply.h"
LOOP = "run_turn"
STEPS = [
    "receive_frames",
    "parse_frame",
    "decode_request",
    "handle_request",
    "route_command",
    "apply_command",
    "append_batch",
    "reap_writes",
    "encode_reply",
    "send_frames",
]
# | 1 | `receive_frames` | `dataplane/port/x.cc` | 12 |
ROW = re.compile(r"^\|\s*(\d+)\s*\|\s*`(\w+)`\s*\|\s*`?([^|`]*?)`?\s*\|\s*([^|]*?)\s*\|\s*$")
NOWHERE = "-"


def check(tree):
    return _check_table(tree) + _check_order(tree)


def _rows(tree):
    """[(line number, step, function, file, line)] of the table."""
    if not tree.exists(README):
        return []
    rows = []
    for number, text in tree.lines(README):
        match = ROW.match(text)
        if match:
            rows.append((number, *match.groups()))
    return rows


def _check_table(tree):
    rows = _rows(tree)
    named = [(step, function) for _, step, function, _, _ in rows]
    expected = [(str(i), name) for i, name in enumerate(STEPS, 1)]
    if named != expected:
        return [Finding(README, rows[0][0] if rows else 1,
                        "the walk's table must have the ten steps in order: " + ", ".join(STEPS))]
    findings = []
    for number, step, function, path, line in rows:
        def report(what):
            findings.append(Finding(README, number, f"step {step}, {function}: {what}"))

        if path == NOWHERE or not tree.exists(path):
            report(f"no file '{path}'; ./dev tidy --fix-walk finds it once it is written")
            continue
        places = _definitions(tree, path, function)
        if not places:
            report(f"not defined in {path}")
        elif line not in [str(place) for place in places]:
            report(f"defined at {path}:{places[0]}, not at line {line}; ./dev tidy --fix-walk")
    return findings


def _definitions(tree, path, function):
    return [f.name_line for f in cpp_source.functions(tree.text(path)) if f.name == function]


def _check_order(tree):
    if not tree.exists(CORE):
        return [Finding(CORE, 1, f"is not there, so {LOOP} cannot call: " + ", ".join(STEPS))]
    defined = {f.name: f for f in cpp_source.functions(tree.text(CORE))}
    if LOOP not in defined:
        return [Finding(CORE, 1, f"defines no {LOOP}")]
    line = defined[LOOP].name_line
    if tree.exists(SHARD):
        for function in cpp_source.functions(tree.text(SHARD)):
            defined.setdefault(function.name, function)
    calls = _calls_below(defined, LOOP, [])
    missing = [step for step in STEPS if step not in calls]
    if missing:
        return [Finding(CORE, line, f"{LOOP} never calls: " + ", ".join(missing))]
    at = 0
    for earlier, step in zip([LOOP] + STEPS, STEPS):
        if step not in calls[at:]:
            return [Finding(CORE, line, f"{LOOP} calls {step} only before {earlier}")]
        at = calls.index(step, at) + 1
    return []


def _calls_below(defined, name, callers):
    """The calls in a function, in order, each followed by those below it."""
    calls = []
    for called in _calls(defined[name].body):
        calls.append(called)
        if called in defined and called != name and called not in callers:
            calls.extend(_calls_below(defined, called, callers + [name]))
    return calls


def _calls(body):
    return re.findall(r"\b([a-z_]\w*)\s*\(", body)


def fix(tree):
    """Rewrites the places in the table from the code; returns what could not be found."""
    lost = []
    lines = tree.text(README).splitlines(keepends=True)
    for number, step, function, path, _ in _rows(tree):
        place = _find_place(tree, function, path)
        if place is None:
            lost.append(function)
            row = f"| {step} | `{function}` | {NOWHERE} | {NOWHERE} |\n"
        else:
            row = f"| {step} | `{function}` | `{place[0]}` | {place[1]} |\n"
        lines[number - 1] = row
    with open(os.path.join(tree.root, README), "w") as readme:
        readme.writelines(lines)
    return lost


def _find_place(tree, function, current):
    """(file, line): in the file the table names, else the one on the default path."""
    candidates = []
    for path in tree.cpp_paths("dataplane/") + tree.cpp_paths("storage/"):
        if path.startswith("dataplane/client/"):
            continue
        for line in _definitions(tree, path, function):
            # A newcomer's packets come by kernel UDP and speak the native protocol; code in a
            # source file tells more than a header.
            rank = ("kernel_udp" not in path, "/native/" not in path, not path.endswith(".cc"))
            candidates.append((path != current, rank, path, line))
    return min(candidates)[2:] if candidates else None
