"""What is measured: workloads, and how long and how often."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Workload:
    """One column of the matrix, in the load generator's words."""

    name: str
    payload_bytes: int
    partitions: int = 1
    rate: int = 0  # messages a second; 0: closed loop
    window: int = 1024  # closed loop

    def flags(self):
        loop = ["--rate", str(self.rate)] if self.rate else ["--window", str(self.window)]
        return ["--size", str(self.payload_bytes), "--partitions", str(self.partitions), *loop]

    @property
    def is_open(self):
        return self.rate != 0


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


QUICK = Plan((closed(100), closed(1024), paced(100, 5_000)), 3, 0.3, 1.0, 3)

FULL = Plan(
    tuple(closed(size, partitions) for size in (32, 100, 288, 1024, 1344)
          for partitions in (1, 100)) +
    (closed(100, 1000),) +
    tuple(paced(size, rate) for size in (32, 288, 1344)
          for rate in (1_000, 10_000, 100_000, 500_000, 1_000_000)) +
    (paced(100, 10_000, 100), paced(100, 10_000, 1000)),
    5, 1.0, 5.0, 30)
