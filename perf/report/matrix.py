"""What is measured: workloads, and how long and how often."""

import dataclasses


# A slow peer's backlog is as large as it gets by then.
FILL_S_MAX = 300


@dataclasses.dataclass(frozen=True)
class Workload:
    """One column of the matrix, in the load generator's words."""

    name: str
    payload_bytes: int
    partitions: int = 1
    rate: int = 0  # messages a second; 0: closed loop
    window: int = 1024  # closed loop
    subscribers: int = 1
    connections: int = 1
    backlog: int = 0
    axis: str = ""  # of AXES in peers/peer.py, where it shows what growth costs

    def flags(self):
        loop = ["--rate", str(self.rate)] if self.rate else ["--window", str(self.window)]
        flags = ["--size", str(self.payload_bytes), "--partitions", str(self.partitions), *loop]
        for name, value, usual in (("subscribers", self.subscribers, 1),
                                   ("connections", self.connections, 1),
                                   ("backlog", self.backlog, 0)):
            if value != usual:
                flags += [f"--{name}", str(value)]
        # What lies behind a backlog is not delivered while it is measured; nor without one, then.
        if self.axis == "backlog" and self.backlog == 0:
            flags.append("--publish-only")
        if self.backlog:
            flags += ["--fill", str(FILL_S_MAX)]
        return flags

    @property
    def amount(self):
        return getattr(self, self.axis) if self.axis else 0


@dataclasses.dataclass(frozen=True)
class Plan:
    workloads: tuple
    rounds: int
    warm_up_s: float
    measured_s: float
    drain_s: float  # for what is then still on its way


def closed(payload_bytes, partitions=1):
    suffix = "" if partitions == 1 else f", {partitions} partitions"
    return Workload(f"{payload_bytes} B as fast as it goes{suffix}", payload_bytes, partitions)


def paced(payload_bytes, rate, partitions=1):
    suffix = "" if partitions == 1 else f", {partitions} partitions"
    return Workload(f"{payload_bytes} B at {rate:,}/s{suffix}", payload_bytes, partitions, rate)


QUICK = Plan((closed(100), closed(1024), paced(100, 5_000)), 3, 0.5, 1.0, 3)

FULL = Plan(
    tuple(closed(size, partitions) for size in (32, 100, 288, 1024, 1344)
          for partitions in (1, 100)) +
    (closed(100, 1000),) +
    tuple(paced(size, rate) for size in (32, 288, 1344)
          for rate in (1_000, 10_000, 100_000, 500_000, 1_000_000)) +
    (paced(100, 5_000), paced(100, 10_000, 100), paced(100, 10_000, 1000)),
    5, 1.0, 5.0, 30)


def grown(axis, amount, rate):
    pace = f"at {rate:,}/s" if rate else "as fast as it goes"
    what = f"a backlog of {amount:,}" if axis == "backlog" else f"{axis}: {amount:,}"
    return Workload(f"{what}, {pace}", 100, rate=rate, axis=axis, **{axis: amount})


def growth(amounts, *times):
    """Each axis alone, everything else one: how fast it goes, and how late at a rate that all
    bear."""
    return Plan(tuple(grown(axis, amount, rate) for axis, of_axis in amounts.items()
                      for amount in of_axis
                      for rate in (0, 200 if axis == "subscribers" else 5_000)), *times)


QUICK_GROWTH = growth({"partitions": (1, 100, 1_000), "subscribers": (1, 10, 100),
                       "connections": (1, 100, 1_000), "backlog": (0, 1_000_000)},
                      1, 1.0, 1.0, 5)

FULL_GROWTH = growth({"partitions": (1, 10, 100, 1_000, 10_000), "subscribers": (1, 10, 100, 1_000),
                      "connections": (1, 10, 100, 1_000, 5_000),
                      "backlog": (0, 1_000_000, 10_000_000, 100_000_000)}, 3, 1.0, 3.0, 60)
