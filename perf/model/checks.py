"""Predictions that two processors can put to the test, and the measurements that do."""

import contextlib
import dataclasses
import statistics
import time

import device
import model
import server

# What the model is fitted on, as (payload bytes, batch bytes), and what it has not seen then.
FITTED = ((32, 0), (1344, 0), (32, 1500), (1344, 1500))
UNSEEN_SIZES = ((100, 0), (288, 0))
UNSEEN_BATCHES = ((32, 4000),)
SHARED = (100, 0)
THROTTLED_S = 4
# In the long run: into the journal, and by the sorter into a segment.
WRITTEN_TIMES = 2


@dataclasses.dataclass(frozen=True)
class Check:
    kind: str
    what: str
    predicted: float
    measured: float
    unit: str  # "ns" or "/s"

    @property
    def error(self):
        return model.error(self.predicted, self.measured)


def shape_of(cell):
    names = {field.name for field in dataclasses.fields(model.Shape)}
    found = {name: cell[name] for name in names if name in cell}
    return model.Shape(**{**found, "device_bytes": WRITTEN_TIMES * cell["journal_bytes"]})


def key_of(cell):
    return (cell["payload_bytes"], cell["batch_bytes"])


def fit_cells(cells, figure):
    """Costs of the path whose cells these are, by those it is to be fitted on."""
    return model.fit([(shape_of(cell), cell[figure]) for cell in cells if key_of(cell) in FITTED])


def unseen(cells, kind, keys):
    """What a message costs node and client, where the fit has not seen its size or batch."""
    found = []
    for figure, of in (("node_ns", "node"), ("client_ns", "client")):
        costs = fit_cells(cells, figure)
        found += [Check(kind, f"{cell['name']}: {of}", costs.of(shape_of(cell)), cell[figure], "ns")
                  for cell in cells if key_of(cell) in keys]
    return found


def loop_rates(cells, device):
    """The closed loop's rate: whichever of core, client and device is the slowest. A processor that
    others use as well gives them a share of itself only."""
    node, client = fit_cells(cells, "node_ns"), fit_cells(cells, "client_ns")
    found = []
    for cell in cells:
        if key_of(cell) in FITTED:
            continue
        shape = shape_of(cell)
        limits = {"core": cell["core_share"] * 1e9 / node.of(shape),
                  "client": cell["client_share"] * 1e9 / client.of(shape)}
        if device and cell["device_bytes"] > 0:
            limits["device"] = device["bytes_per_s"] / cell["device_bytes"]
        first = min(limits, key=limits.get)
        found.append(Check("rate of the closed loop", f"{cell['name']}: {first}", limits[first],
                           cell["rate"], "/s"))
    return found


def rate_on(path, nodes_cpus, clients_cpus, times):
    """Messages a second of all: a node with cores on each list of processors, and its clients'."""
    with contextlib.ExitStack() as stack:
        nodes = [stack.enter_context(server.Node(path, cpus, "laptop")) for cpus in nodes_cpus]
        for node in nodes:
            node.settle()
        loads = [stack.enter_context(server.Load(node, "memory", *SHARED, times.window, cpu))
                 for node, cpus in zip(nodes, clients_cpus) for cpu in cpus]
        for load in loads:
            load.warm_up(times.warm_up_s)
        before = [node.snapshot() for node in nodes]
        time.sleep(times.sampled_s)
        after = [node.snapshot() for node in nodes]
        for load in loads:
            load.check()
    return sum(server.rate(*both) for both in zip(before, after))


def sharing(cells, line_ns, times, rounds):
    """A core and its clients on one processor; two such pairs; a node of two cores instead."""
    cell = next(cell for cell in cells if cell["ack"] == "memory" and key_of(cell) == SHARED)
    path, name = cell["path"], cell["name"]
    one, other = server.client_cpu(), server.node_cpu()
    # A shared memory has one client; more of them spread themselves over cores.
    clients = 1 if path == "memif" else 2

    def measured(nodes_cpus, clients_cpus):
        return statistics.median(rate_on(path, nodes_cpus, clients_cpus, times)
                                 for _ in range(rounds))
    both_ns = cell["node_ns"] + cell["client_ns"]
    alone = measured([[other]], [[other] * clients])
    found = [Check("a core and its clients on one processor, at most", name,
                   1e9 / both_ns, alone, "/s")]
    if one == other:
        return found
    pairs = measured([[one], [other]], [[one] * clients, [other] * clients])
    found.append(Check("twice that on two processors", name, 2 * alone, pairs, "/s"))
    if path != "memif":
        costs, shape = fit_cells(cells, "node_ns"), shape_of(cell)
        crossing_ns = model.core_ns(costs, shape, 2, line_ns) - costs.of(shape)
        found.append(Check("and as one node of two cores", name,
                           pairs * both_ns / (both_ns + crossing_ns),
                           measured([[one, other]], [[one, other] * clients]), "/s"))
    return found


def device_bound(cells, bytes_per_s, times):
    """Durable messages while the node may write so many bytes a second. Of a journal that goes
    round for the first time each block is zeroed and then written, so also twice."""
    cell = next(cell for cell in cells if cell["ack"] == "durable" and key_of(cell) == SHARED)
    with server.Node(cell["path"]) as node:
        node.settle()
        with device.Throttle(node.pid, node.directory, bytes_per_s):
            with server.Load(node, "durable", *SHARED, times.window) as load:
                load.warm_up(times.warm_up_s)
                before = node.snapshot()
                time.sleep(THROTTLED_S)
                after = node.snapshot()
                load.check()
    return [Check(f"a device of {bytes_per_s / 1e6:.0f} MB/s", cell["name"],
                  bytes_per_s / shape_of(cell).device_bytes, server.rate(before, after), "/s")]
