"""The table of rooms: who may include whom. The one place that says so in code.

A room is a folder; a file belongs to the deepest room above it. Besides its own room a file may
include what lies in the listed folders, and the listed single files.
"""

ROOMS = {
    "dataplane/base": [],
    # The mesh takes its rings from an arena.
    "dataplane/ring": ["dataplane/base"],
    "dataplane/port": ["dataplane/base"],
    "dataplane/net": ["dataplane/base"],
    "dataplane/gateway": ["dataplane/base", "dataplane/ring"],
    "dataplane/shard": ["dataplane/base"],
    "dataplane/protocol": [
        "dataplane/base",
        "dataplane/shard/command.h",
        "storage/batch.h",
        "storage/crc32c.h",
    ],
    # The mailbox between the planes is the same ring that joins the cores.
    "dataplane/link": ["dataplane/base", "dataplane/ring"],
    "dataplane/core": ["dataplane", "storage"],
    "dataplane/client": [
        "dataplane/base",
        "dataplane/net",
        "dataplane/port",
        "dataplane/protocol/native",
        "storage/batch.h",
    ],
    # The program itself: millraced.cc.
    "dataplane": ["dataplane", "storage"],
    # A shard and its sorter run on different threads and talk as cores do.
    "storage": ["dataplane/base", "dataplane/ring"],
    "control": ["dataplane/base", "dataplane/link", "storage/batch.h"],
    # The command line is a user of the client library.
    "control/cli": [
        "control",
        "dataplane/base",
        "dataplane/client",
        "dataplane/link",
        "storage/batch.h",
    ],
    "nic-config": ["dataplane/base"],
    "tests": [""],
    "perf": [""],
}

# Nobody outside them includes these.
PRIVATE_ROOMS = ["tests", "perf"]

# One protocol is one room; they share only what lies directly in this folder.
PROTOCOLS = "dataplane/protocol"


def room_of(path):
    """The deepest room a path lies in, or None."""
    best = None
    for room in ROOMS:
        if path.startswith(room + "/") and (best is None or len(room) > len(best)):
            best = room
    return best
