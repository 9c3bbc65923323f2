#!/usr/bin/env python3
"""The scaling model: what it predicts of made-up costs and hosts, how perf's words and the node's
counters are read, and one short count on a real node."""

import argparse
import dataclasses
import os
import sys

import node
from node import case

PERF = os.path.join(node.ROOT, "perf")
sys.path[:0] = [os.path.join(PERF, one) for one in ("model", "report", "peers")]

import checks  # noqa: E402
import count  # noqa: E402
import lines  # noqa: E402
import model  # noqa: E402
import predict  # noqa: E402
import sample  # noqa: E402
import server  # noqa: E402
import text  # noqa: E402

COSTS = model.Costs(frame=200, message=10, byte=0.25, write=50_000)
PLENTY = model.Hardware(cores=4, queues=4, devices=4, queue_packets_per_s=1e12,
                        nic_bytes_per_s=1e15, device_bytes_per_s=1e15, device_flushes_per_s=1e12,
                        memory_bytes_per_s=1e15)


def shape(payload_bytes=100, batch=10, writes=0.0):
    frame_bytes = payload_bytes + 100 / batch
    return model.Shape(frames_in=1 / batch, frames_out=1 / batch, bytes_in=frame_bytes,
                       bytes_out=frame_bytes, writes=writes, journal_bytes=frame_bytes,
                       device_bytes=2 * frame_bytes)


def near(a, b):
    return abs(a - b) <= 1e-6 * abs(b)


@case
def a_cost_is_the_sum_of_its_parts(_):
    assert near(COSTS.of(shape(writes=0.001)), 200 * 0.2 + 10 + 0.25 * 220 + 50)


@case
def a_fit_finds_the_costs_that_made_the_points(_):
    shapes = [shape(32, 200, 1e-4), shape(1344, 6), shape(32, 30, 1e-3), shape(1344, 1, 2e-3),
              shape(100, 80)]
    found = model.fit([(one, COSTS.of(one)) for one in shapes])
    for name in model.FEATURES:
        assert near(getattr(found, name), getattr(COSTS, name)), found


@case
def a_fit_predicts_what_it_has_not_seen_within_the_noise(_):
    shapes = [shape(32, 200, 1e-4), shape(1344, 6, 1e-3), shape(32, 30, 1e-3), shape(1344, 1, 2e-3)]
    noise = (1.05, 0.95, 0.96, 1.04)
    found = model.fit([(one, COSTS.of(one) * off) for one, off in zip(shapes, noise)])
    unseen = shape(288, 28, 1e-3)
    assert abs(model.error(found.of(unseen), COSTS.of(unseen))) < 0.2, found


@case
def no_part_of_a_cost_is_below_zero(_):
    # A frame that costs less than nothing would fit these best.
    found = model.fit([(shape(100, 1), 100), (shape(100, 10), 200), (shape(1000, 10), 900)])
    assert min(dataclasses.astuple(found)) >= 0, found


@case
def cores_add_up_as_long_as_nothing_crosses(_):
    one, four = (model.predict(COSTS, shape(), dataclasses.replace(PLENTY, cores=cores))
                 for cores in (1, 4))
    assert one.bottleneck == four.bottleneck == "cores"
    assert near(one.rate, 1e9 / COSTS.of(shape())) and near(four.rate, 4 * one.rate)


@case
def what_crosses_costs_the_share_of_the_other_cores(_):
    crossing = dataclasses.replace(shape(), crossing_lines=0.5, crossing_bytes=100)
    extra = 0.5 * PLENTY.line_ns + 100 * COSTS.byte
    for cores, share in ((1, 0), (2, 1 / 2), (4, 3 / 4)):
        host = dataclasses.replace(PLENTY, cores=cores)
        assert near(model.predict(COSTS, crossing, host).rate,
                    cores * 1e9 / (COSTS.of(crossing) + share * extra)), cores


@case
def more_cores_than_a_node_has_are_more_nodes(_):
    crossing = dataclasses.replace(shape(), crossing_lines=0.5, crossing_bytes=100)
    full, two = (model.predict(COSTS, crossing,
                               dataclasses.replace(PLENTY, cores=cores, queues=cores)).rate
                 for cores in (model.NODE_CORES_MAX, 2 * model.NODE_CORES_MAX))
    assert near(two, 2 * full)


@case
def whatever_is_scarce_ends_it(_):
    one = shape()
    for scarce, bottleneck, rate in (
            ({"queue_packets_per_s": 1000}, "queues", 4 * 1000 / one.frames_in),
            ({"nic_bytes_per_s": 1e6}, "network", 1e6 / one.bytes_in),
            ({"device_bytes_per_s": 1e6}, "device bytes", 4 * 1e6 / one.device_bytes),
            ({"device_flushes_per_s": 1}, "device flushes",
             4 * model.WRITE_BYTES_MAX / one.journal_bytes),
            # In, copied (read and written), out; twice to the device.
            ({"memory_bytes_per_s": 1e6}, "memory", 1e6 / (110 + 2 * 110 + 110 + 220))):
        found = model.predict(COSTS, one, dataclasses.replace(PLENTY, **scarce))
        assert found.bottleneck == bottleneck and near(found.rate, rate), (bottleneck, found)


