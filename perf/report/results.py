"""What was measured, read: medians over rounds with their spread, and two runs side by side."""

import dataclasses
import math
import statistics

# A rate within this share of the generator's own limit is the generator's, not the system's.
CLIENT_LIMIT_SHARE = 0.8


@dataclasses.dataclass(frozen=True)
class Figure:
    """The median of a figure over rounds, and the least and the greatest."""

    median: float
    low: float
    high: float

    @staticmethod
    def of(values):
        values = [value for value in values if value is not None]
        if not values:
            return None
        return Figure(statistics.median(values), min(values), max(values))

    def overlaps(self, other):
        return self.low <= other.high and other.low <= self.high


class Cell:
    """A load of a peer's setup under one workload, in all rounds."""

    def __init__(self, data):
        self.data = data
        self.rounds = [one for one in data["rounds"] if "error" not in one]
        self.errors = [one["error"] for one in data["rounds"] if "error" in one]

    @property
    def key(self):
        data = self.data
        return (data["peer"], data["setup"], data["load"], data["workload"])

    @property
    def label(self):
        return f"{self.data['peer']} {self.data['load']}, {self.data['setup']}"

    def figure(self, read):
        return Figure.of([read(one) for one in self.rounds])

    def rate(self):
        """Messages a second that went all the way."""
        return self.figure(rate_of)

    def latency(self, kind, quantile):
        return self.figure(lambda one: (one[kind] or {}).get(f"{quantile}_ns"))

    def cpu_ns(self):
        """Of the peer's processes for each message."""
        return self.figure(lambda one: one["peer_cpu_s"] * 1e9 / max(1, one["messages"]))

    def client_cpu_ns(self):
        return self.figure(lambda one: one["client_cpu_s"] * 1e9 / max(1, one["messages"]))

    def resident_bytes(self):
        """The most that the peer's processes had at a time."""
        return self.figure(lambda one: one["peer_resident_bytes"])

    def read_back(self):
        """Messages a second in which a backlog was taken out."""
        return self.figure(lambda one: (one["backlog"] or {}).get("read_per_s"))

    def beyond(self):
        """What it bore as fast as it goes, where its rate was too far over that to be tried; or 0."""
        return self.data.get("beyond", 0)

    def reached_target(self):
        return not self.beyond() and all(one["reached_target"] for one in self.rounds)

    def faults(self):
        """What should be nothing, summed over rounds."""
        names = ("lost", "duplicated", "reordered", "unacknowledged", "foreign")
        sums = {name: sum(one[name] for one in self.rounds) for name in names}
        return {name: count for name, count in sums.items() if count}

    def buckets(self, kind):
        """[value, count] of all rounds together, rising."""
        sums = {}
        for one in self.rounds:
            for value, count in (one[kind] or {}).get("buckets", []):
                sums[value] = sums.get(value, 0) + count
        return sorted(sums.items())


def rate_of(one):
    rates = [one["delivered_per_s"]] if one["delivered"] else []
    if one["acknowledged"]:
        rates.append(one["acknowledged_per_s"])
    return min(rates) if rates else 0.0


def cells(results):
    return [Cell(data) for data in results["cells"]]


def workloads(results):
    """The names of those that do not grow along an axis, and of each axis its amounts."""
    plain, axes = {}, {}
    for cell in results["cells"]:
        if cell.get("axis"):
            axes.setdefault(cell["axis"], {})[cell["amount"]] = None
        else:
            plain[cell["workload"]] = None
    return list(plain), {axis: sorted(amounts) for axis, amounts in axes.items()}


def grown(results, axis):
    """By system's label and amount: the cell as fast as it goes, and the one at a rate."""
    found = {}
    for cell in cells(results):
        if cell.data.get("axis") == axis:
            pair = found.setdefault(cell.label, {}).setdefault(cell.data["amount"], [None, None])
            pair[cell.data["rate"] != 0] = cell
    return found


