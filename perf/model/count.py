"""Counts, for one path, what a message costs: time, system calls, frames, bytes, writes."""

import dataclasses
import time

import sample
import server


@dataclasses.dataclass(frozen=True)
class Workload:
    """One closed loop through the native driver; batch_bytes 0 is one packet."""

    path: str
    ack: str
    payload_bytes: int
    batch_bytes: int = 0

    @property
    def name(self):
        batch = f", batches of {self.batch_bytes:,} B" if self.batch_bytes else ""
        return f"{self.path} {self.ack}, {self.payload_bytes} B{batch}"


@dataclasses.dataclass(frozen=True)
class Times:
    warm_up_s: float = 0.6
    sampled_s: float = 1.0
    calls_s: float = 0.4
    window: int = 16384


class Counter:
    """Counts on one node, whose core and generator are looked at without load first."""

    def __init__(self, node, times, why_no_perf=None):
        self.node = node
        self.times = times
        self.why_no_perf = sample.missing() if why_no_perf is None else why_no_perf
        self.node_at_rest = self.client_at_rest = None
        if not self.why_no_perf:
            self.look_at_rest()

    def look_at_rest(self):
        thread = self.node.core_threads()[0]
        before = self.node.snapshot()
        recorder = sample.Recorder(thread, self.times.sampled_s).wait()
        gone = difference(before, self.node.snapshot())
        shares = recorder.shares()
        self.node_at_rest = sample.NodeAtRest.of(shares, gone["core_cpu_ns"], gone["core_turns"])
        with server.Load(self.node, "memory", 100, rate=1) as load:
            load.warm_up(self.times.warm_up_s)
            shares = sample.Recorder(load.pid, self.times.sampled_s).wait().shares()
            load.check()
        self.client_at_rest = sample.ClientAtRest(shares["yield"])

    def count(self, workload):
        with server.Load(self.node, workload.ack, workload.payload_bytes, workload.batch_bytes,
                         self.times.window) as load:
            load.warm_up(self.times.warm_up_s)
            found = self.count_costs(load)
            found["calls"] = {} if self.why_no_perf else self.count_calls(load)
            load.check()
        return {**dataclasses.asdict(workload), "name": workload.name, **found}

    def count_costs(self, load):
        before, client_before = self.node.snapshot(), load.cpu_ns()
        recorders = []
        if self.why_no_perf:
            time.sleep(self.times.sampled_s)
        else:
            recorders = [sample.Recorder(thread, self.times.sampled_s)
                         for thread in (self.node.core_threads()[0], load.pid)]
        for one in recorders:
            one.wait()
        gone = difference(before, self.node.snapshot())
        client_ns = load.cpu_ns() - client_before
        load.check()
        node_work = client_work = None
        if recorders:
            core_shares, client_shares = (one.shares() for one in recorders)
            idle_turns = gone["core_turns"] - gone["core_busy_turns"]
            node_work = self.node_at_rest.work_ns(core_shares, gone["core_cpu_ns"], idle_turns)
            client_work = self.client_at_rest.work_ns(client_shares, client_ns)
        return per_message(gone, node_work, client_ns, client_work)

    def count_calls(self, load):
        seconds = self.times.calls_s
        before = self.node.snapshot()
        counters = {"core": sample.CallCounter(seconds, thread=self.node.core_threads()[0]),
                    "node": sample.CallCounter(seconds, pid=self.node.pid),
                    "client": sample.CallCounter(seconds, pid=load.pid)}
        counts = {of: one.counts() for of, one in counters.items()}
        gone = difference(before, self.node.snapshot())
        # The counters ran for a part of that time only.
        messages = gone["core_appended_records"] * seconds * 1e9 / gone["at_ns"]
        return {of: {name: count / max(1, messages) for name, count in one.items()}
                for of, one in counts.items()}


def difference(before, after):
    return {name: after[name] - before[name] for name in before if name in after}


def per_message(gone, node_work_ns, client_ns, client_work_ns):
    """Of what went by between two snapshots, the share of one message."""
    messages = gone["core_appended_records"]
    if messages <= 0:
        raise RuntimeError("nothing was appended")

    def share(value):
        return None if value is None else value / messages
    return {
        "rate": messages * 1e9 / gone["at_ns"],
        "node_ns": share(node_work_ns),
        "node_wall_ns": share(gone["at_ns"]),
        "node_cpu_ns": share(gone["core_cpu_ns"]),
        "core_share": gone["core_cpu_ns"] / gone["at_ns"],
        "client_share": client_ns / gone["at_ns"],
        "client_ns": share(client_work_ns),
        "client_cpu_ns": share(client_ns),
        "messages": messages,
        "batches": share(gone["core_appended_batches"]),
        "frames_in": share(gone["port_received_packets"]),
        "frames_out": share(gone["port_sent_packets"]),
        "bytes_in": share(gone["port_received_bytes"]),
        "bytes_out": share(gone["port_sent_bytes"]),
        "busy_turns": share(gone["core_busy_turns"]),
        "writes": share(gone["shard_written_frames"]),
        "journal_bytes": share(gone["shard_written_bytes"]),
        "device_bytes": share(gone["device_bytes"]),
        "repaired": share(gone["core_repaired_packets"]),
    }
