"""The results as Markdown: a table a workload, floors, losses as plainly as wins."""

import results as read

LATENCY = "delivered"
# Lost or only late: nobody waits for ever.
FAULTS = {"lost": "not delivered", "unacknowledged": "not answered", "duplicated": "delivered twice",
          "reordered": "out of order", "foreign": "of another run"}


GROWTH = ("As fast as it goes; p50 / p99 at the same rate for all (delivered; of a backlog, "
          "answered); the most memory its processes had. The generator is one thread that makes and "
          "takes all, so beyond some hundred copies or connections the figures are of both.")


def rate_text(per_s):
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if per_s >= size:
            return f"{per_s / size:.3g} {unit}/s"
    return f"{per_s:.3g} /s"


def ns_text(ns):
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns:.0f} ns"


def spread(figure, text):
    if figure is None:
        return "-"
    if figure.low == figure.high:
        return text(figure.median)
    return f"{text(figure.median)} ({text(figure.low)} to {text(figure.high)})"


def remarks(cell, limit):
    found = []
    if read.is_clients(cell, limit):
        found.append("the generator's limit")
    if cell.beyond():
        found.append(f"rate not tried: it bore {rate_text(cell.beyond())}")
    elif not cell.reached_target():
        found.append("rate not reached")
    found += [f"{count:,} {FAULTS[name]}" for name, count in cell.faults().items()]
    if cell.errors:
        found.append(f"{len(cell.errors)} rounds failed: {cell.errors[0]}")
    return "; ".join(found)


def ranked(found, is_open):
    """The fastest first; those that failed last."""
    def place(cell):
        figure = cell.latency(LATENCY, "p99") if is_open else cell.rate()
        if figure is None:
            return (1, 0)
        return (0, figure.median if is_open else -figure.median)
    return sorted(found, key=place)


def workload_table(results, workload):
    found = [cell for cell in read.cells(results) if cell.data["workload"] == workload]
    limit = read.client_limit(results, found[0].data["payload_bytes"])
    is_open = found[0].data["rate"] != 0
    lines = [f"### {workload}", "",
             "| system | once answered it is in | rate | delivered p50 | p99 | p99.9 | answered p50 "
             "| p99 | in floors | processor a message, theirs / the client's | remarks |",
             "|---|---|---|---|---|---|---|---|---|---|---|"]
    if is_open:
        lines += [f"| floor: {of} |  |  | {ns_text(floor['p50_ns'])} | {ns_text(floor['p99_ns'])} "
                  f"| {ns_text(floor['p999_ns'])} |  |  | 1 |  |  |"
                  for of, floor in results["floors"].items() if "p50_ns" in floor]
    for cell in ranked(found, is_open):
        lines.append("| " + " | ".join((
            cell.label, cell.data["durability"], spread(cell.rate(), rate_text),
            spread(cell.latency("delivered", "p50"), ns_text),
            spread(cell.latency("delivered", "p99"), ns_text),
            spread(cell.latency("delivered", "p999"), ns_text),
            spread(cell.latency("acknowledged", "p50"), ns_text),
            spread(cell.latency("acknowledged", "p99"), ns_text),
            floors_text(results, cell, is_open),
            f"{spread_short(cell.cpu_ns())} / {spread_short(cell.client_cpu_ns())}",
            remarks(cell, limit))) + " |")
    if limit is not None:
        lines += ["", f"The generator alone: {spread(limit, rate_text)}."]
    return lines


def bytes_text(count):
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count / 1024:.3g} KiB"


def growth_text(fast, paced):
    """A system at one amount: rate, latency at a rate, memory."""
    if fast is None or paced is None or not fast.rounds or not (paced.rounds or paced.beyond()):
        errors = [one.errors[0] for one in (fast, paced) if one is not None and one.errors]
        return errors[0] if errors else "-"
    parts = [rate_text(fast.rate().median)]
    p50, p99 = (paced.latency(read.latency_kind(paced), one) for one in ("p50", "p99"))
    if not paced.reached_target():
        parts.append(f"{paced.data['rate']:,}/s not {'tried' if paced.beyond() else 'reached'}")
    elif p99 is not None:
        parts.append(f"{ns_text(p50.median)} / {ns_text(p99.median)}")
    parts.append(bytes_text(fast.resident_bytes().median))
    parts += backlog_parts(fast)
    found = fast.faults()
    for name, count in paced.faults().items():
        found[name] = found.get(name, 0) + count
    return "; ".join(parts + [f"{count:,} {FAULTS[name]}" for name, count in found.items()])


