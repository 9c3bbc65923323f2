"""Cache lines that cross per message, counted from the shapes of what crosses.

No counter of this kind is needed: what a core reads that another core or a device wrote, it has to
fetch. How large each thing is stands in the sources and is read from there; how many of them there
are per message was counted.
"""

import dataclasses
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LINE_BYTES = 64
# Of shared memory's ring (memif protocol 2): a descriptor, and head and tail on lines of their own.
MEMIF_DESCRIPTOR_BYTES = 16
MEMIF_INDEX_LINES = 2
# Of the kernel's loopback: struct sk_buff without its data (/proc/slabinfo, skbuff_head_cache).
SOCKET_BUFFER_BYTES = 256


@dataclasses.dataclass(frozen=True)
class Fact:
    """A size that the sources state, as a constant or as what they assert of it."""

    path: str
    words: str
    value: int

    @staticmethod
    def read(path, words):
        with open(os.path.join(ROOT, path)) as file:
            match = re.search(re.escape(words) + r"\s*(?:=|==|<=)\s*(\d+)", file.read())
        if match is None:
            raise RuntimeError(f"{path} no longer says what {words} is")
        return Fact(path, words, int(match.group(1)))


@dataclasses.dataclass(frozen=True)
class Facts:
    command: Fact
    event: Fact

    @staticmethod
    def read():
        return Facts(Fact.read("dataplane/shard/command.h", "sizeof(Command)"),
                     Fact.read("dataplane/shard/command.h", "sizeof(Event)"))


@dataclasses.dataclass(frozen=True)
class Term:
    what: str
    lines: float  # per message
    source: str


def lines_of(bytes_count):
    return bytes_count / LINE_BYTES


def port_terms(cell):
    """Between the generator's processor and the core's, both ways."""
    frames = cell["frames_in"] + cell["frames_out"]
    terms = [Term("frames in", lines_of(cell["bytes_in"]), "counted"),
             Term("frames out", lines_of(cell["bytes_out"]), "counted")]
    if cell["path"] == "memif":
        return [*terms,
                Term("descriptors", lines_of(frames * MEMIF_DESCRIPTOR_BYTES), "memif protocol"),
                Term("ring indices", 2 * MEMIF_INDEX_LINES * cell["busy_turns"],
                     "memif protocol; once a busy turn and way")]
    return [*terms, Term("socket buffers", lines_of(frames * SOCKET_BUFFER_BYTES), "slabinfo")]


def device_terms(cell):
    return [Term("journal, fetched by the device", lines_of(cell["journal_bytes"]),
                 "counted, whole blocks")]


def crossing_terms(cell, facts):
    """Besides, of a message whose partition is another core's: what that core waits for."""
    index = 2 * cell["busy_turns"]  # tail there, head back
    return [
        Term("command", cell["batches"] * lines_up(facts.command.value), facts.command.path),
        Term("events", 2 * cell["batches"] * lines_up(facts.event.value),
             f"{facts.event.path}; appended, and pushed to a reader"),
        Term("mesh indices", 2 * index, "dataplane/ring/spsc_ring.h; once a busy turn and way"),
    ]


def crossing_bytes(cell):
    """And what follows in a row: the batch that the shard copies, and the one sent to a reader."""
    return cell["bytes_in"] + cell["bytes_out"]


def lines_up(bytes_count):
    return -(-bytes_count // LINE_BYTES)


def total(terms):
    return sum(term.lines for term in terms)
