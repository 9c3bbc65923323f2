"""The rate a node can have, from what a message costs and what the host has. Pure functions.

The cost of a message on a core is a sum: so much for each frame, for itself, for each byte that
passes the port, for each journal write. What each is, least squares finds from counts of several
sizes and batches. The rate is then that of whatever runs out first.
"""

import dataclasses
import itertools

ASSUMPTIONS = (
    "Shards share nothing, so cores add up until a queue, the network, a device or memory ends it.",
    "A partition's client may come in at any core: of n cores, (n - 1)/n of the batches go to "
    "another core: what announces them at a full wait for each cache line, their bytes at what a "
    "byte costs that comes from a client's core.",
    "A node has 16 cores at most; more cores are more nodes, each with partitions of its own.",
    "Partitions are many and even, so each core has the same to do; so are shards over devices.",
    "A core is a whole one: its sibling of simultaneous multithreading is left idle, and what "
    "makes one core slower when all work (frequency, shared cache) is not known here.",
    "Batches are as full as they were when counted, and a loaded core's bursts are no smaller.",
    "Clients are elsewhere and never the limit.",
    "A NIC's queue costs the core what memif costs it. Memif copies each frame, a NIC does not; a "
    "NIC has descriptors and doorbells of its own.",
    "Each core polls a queue of its own; where there are fewer queues, only their cores do frames.",
    "A device is given each journal byte twice: in the journal, and sorted into a segment. "
    "Compaction of a topic comes on top.",
    "Group commit fills a write up to its limit, so flushes limit messages only through that.",
)
# dataplane/link/region.h: cores_max
NODE_CORES_MAX = 16
# storage/journal.h: frame_bytes_max
WRITE_BYTES_MAX = 4 << 20
FEATURES = ("frame", "message", "byte", "write")


@dataclasses.dataclass(frozen=True)
class Costs:
    """Nanoseconds of a core."""

    frame: float
    message: float
    byte: float
    write: float

    def of(self, shape):
        return sum(getattr(self, name) * count for name, count in zip(FEATURES, shape.counts()))


@dataclasses.dataclass(frozen=True)
class Shape:
    """Of one message, how much of each."""

    frames_in: float
    frames_out: float
    bytes_in: float  # of frames
    bytes_out: float
    writes: float = 0.0
    journal_bytes: float = 0.0
    device_bytes: float = 0.0  # journal and all else
    crossing_lines: float = 0.0  # when its partition is another core's: waited for
    crossing_bytes: float = 0.0  # and in a row

    def counts(self):
        """In the order of FEATURES."""
        return (self.frames_in + self.frames_out, 1.0, self.bytes_in + self.bytes_out, self.writes)

    def memory_bytes(self):
        """In by the port, copied once (read, written), out to the port, out to the device."""
        return self.bytes_in + 2 * self.bytes_in + self.bytes_out + self.device_bytes


@dataclasses.dataclass(frozen=True)
class Hardware:
    cores: int
    queues: int
    devices: int
    queue_packets_per_s: float = 15e6
    nic_bytes_per_s: float = 12.5e9  # each way: 100 Gbit/s
    device_bytes_per_s: float = 3e9
    device_flushes_per_s: float = 50e3
    memory_bytes_per_s: float = 100e9
    line_ns: float = 50.0


@dataclasses.dataclass(frozen=True)
class Prediction:
    rate: float
    bottleneck: str
    limits: dict  # messages a second, by what


def solve(matrix, right):
    """Gauss, with the greatest pivot; None where it has no single solution."""
    size = len(right)
    rows = [list(row) + [value] for row, value in zip(matrix, right)]
    for at in range(size):
        pivot = max(range(at, size), key=lambda i: abs(rows[i][at]))
        if abs(rows[pivot][at]) < 1e-12:
            return None
        rows[at], rows[pivot] = rows[pivot], rows[at]
        for i in range(size):
            if i != at:
                factor = rows[i][at] / rows[at][at]
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[at])]
    return [rows[i][size] / rows[i][i] for i in range(size)]


def least_squares(rows, values):
    columns = range(len(rows[0]))
    # Columns of one size: bytes are thousands, writes thousandths.
    scales = [max(abs(row[i]) for row in rows) or 1.0 for i in columns]
    scaled = [[row[i] / scales[i] for i in columns] for row in rows]
    normal = [[sum(row[i] * row[j] for row in scaled) for j in columns] for i in columns]
    right = [sum(row[i] * value for row, value in zip(scaled, values)) for i in columns]
    found = solve(normal, right)
    return None if found is None else [one / scale for one, scale in zip(found, scales)]


def fit(points):
    """Costs of [(shape, ns)]: none below zero, and the least sum of squared relative errors."""
    best = None
    for kept_count in range(1, min(len(FEATURES), len(points)) + 1):
        for kept in itertools.combinations(range(len(FEATURES)), kept_count):
            # Divided by what was measured, each point weighs the same.
            rows = [[shape.counts()[i] / ns for i in kept] for shape, ns in points]
            found = least_squares(rows, [1.0] * len(points))
            if found is None or min(found) < 0:
                continue
            error = sum((sum(a * b for a, b in zip(row, found)) - 1) ** 2 for row in rows)
            if best is None or error < best[0]:
                best = (error, kept, found)
    if best is None:
        raise ValueError("nothing fits")
    values = dict.fromkeys(FEATURES, 0.0)
    values.update({FEATURES[i]: value for i, value in zip(best[1], best[2])})
    return Costs(**values)


def core_ns(costs, shape, cores, line_ns):
    """Of all cores together, for one message."""
    cores = min(cores, NODE_CORES_MAX)
    crossing_ns = shape.crossing_lines * line_ns + shape.crossing_bytes * costs.byte
    return costs.of(shape) + (cores - 1) / cores * crossing_ns


def predict(costs, shape, hardware):
    """The rate of a node with that hardware, and what ends it."""
    limits = {"cores": hardware.cores * 1e9 / core_ns(costs, shape, hardware.cores,
                                                      hardware.line_ns)}

    def limit(name, available, needed):
        if needed > 0:
            limits[name] = available / needed
    polled = min(hardware.queues, hardware.cores)
    frames = shape.frames_in + shape.frames_out
    limit("cores with a queue", polled * 1e9, frames * costs.frame)
    limit("queues", polled * hardware.queue_packets_per_s, max(shape.frames_in, shape.frames_out))
    limit("network", hardware.nic_bytes_per_s, max(shape.bytes_in, shape.bytes_out))
    # The device with the most shards is full first; those without any do not help.
    filled = hardware.cores / -(-hardware.cores // hardware.devices)
    limit("device bytes", filled * hardware.device_bytes_per_s, shape.device_bytes)
    limit("device flushes", filled * hardware.device_flushes_per_s,
          shape.journal_bytes / WRITE_BYTES_MAX)
    limit("memory", hardware.memory_bytes_per_s, shape.memory_bytes())
    bottleneck = min(limits, key=limits.get)
    return Prediction(limits[bottleneck], bottleneck, limits)


def error(predicted, measured):
    return predicted / measured - 1