def backlog_parts(cell):
    if cell.read_back() is None:
        return []
    written = min(one["backlog"]["messages"] for one in cell.rounds)
    parts = [f"taken out at {rate_text(cell.read_back().median)}"]
    return parts if written >= cell.data["amount"] else [f"{written:,} by the time", *parts]


def growth_table(results, axis, amounts):
    lines = [f"| system | {' | '.join(f'{amount:,}' for amount in amounts)} |",
             "|" + "---|" * (1 + len(amounts))]
    def rate_at_first(named):
        fast = named[1].get(amounts[0], (None, None))[0]
        return fast.rate().median if fast is not None and fast.rounds else 0.0
    for label, pairs in sorted(read.grown(results, axis).items(), key=rate_at_first, reverse=True):
        lines.append(f"| {label} | " + " | ".join(
            growth_text(*pairs.get(amount, (None, None))) for amount in amounts) + " |")
    return lines


def floors_text(results, cell, is_open):
    """Latencies as multiples of what the machine itself takes; a rate as a share of the device's."""
    if not is_open:
        share = read.share_of_device(results, cell)
        return "-" if share is None else f"{share:.2g} of the disk"
    found = [read.in_floors(results, cell, kind) for kind in ("delivered", "acknowledged")]
    return ", ".join(f"{times:.3g} {name}" for name, times in filter(None, found)) or "-"


def spread_short(figure):
    return "-" if figure is None else ns_text(figure.median)


def floor_text(floor):
    if "error" in floor:
        return floor["error"]
    rate = f", {floor['bytes_per_s'] / 1e9:.3g} GB/s" if floor.get("path") == "disk" else ""
    return f"p50 {ns_text(floor['p50_ns'])}, p99 {ns_text(floor['p99_ns'])}{rate}"


def conditions_lines(results):
    conditions = results["conditions"]
    lines = [f"- {key.replace('_', ' ')}: {value}" for key, value in conditions.items()
             if key != "mitigations"]
    lines.append("- mitigations: " + ("; ".join(f"{name}: {state}" for name, state in
                                                conditions["mitigations"].items()) or "none"))
    lines += [f"- {name}: {version}" for name, version in results["versions"].items()]
    return lines


def setup_lines(results):
    lines = [f"- {one['peer']}, {one['setup']}: {one['note'] or 'as it comes'} ({one['durability']})"
             for one in results["setups"]]
    lines += [f"- {one['peer']} {one['setup']} is not there: {one['why']}"
              for one in results["absent"]]
    lines += [f"- {one['peer']} {one['setup']} ended {one['times']} times between turns, and was "
              "started again" for one in results.get("endings", [])]
    lines += [f"- {one['peer']} {one['setup']} still worked at what a load had left it "
              f"{one['times']} times, and was started anew for its next turn"
              for one in results.get("restless", [])]
    foreign = read.foreign_drivers(results)
    if foreign:
        lines.append("- Through protocols that Millrace does not speak yet, so of their own systems "
                     f"alone: {', '.join(foreign)}")
    return lines


def ended_lines(results):
    return [f"**Ended early, after {results['ended_after']}.**\n"] if "ended_after" in results else []


def markdown(results):
    lines = ["# Millrace beside others", ""]
    lines += [f"**{name} was made to stand still for {share:.0%} of the time.**\n"
              for name, share in results["slowed"].items()]
    lines += ended_lines(results)
    plain, axes = read.workloads(results)
    for workload in plain:
        lines += [*workload_table(results, workload), ""]
    for axis, amounts in axes.items():
        lines += [f"### More {axis}", "", GROWTH, "", *growth_table(results, axis, amounts), ""]
    lines += ["### Setups", ""]
    lines += setup_lines(results)
    lines += ["", "### What the machine itself can do", ""]
    lines += [f"- {of}: {floor_text(floor)}" for of, floor in results["floors"].items()]
    lines += ["", "### Conditions", "", *conditions_lines(results), ""]
    return "\n".join(lines)


def changes_lines(found):
    lines = ["| system | workload | figure | before | now | ratio | the other peers' | "
             "outside the noise |", "|---|---|---|---|---|---|---|---|"]
    for one in found:
        text = rate_text if one["figure"] == "rate" else ns_text
        lines.append(f"| {one['cell'].label} | {one['cell'].data['workload']} | {one['figure']} | "
                     f"{spread(one['old'], text)} | {spread(one['new'], text)} | "
                     f"{one['ratio']:.2f} | {spread(one['others'], '{:.2f}'.format)} | "
                     f"{'yes' if one['is_change'] else 'no'} |")
    return lines