@case
def one_queue_leaves_all_frames_to_its_core(_):
    costs = model.Costs(frame=1000, message=1, byte=0, write=0)
    found = model.predict(costs, shape(batch=1), dataclasses.replace(PLENTY, queues=1))
    assert found.bottleneck == "cores with a queue" and near(found.rate, 1e9 / 2000), found


@case
def devices_without_a_shard_do_not_help_and_the_fullest_ends_it(_):
    def rate(cores, devices):
        host = dataclasses.replace(PLENTY, cores=cores, devices=devices, device_bytes_per_s=1e6)
        return model.predict(COSTS, shape(), host).rate * shape().device_bytes / 1e6
    assert near(rate(8, 2), 2) and near(rate(2, 4), 2) and near(rate(3, 2), 1.5)


@case
def samples_tell_work_from_looking_around(_):
    script = "\n\n".join((
        " 1 millrace::core::CoreThread::loop (/b/millraced)",
        " 1 do_sched_yield ([kernel.kallsyms])\n 2 do_syscall_64 ([kernel.kallsyms])\n"
        " 3 __sched_yield (/lib/libc.so.6)\n 4 [unknown] ([unknown])",
        " 1 do_syscall_64 ([kernel.kallsyms])\n 2 __sched_yield (/lib/libc.so.6)",
        " 1 crc32 (/lib/libisal.so)\n 2 __sched_yield (/lib/libc.so.6)",
        " 1 handle_softirqs ([kernel.kallsyms])\n 2 millrace::core::Core::has_input (/b/millraced)",
        " 1 [unknown] (/lib/librte_net_memif.so.23.0)",
        " 1 millrace::port::DpdkPort::receive_frames (/b/millraced)",
        " 1 millrace::core::Core::run_turn (/b/millraced)")) + "\n\n"
    found = sample.read_shares(script)
    assert found == {"look": 1 / 8, "receive": 2 / 8, "yield": 2 / 8, "rest": 3 / 8, "samples": 8}, (
        found)


@case
def work_is_what_is_left_of_the_processor_time(_):
    # At rest: half of the time looks, three tenths receives between them, the rest is turns.
    at_rest = sample.NodeAtRest.of({"look": 0.5, "receive": 0.3, "yield": 0.0}, 1e9, 2e6)
    assert near(at_rest.look_factor, 1.6) and near(at_rest.turn_ns, 100)
    assert near(at_rest.work_ns({"look": 0.25, "yield": 0.1}, 1e9, 1e6), 1e9 * (1 - 0.5 - 0.1))
    assert at_rest.work_ns({"look": 0.7, "yield": 0.0}, 1e9, 0) == 0
    assert near(sample.ClientAtRest(0.8).work_ns({"yield": 0.2}, 1e9), 0.75e9)


@case
def system_calls_are_read_by_name(_):
    found = sample.read_calls("90,,raw_syscalls:sys_enter,1,100.00,,\n"
                              "30,,syscalls:sys_enter_io_uring_enter,1,100.00,,\n"
                              "50,,syscalls:sys_enter_sched_yield,1,100.00,,\n")
    assert found == {"all": 90, "io_uring_enter": 30, "sched_yield": 50, "other": 10}, found
    assert sample.read_calls("<not supported>,,raw_syscalls:sys_enter,0,0.00,,\n") == {}


@case
def metrics_are_summed_over_cores(_):
    found = server.sum_metrics('# HELP x\nmillrace_core_turns_total{core="0"} 3\n'
                               'millrace_core_turns_total{core="1"} 4\nmillrace_ready 1\n')
    assert found == {"core_turns": 7, "ready": 1}, found


@case
def the_sources_still_say_how_large_things_are(_):
    facts = lines.Facts.read()
    assert 64 < facts.command.value <= 128 and 64 < facts.event.value <= 128, facts
    cores_max = lines.Fact.read("dataplane/link/region.h", "cores_max")
    assert cores_max.value == model.NODE_CORES_MAX, cores_max
    frame_mib_max = lines.Fact.read("storage/journal.h", "frame_bytes_max")  # 4U << 20
    assert frame_mib_max.value << 20 == model.WRITE_BYTES_MAX, frame_mib_max
    try:
        lines.Fact.read("storage/disk.h", "no_such_bytes")
    except RuntimeError:
        return
    raise AssertionError("a size was read that nothing states")


