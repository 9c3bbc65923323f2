"""The results as one HTML page that needs nothing else: no script, no network."""

import html
import re

import charts
import results as read
import table

# "median (least to greatest)" of the tables.
SPREAD = re.compile(r" \(([^()]*) to ([^()]*)\)$")
SMALL = r"<br><small>\1 to \2</small>"

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #5b6570; --line: #d8dde3; --paper: #fff;
  --bar: #9fb0c0; --ours: #d55e00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --soft: #9aa5b1; --line: #3a424c;
  --paper: #16191d; --bar: #56697c; --ours: #f0803c; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; margin-bottom: 0; } h2 { margin-top: 2.5rem; font-size: 1.25rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; } .soft { color: var(--soft); }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 13px; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid var(--line);
  vertical-align: top; } td { font-variant-numeric: tabular-nums; white-space: nowrap; }
td:last-child { white-space: normal; } small { color: var(--soft); }
tr.ours td:first-child { font-weight: 600; color: var(--ours); }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; }
svg text { fill: var(--ink); } svg text.tick, svg text.value { fill: var(--soft); }
svg text.ours { fill: var(--ours); font-weight: 600; } .grid { stroke: var(--line); }
.bar { fill: var(--bar); } .bar.ours { fill: var(--ours); } .whisker { stroke: var(--ink); }
.reference { stroke: var(--soft); stroke-dasharray: 4 3; }
.span { stroke: var(--bar); stroke-width: 3; } .span.ours { stroke: var(--ours); }
.dot { fill: var(--bar); stroke: var(--paper); } .dot.ours { fill: var(--ours); }
code { font-size: 13px; } li { margin: .1rem 0; }
"""

READING = (
    "Each figure is the median of the rounds, with the least and the greatest. All systems take "
    "turns in a random order, round after round, so that what the host does to one it does to all. "
    "A latency counts from the moment a message was due, whatever became of those before it. "
    "<b>Delivered</b> is from producer to consumer; <b>answered</b> is until the producer was told, "
    "and what that promises is in its own column: <i>memory</i>, a process has it; <i>page "
    "cache</i>, the kernel has it and a power cut takes it; <i>device</i>, it was flushed; "
    "<i>none</i>, nobody says anything. Millrace delivers a message while it is being written; "
    "its answer waits for the device where the table says so.")


def is_ours(cell):
    return cell.data["peer"] == "millrace"


def rate_chart(found, limit):
    rows = [(cell.label, cell.rate(), is_ours(cell), f", {cell.data['durability']}")
            for cell in found if cell.rate() is not None and cell.rate().median > 0]
    if not rows:
        return ""
    reference = ("the generator alone", limit.median) if limit else None
    return charts.bars(rows, table.rate_text, "Rate, messages a second", reference)


def latency_chart(found, kind):
    rows = []
    for cell in found:
        figures = [cell.latency(kind, one) for one in ("p50", "p99", "p999")]
        if None not in figures:
            rows.append((cell.label, [figure.median for figure in figures], is_ours(cell)))
    if not rows:
        return ""
    return charts.ranges(rows, table.ns_text, f"{kind}: p50, p99 and p99.9")


def curves_chart(found, kind):
    curves = [(cell.label, cell.buckets(kind)) for cell in found if cell.buckets(kind)]
    if not curves:
        return ""
    return charts.percentiles(curves, table.ns_text, f"{kind}: latency by share of messages")


def html_table(lines):
    """A Markdown table's lines as HTML."""
    def cells(row, kind):
        words = [html.escape(word.strip()) for word in row.strip().strip("|").split("|")]
        return "".join(f"<{kind}>{SPREAD.sub(SMALL, word)}</{kind}>" for word in words)
    rows = [f"<tr>{cells(lines[0], 'th')}</tr>"]
    for row in lines[2:]:
        kind = ' class="ours"' if row.startswith("| millrace ") else ""
        rows.append(f"<tr{kind}>{cells(row, 'td')}</tr>")
    return f'<div class="wide"><table>{"".join(rows)}</table></div>'


