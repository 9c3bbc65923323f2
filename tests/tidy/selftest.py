"""Proof that each check can fail: run on a small tree it must find exactly the planted faults, and
on the same tree without them nothing. Of clang-tidy, which is slow, only the reading of its output
is ours to prove."""

import os
import shutil
import tempfile

import clang_tidy
from tree import Tree
from walk import STEPS

GUARD = "#pragma once\n"
CALLS = "".join(f"  {step}();\n" for step in STEPS[2:])
CORE = ("void Core::poll_ports() {\n  receive_frames();\n  parse_frame();\n}\n"
        "void Core::run_turn() {\n  poll_ports();\n" + CALLS + "}\n")
STEP_FILE = "dataplane/port/steps.cc"
STEP_CODE = "".join(f"void {step}() {{}}\n" for step in STEPS)


def _walk_table(line_of):
    rows = "".join(f"| {i} | `{step}` | `{STEP_FILE}` | {line_of(i)} |\n"
                   for i, step in enumerate(STEPS, 1))
    return "| step | function | file | line |\n|---|---|---|---|\n" + rows


def _long_function(lines):
    return "int Sum::of_many(int x) {\n" + "  x += 1;\n" * (lines - 2) + "}\n"


_GOOD_WALK = {
    "dataplane/README.md": _walk_table(lambda i: i),
    STEP_FILE: STEP_CODE,
    "dataplane/core/core.cc": CORE,
}

# Check -> (a good tree, [(files that replace or join it, what the findings must say)]); a file of
# None is taken away.
CASES = {
    "includes": (
        {
            "dataplane/base/check.h": GUARD,
            "dataplane/ring/ring.h": '#include "dataplane/base/check.h"\n',
            "dataplane/link/region.h": '#include "dataplane/ring/ring.h"\n',
            "dataplane/protocol/one/codec.h": '#include "dataplane/protocol/protocol.h"\n',
            "dataplane/protocol/protocol.h": GUARD,
        },
        [
            ({"dataplane/base/a.h": '#include "dataplane/ring/ring.h"\n'},
             ["dataplane/base may not include dataplane/ring/ring.h", "in a circle|each other"]),
            ({"dataplane/protocol/two/codec.h": '#include "dataplane/protocol/one/codec.h"\n'},
             ["protocols never include each other"]),
            ({"tests/support/fake.h": GUARD,
              "storage/log.cc": '#include "tests/support/fake.h"\n'}, ["nobody includes tests/"]),
            ({"storage/log.cc": '#include "check.h"\n'}, ["written from the root"]),
            ({"control/a/a.h": '#include "control/b/b.h"\n',
              "control/b/b.h": '#include "control/a/a.h"\n'}, ["each other: control/a -> control/b"]),
            ({"attic/a.h": '#include "dataplane/base/check.h"\n'}, ["lies in no room"]),
        ],
    ),
    "walk": (
        _GOOD_WALK,
        [
            ({"dataplane/README.md": _walk_table(lambda i: 12 if i == 3 else i)},
             ["step 3, decode_request: defined at dataplane/port/steps.cc:3, not at line 12"]),
            ({"dataplane/README.md": "no table\n"}, ["must have the ten steps"]),
            ({STEP_FILE: STEP_CODE.replace("void send_frames() {}", "void send_frames();")},
             ["step 10, send_frames: not defined"]),
            ({"dataplane/core/core.cc": None}, ["run_turn cannot call: receive_frames"]),
            ({"dataplane/core/core.cc": CORE.replace("  reap_writes();\n", "")},
             ["never calls: reap_writes"]),
            ({"dataplane/core/core.cc": CORE.replace("  send_frames();\n", "").replace(
                "  poll_ports();\n", "  send_frames();\n  poll_ports();\n")},
             ["calls send_frames only before encode_reply"]),
        ],
    ),
    "mirror": (
        {
            "storage/log.cc": "int a;\n",
            "tests/storage/log_test.cc": "int b;\n",
            "control/main.cc": "int main() {}\n",
            "tests/sim/anything_test.cc": "int c;\n",
            "tests/meson.build": "test('log_test.cc', 'sim/anything_test.cc')\n",
        },
        [
            ({"tests/storage/gone_test.cc": "int d;\n", "tests/storage/meson.build": "test('gone_test.cc')\n"},
             ["tests no source"]),
            ({"storage/disk.h": "", "tests/storage/disk_test.cc": "int f;\n"}, ["it never runs"]),
            ({"control/admin/server.cc": "int e;\n"}, ["no test in tests/control/admin/"]),
        ],
    ),
    "headers": (
        {
            "storage/good.h": GUARD + "#include <cstdint>\ninline std::uint8_t a = 1;\n",
            "dataplane/client/c.h": '#ifdef __cplusplus\nextern "C" {\n#endif\nint f(void);\n'
                                    "#ifdef __cplusplus\n}\n#endif\n",
        },
        [
            ({"storage/bad.h": GUARD + "inline std::vector<int> a;\n"},
             ["storage/bad.h:1: does not compile alone"]),
            ({"dataplane/client/c.h": '#ifdef __cplusplus\nextern "C" {\n#endif\nbool f(void);\n'
                                      "#ifdef __cplusplus\n}\n#endif\n"},
             ["dataplane/client/c.h:1: does not compile alone"]),
        ],
    ),
    "function-length": (
        {
            "storage/sum.cc": _long_function(70) + "int a{3};\n" + _long_function(70),
            "tests/tidy/long_functions.txt": "# none\n",
        },
        [
            ({"storage/sum.cc": "namespace s {\n// {\n" + _long_function(71) + "}\n"},
             ["storage/sum.cc:3: Sum::of_many has 71 lines, 70 allowed"]),
            ({"storage/sum.cc": _long_function(90),
              "tests/tidy/long_functions.txt": "storage/sum.cc Sum::of_many 80\n"},
             ["has 90 lines, 80 allowed"]),
            ({"storage/sum.cc": _long_function(75),
              "tests/tidy/long_functions.txt": "storage/sum.cc Sum::of_many 80\n"},
             ["has 75 lines now"]),
            ({"tests/tidy/long_functions.txt": "storage/sum.cc Sum::of_many 80\n"},
             ["no longer long"]),
        ],
    ),
    "words": (
        {"README.md": "All that is left to do is done; mktemp XXXXXX is fine.\n"},
        [
            ({"storage/log.cc": "// TO" + "DO: later\n"}, ["storage/log.cc:1: 'TO"]),
            ({"README.md": "see /wo" + "rk/notes\n"}, ["path of one machine"]),
            ({"dev": "# for issue " + "#2\n"}, ["by a number elsewhere"]),
        ],
    ),
    "atomics": (
        {
            "dataplane/ring/ring.h": "#include <atomic>\nstd::atomic<int> a;\n",
            "dataplane/base/counter.h": "std::atomic<int> a;\n",
            "storage/log.cc": "// std::atomic is not used here\n",
        },
        [
            ({"storage/log.cc": "static std::atomic<int> a;\n"}, ["storage/log.cc:1: std::atomic outside"]),
            ({"control/a.cc": "\n#include <atomic>\n"}, ["control/a.cc:2: #include <atomic> outside"]),
        ],
    ),
    "layout": (
        {".clang-format": "BasedOnStyle: Google\n", "storage/log.cc": "int a;\n"},
        [({"storage/log.cc": "int a;\nint  b;\n"}, ["storage/log.cc:2: ./dev format"])],
    ),
}