@case
def lines_follow_from_what_was_counted(_):
    cell = {"path": "memif", "frames_in": 0.5, "frames_out": 0.5, "bytes_in": 640, "bytes_out": 64,
            "busy_turns": 0.25, "journal_bytes": 4096, "batches": 0.5}
    assert lines.total(lines.port_terms(cell)) == 10 + 1 + 0.25 + 1
    assert lines.total(lines.device_terms(cell)) == 64
    # Two lines of a command, two of each event, for half a batch; two indices, twice.
    assert lines.total(lines.crossing_terms(cell, lines.Facts.read())) == 1 + 2 + 1
    udp = {**cell, "path": "udp"}
    assert lines.total(lines.port_terms(udp)) == 10 + 1 + 4


@case
def a_message_has_its_share_of_what_went_by(_):
    names = ("core_appended_batches", "port_received_packets", "port_sent_packets",
             "port_received_bytes", "port_sent_bytes", "core_busy_turns", "shard_written_frames",
             "shard_written_bytes", "device_bytes", "core_repaired_packets")
    before = {**dict.fromkeys(names, 5), "core_appended_records": 0, "at_ns": 0, "core_cpu_ns": 0}
    after = {**dict.fromkeys(names, 25), "core_appended_records": 10, "at_ns": 1e9,
             "core_cpu_ns": 5e8}
    found = count.per_message(count.difference(before, after), 1000, 2e8, None)
    assert found["rate"] == 10 and found["batches"] == 2 and found["node_ns"] == 100, found
    assert found["client_ns"] is None and found["core_share"] == 0.5, found


def some_cell(ack, payload_bytes, batch_bytes, batch):
    one = shape(payload_bytes, batch, 1e-4 if ack == "memory" else 1e-3)
    return {"path": "memif", "ack": ack, "payload_bytes": payload_bytes, "batch_bytes": batch_bytes,
            "name": f"memif {ack}, {payload_bytes} B, {batch_bytes}", **dataclasses.asdict(one),
            "node_ns": COSTS.of(one), "client_ns": 2 * COSTS.of(one), "node_cpu_ns": 900,
            "client_cpu_ns": 900, "rate": 1e6, "spread": {}, "core_share": 1.0, "client_share": 1.0,
            "batches": 1 / batch, "busy_turns": 0.01,
            "calls": {of: {"all": 0.5, "other": 0.5} for of in ("core", "client", "node")}}


@case
def rounds_become_their_medians(_):
    rounds = [{"name": "a", "rate": rate, "client_ns": None, "calls": calls} for rate, calls in
              ((3, {"all": 1}), (1, {}), (2, {"all": 2, "other": 5}))]
    assert predict.median_cell(rounds) == {
        "name": "a", "rate": 2, "spread": {"rate": [1, 3]}, "client_ns": None,
        "calls": {"all": 1.5, "other": 5}}, predict.median_cell(rounds)


@case
def counts_become_checks_and_a_page(_):
    cells = [some_cell(ack, size, batch_bytes, 1 + (batch_bytes or 9000) // (size + 10))
             for ack in ("memory", "durable") for size, batch_bytes in
             (*checks.FITTED, *checks.UNSEEN_SIZES, *checks.UNSEEN_BATCHES)]
    predict.complete(cells)
    made = [*checks.unseen(cells, "unseen", checks.UNSEEN_SIZES), *checks.loop_rates(cells, {})]
    assert len(made) == 4 * 2 + 2 * 3, made
    assert all(abs(one.error) < 1e-6 for one in made if one.unit == "ns"), made
    # The client costs twice as much, so the rate is its.
    assert all(near(one.predicted, 1e9 / cell["client_ns"]) for one in made for cell in cells
               if one.what == f"{cell['name']}: client" and one.unit == "/s"), made
    asked = argparse.Namespace(nic_gbit=100, queue_mpps=15, device_gbps=3, device_kiops=50,
                               memory_gbps=100)
    found = {"cells": cells, "line_ns": 50, "device": {}, "rounds": 1, "window": 1,
             "why_no_perf": "it is not there", "conditions": dict.fromkeys(
                 ("date", "commit", "processors", "processor", "kernel", "disk"), "x"),
             "checks": [{**dataclasses.asdict(one), "error": one.error} for one in made]}
    predict.predict(asked, found)
    page = text.markdown(found, asked)
    rows = [one for one in page.split("\n") if one.startswith("| memif, 1344 B, a packet each |")]
    assert len(rows) == len(predict.CORES) and all("/s, " in one for one in rows), page
    assert "it is not there" in page and model.ASSUMPTIONS[0] in page


@case
def a_real_node_is_counted(_):
    with server.Node("udp") as one:
        counter = count.Counter(one, count.Times(0.2, 0.2, 0.1, 1024), "not asked for")
        found = counter.count(count.Workload("udp", "memory", 100))
    assert found["rate"] > 0 and 1 <= 1 / found["batches"] <= 100, found
    assert 100 < found["bytes_in"] < 1000 and found["frames_in"] > 0, found
    assert checks.shape_of(found).journal_bytes == found["journal_bytes"]
    assert found["node_ns"] is None and 0 < found["core_share"] <= 1.05, found


if __name__ == "__main__":
    node.main()