def section(results, workload):
    found = [cell for cell in read.cells(results) if cell.data["workload"] == workload]
    limit = read.client_limit(results, found[0].data["payload_bytes"])
    is_open = found[0].data["rate"] != 0
    found = table.ranked(found, is_open)
    parts = [f"<h2>{html.escape(workload)}</h2>"]
    if not is_open:
        parts += ["<h3>Messages a second</h3>", rate_chart(found, limit)]
    else:
        parts += ["<h3>Producer to consumer: p50, p99, p99.9</h3>", latency_chart(found, "delivered"),
                  "<h3>Until the producer was answered: p50, p99, p99.9</h3>",
                  latency_chart(found, "acknowledged"),
                  "<h3>Producer to consumer, all percentiles</h3>",
                  curves_chart(found, "delivered")]
    lines = [line for line in table.workload_table(results, workload) if line.startswith("|")]
    parts.append(html_table(lines))
    return "".join(parts)


def ladder_section(results):
    """Rate against latency."""
    parts = []
    for (payload_bytes, partitions), ladder in read.ladders(results).items():
        rates = sorted({rate for values in ladder.values() for rate in values})
        title = f"{payload_bytes} B, {partitions} partitions: p99 by messages a second"
        parts += [f"<h3>{title}</h3>",
                  charts.lines(list(ladder.items()), rates, table.ns_text, title)]
    if not parts:
        return ""
    return ("<h2>Rate against latency</h2><p>Producer to consumer; a line ends where the rate was "
            f"not reached.</p>{''.join(parts)}")


def growth_section(results, axis, amounts):
    grown = read.grown(results, axis)
    def series(of, read_value):
        found = []
        for label, pairs in grown.items():
            values = {amount: read_value(pair[of]) for amount, pair in pairs.items()
                      if pair[of] is not None and pair[of].rounds}
            found.append((label, {amount: figure.median for amount, figure in values.items()
                                  if figure is not None}))
        return found
    parts = [f"<h2>More {axis}</h2><p>{table.GROWTH}</p>"]
    for title, of, read_value, label in (
            ("Messages a second", 0, read.Cell.rate, table.rate_text),
            ("p99 at a rate", 1, lambda cell: cell.latency(read.latency_kind(cell), "p99")
             if cell.reached_target() else None, table.ns_text),
            ("Memory", 0, read.Cell.resident_bytes, table.bytes_text)):
        parts += [f"<h3>{title}</h3>", charts.lines(series(of, read_value), amounts, label, title)]
    return "".join(parts) + html_table(table.growth_table(results, axis, amounts))


def items(lines):
    return "<ul>" + "".join(f"<li>{html.escape(one.removeprefix('- '))}</li>" for one in lines) + "</ul>"


def commands(results):
    found = dict.fromkeys(f"millrace-loadgen --driver {cell['driver']} --size {cell['payload_bytes']} "
                          f"--partitions {cell['partitions']} " +
                          (f"--rate {cell['rate']} " if cell["rate"] else "") +
                          (f"--{cell['axis']} {cell['amount']}" if cell["axis"] else "")
                          for cell in results["cells"])
    return "".join(f"<li><code>{html.escape(one.strip())}</code></li>" for one in found)


def page(results, body):
    conditions = results["conditions"]
    plan = results["plan"]
    return (f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Millrace beside others'
            f'</title><meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>'
            f'<body><h1>Millrace beside others</h1><p class="soft">{html.escape(conditions["date"])}, '
            f'commit {html.escape(conditions["commit"])}, {html.escape(conditions["processor"])}, '
            f'{conditions["processors"]} processors; {plan["rounds"]} rounds of '
            f'{plan["measured_s"]:g} s each</p><p>{READING}</p>{body}</body></html>\n')


def html_changes(found):
    if found is None:
        return ""
    return ("<h2>Since the run before</h2>" +
            html_table(table.changes_lines(found)))


def render(results, found=None):
    plain, axes = read.workloads(results)
    floors = [f"{of}: {table.floor_text(floor)}" for of, floor in results["floors"].items()]
    slowed = [f"{name} was made to stand still for {share:.0%} of the time."
              for name, share in results["slowed"].items()]
    slowed += [line.strip("*\n") for line in table.ended_lines(results)]
    body = "".join((
        items(slowed) if slowed else "",
        *(section(results, workload) for workload in plain), ladder_section(results),
        *(growth_section(results, axis, amounts) for axis, amounts in axes.items()),
        html_changes(found),
        "<h2>What the machine itself can do</h2>", items(floors),
        "<h2>Setups</h2>", items(table.setup_lines(results)),
        "<h2>Conditions</h2>", items(table.conditions_lines(results)),
        "<h2>Commands</h2><ul>", commands(results), "</ul>"))
    return page(results, body)