# (what clang-tidy wrote in /repo/build of /repo/storage/log.cc, what that must be read as)
OUTPUTS = [
    ("", []),
    ("../storage/log.h:7:3: warning: it is slow [performance-x]\n  int a;\n  ^\n"
     "../storage/log.h:5:1: note: declared here\n",
     ["storage/log.h:7: it is slow [performance-x]"]),
    ("/repo/storage/log.cc:9:5: error: it is wrong [bugprone-x,-warnings-as-errors]\n",
     ["storage/log.cc:9: it is wrong [bugprone-x,-warnings-as-errors]"]),
    ("error: unknown argument: '-fx' [clang-diagnostic-error]\n",
     ["storage/log.cc:1: unknown argument: '-fx' [clang-diagnostic-error]"]),
    ("/usr/include/stdio.h:1:1: warning: it is old [modernize-x]\n"
     "../../elsewhere/a.h:1:1: warning: it is far [bugprone-x]\n", []),
    ("../storage/log.h:7:3: warning: it is slow [performance-x]\n" * 2,
     ["storage/log.h:7: it is slow [performance-x]"]),
]


def prove(name, check):
    """None when the check finds what it must and nothing else; otherwise what went wrong."""
    if name == "clang-tidy":
        return _prove_reading()
    if name not in CASES:
        return "selftest.py has no case for it"
    good, faults = CASES[name]
    found = _run(check, good)
    if found:
        return f"it finds fault with a good tree: {found[0]}"
    for number, (files, expected) in enumerate(faults, 1):
        found = _run(check, {**good, **files})
        if len(found) != len(expected):
            return f"fault {number}: {len(expected)} findings expected, not {found}"
        for text in expected:
            if not any(part in finding for finding in found for part in text.split("|")):
                return f"fault {number}: nothing says '{text}' in {found}"
    return None


def _prove_reading():
    for output, expected in OUTPUTS:
        findings = clang_tidy.findings_in(output, "/repo/storage/log.cc", "/repo/build", "/repo")
        found = [str(finding) for finding in findings]
        if found != expected:
            return f"{output!r} is read as {found}"
    return None


def _run(check, files):
    """The findings of a check on a tree of these files, as text."""
    root = tempfile.mkdtemp(prefix="tidy-")
    try:
        for path, text in files.items():
            if text is not None:
                os.makedirs(os.path.dirname(os.path.join(root, path)) or root, exist_ok=True)
                with open(os.path.join(root, path), "w") as output:
                    output.write(text)
        with tempfile.TemporaryDirectory() as cache:
            return [str(finding) for finding in check(Tree(root, cache))]
    finally:
        shutil.rmtree(root)
