"""The counts, checks and predictions as Markdown."""

import statistics

import model
import table


def figure(value, digits=3):
    """In so many digits, never as a power."""
    if value is None:
        return "-"
    if value and abs(value) < 0.0005:
        return "<0.001"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.{digits}g}"


def row(*words):
    return "| " + " | ".join(map(str, words)) + " |"


def head(*words):
    return [row(*words), "|" + "---|" * len(words)]


def with_spread(cell, name, text):
    low, high = cell["spread"].get(name, (cell[name], cell[name]))
    return text(cell[name]) if low == high else f"{text(cell[name])} ({text(low)} to {text(high)})"


def counts_lines(cells):
    """Of a message each, but for the rate and what is in a batch, a turn, a write."""
    lines = head("path, payload", "rate", "core", "client", "had of their processors",
                 "messages in a batch", "frames in + out", "frames in a busy turn",
                 "port bytes in + out", "journal bytes; a write", "device bytes; times the payload",
                 "lines that cross")
    for cell in cells:
        write = cell["journal_bytes"] / cell["writes"] if cell["writes"] else 0
        lines.append(row(
            cell["name"], with_spread(cell, "rate", table.rate_text),
            with_spread(cell, "node_ns", table.ns_text),
            with_spread(cell, "client_ns", table.ns_text),
            f"{cell['core_share']:.0%}, {cell['client_share']:.0%}", figure(1 / cell["batches"]),
            f"{figure(cell['frames_in'])} + {figure(cell['frames_out'])}",
            figure(cell["frames_in"] / cell["busy_turns"]),
            f"{figure(cell['bytes_in'])} + {figure(cell['bytes_out'])}",
            f"{figure(cell['journal_bytes'])}; {write / 1024:,.0f} KiB",
            f"{figure(cell['device_bytes'])}; {cell['device_bytes'] / cell['payload_bytes']:.2f}",
            figure(cell["lines"])))
    return lines


def calls_lines(cells):
    """For a thousand messages."""
    names = ("io_uring_enter", "sched_yield", "other")
    lines = head("path, payload", *(f"{of}: {name}" for of in ("core", "client") for name in names),
                 "the node's other threads")
    for cell in cells:
        calls = cell["calls"]
        if not calls.get("core") or not calls.get("client"):
            continue
        others = calls["node"].get("all", 0) - calls["core"]["all"]
        lines.append(row(cell["name"], *(figure(1000 * calls[of].get(name, 0))
                                         for of in ("core", "client") for name in names),
                         figure(1000 * max(0, others))))
    return lines


def terms_lines(cells):
    lines = head("path, payload", "what", "lines a message", "from")
    for cell in cells:
        for term in [*cell["terms"], *cell["crossing"]]:
            lines.append(row(cell["name"], term["what"], figure(term["lines"]), term["source"]))
    return lines


def costs_lines(costs):
    lines = head("path", "of", "a frame, ns", "a message, ns", "a byte, ns", "a journal write, ns")
    for path, both in costs.items():
        for of, one in both.items():
            lines.append(row(path, of, *(figure(one[name]) for name in model.FEATURES)))
    return lines


def checks_lines(checks):
    lines = head("prediction", "of", "predicted", "measured", "error")
    for one in checks:
        unit = table.rate_text if one["unit"] == "/s" else table.ns_text
        lines.append(row(one["kind"], one["what"], unit(one["predicted"]), unit(one["measured"]),
                         f"{one['error']:+.0%}"))
    return lines


def host_text(one):
    queues = f", {one['queues']} queue" if one["queues"] else ""
    return f"{one['ack']}{queues}, {one['devices']} devices".replace("1 devices", "1 device")


def predictions_lines(predictions):
    hosts = list(dict.fromkeys(map(host_text, predictions)))
    lines = head("path, messages", "cores", *hosts)
    rows = {}
    for one in predictions:
        batch = "a packet each" if one["batch_bytes"] else "full packets"
        name = f"{one['path']}, {one['payload_bytes']} B, {batch}"
        rows.setdefault((name, one["cores"]), {})[host_text(one)] = (
            f"{table.rate_text(one['rate'])}, {one['bottleneck']}")
    return lines + [row(*key, *(found.get(host, "-") for host in hosts))
                    for key, found in rows.items()]


def summary_lines(checks):
    """By kind and path; of several predictions the errors' middle and greatest."""
    kinds = {}
    for one in checks:
        kinds.setdefault((one["kind"], one["what"].split()[0]), []).append(one)
    lines = head("prediction", "path", "predicted", "measured", "error")
    for (kind, path), found in kinds.items():
        if len(found) == 1:
            one = found[0]
            unit = table.rate_text if one["unit"] == "/s" else table.ns_text
            lines.append(row(kind, path, unit(one["predicted"]), unit(one["measured"]),
                             f"{one['error']:+.0%}"))
            continue
        errors = [abs(one["error"]) for one in found]
        lines.append(row(kind, path, f"{len(found)} of them", "",
                         f"{statistics.median(errors):.0%}, at most {max(errors):.0%}"))
    return lines


def conditions_line(found):
    conditions = found["conditions"]
    device = found["device"]
    measured_device = (f"{device['bytes_per_s'] / 1e9:.2f} GB/s, {device['flushes_per_s']:,.0f} "
                       "flushed writes of 4 KiB a second" if device else "no direct writes")
    line = (f"{conditions['date']}, commit {conditions['commit']}, {conditions['processors']} "
            f"processors of {conditions['processor']}, Linux {conditions['kernel']}, "
            f"{conditions['disk']}; {found['rounds']} rounds, window {found['window']:,}. One "
            f"device here, one writer: {measured_device}. A cache line from core to core: "
            f"{found['line_ns']:.0f} ns.")
    if found["why_no_perf"]:
        line += (" Costs are bounds, idle turns included, and system calls are not counted: "
                 f"{found['why_no_perf']}.")
    return line


def predicted_lines(found, asked):
    return [f"A queue: {asked.queue_mpps:g} M packets/s. The network: {asked.nic_gbit:g} Gbit/s. "
            f"A device: {asked.device_gbps:g} GB/s, {asked.device_kiops:g} k flushed writes/s. "
            f"Memory: {asked.memory_gbps:g} GB/s.", "", *predictions_lines(found["predictions"])]


def markdown(found, asked, is_short=False):
    """All of it, or what a README has room for."""
    full = [cell for cell in found["cells"] if not cell["batch_bytes"]]
    parts = [conditions_line(found), "", "### Counted, for a message", "",
             *counts_lines(full if is_short else found["cells"]), "",
             "### System calls for a thousand messages", "", *calls_lines(full), ""]
    if not is_short:
        parts += ["### Cache lines that cross", "",
                  *terms_lines([cell for cell in full if cell["payload_bytes"] == 100]), "",
                  "Crossing cores, the bytes of a batch and of its PUSH cross as well, in a row.",
                  ""]
    parts += ["### Costs fitted", "", *costs_lines(found["costs"]), "",
              "### Checked", "", *summary_lines(found["checks"]), ""]
    if not is_short:
        parts += [*checks_lines(found["checks"]), ""]
    parts += ["### Predicted", "", *predicted_lines(found, asked), ""]
    if not is_short:
        parts += ["### Assumed", "", *(f"- {one}" for one in model.ASSUMPTIONS), ""]
    return "\n".join(parts)