def ladders(results):
    """Of payload bytes and partitions that were measured at several rates: by label, the latency
    at each that was reached."""
    found = {}
    for cell in cells(results):
        data = cell.data
        if data.get("axis") or not data["rate"]:
            continue
        ladder = found.setdefault((data["payload_bytes"], data["partitions"]), {})
        values = ladder.setdefault(cell.label, {})
        figure = cell.latency("delivered", "p99")
        values[data["rate"]] = (figure.median if figure is not None and cell.reached_target()
                                else None)
    return {key: ladder for key, ladder in found.items()
            if len({rate for values in ladder.values() for rate in values}) > 1}


def latency_kind(cell):
    """Of what a latency is told: behind a backlog nothing is delivered while it is measured."""
    return "acknowledged" if cell.data["axis"] == "backlog" else "delivered"


def client_limit(results, payload_bytes):
    """The generator's own rate; None when it was not measured."""
    for data in results["limits"]:
        if data["payload_bytes"] == payload_bytes:
            return Cell(data).rate()
    return None


def foreign_drivers(results):
    """Those that no load of Millrace goes through."""
    ours = {data["driver"] for data in results["cells"] if data["peer"] == "millrace"}
    return sorted({data["driver"] for data in results["cells"]} - ours) if ours else []


def path_of(cell):
    """What its messages go through: shared memory or a socket."""
    data = cell.data
    is_shared = data["setup"] == "memif" or (data["peer"] == "aeron" and data["load"] != "UDP")
    return "memif" if is_shared else "udp"


def in_floors(results, cell, kind):
    """(floor, how many times its p50) of a latency; None without one of them."""
    is_flushed = kind == "acknowledged" and cell.data["durability"] == "device"
    name = "disk" if is_flushed else path_of(cell)
    figure = cell.latency(kind, "p50")
    floor = results["floors"].get(name, {}).get("p50_ns")
    return (name, figure.median / floor) if figure is not None and floor else None


def share_of_device(results, cell):
    """Bytes of payload a second, of those that the device takes; None where it need not."""
    floor = results["floors"].get("disk", {}).get("bytes_per_s")
    if cell.data["durability"] != "device" or cell.rate() is None or not floor:
        return None
    return cell.rate().median * cell.data["payload_bytes"] / floor


def is_clients(cell, limit):
    rate = cell.rate()
    return rate is not None and limit is not None and rate.median > CLIENT_LIMIT_SHARE * limit.median


def changes(old, new):
    """Of each figure of both runs: cell, name, old, new, and whether it is outside the noise of both
    and of what became of the other peers: a host that is faster today makes nobody better."""
    before = {cell.key: cell for cell in cells(old)}
    found = []
    for cell in cells(new):
        other = before.get(cell.key)
        if other is None:
            continue
        for name, read in (("rate", Cell.rate),
                           ("p50", lambda one: one.latency("delivered", "p50")),
                           ("p99", lambda one: one.latency("delivered", "p99"))):
            was, now = read(other), read(cell)
            if was is None or now is None or was.median == 0:
                continue
            found.append({"cell": cell, "figure": name, "old": was, "new": now,
                          "ratio": now.median / was.median})
    for one in found:
        others = [other["ratio"] for other in found
                  if other["figure"] == one["figure"]
                  and other["cell"].data["workload"] == one["cell"].data["workload"]
                  and other["cell"].data["peer"] != one["cell"].data["peer"]]
        one["others"] = middle_half(others or [1.0])
        one["is_change"] = not ratio_of(one["old"], one["new"]).overlaps(one["others"])
    return found


def ratio_of(old, new):
    return Figure(new.median / old.median, new.low / old.high if old.high else 0.0,
                  new.high / old.low if old.low else math.inf)


def middle_half(values):
    if len(values) < 4:
        return Figure.of(values)
    return Figure(statistics.median(values), *statistics.quantiles(values, n=4)[::2])
