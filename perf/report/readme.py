"""The tables of perf/README.md, written anew from a run's results."""

import os

import results as read
import table

PATH = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "README.md")
SIDE_BY_SIDE = "### Measured side by side"
GROWTH = "#### More {}"  # of an axis
SIZES = "#### Sizes and partitions"
RATES = "#### Rates"
# The payload of the rows of the first table, and of the one of rates.
PAYLOAD_BYTES = 100
RATES_PAYLOAD_BYTES = 288
# A run with fewer columns than this is no matrix.
COLUMNS_MIN = 3


def conditions_text(results):
    conditions, plan = results["conditions"], results["plan"]
    floors = ", ".join(f"{of} {table.floor_text(floor)}"
                       for of, floor in results["floors"].items())
    versions = ", ".join(f"{name} {version.removeprefix(f'{name} ')}"
                         for name, version in results["versions"].items())
    rounds = "1 round" if plan["rounds"] == 1 else f"{plan['rounds']} rounds"
    if "ended_after" in results:
        rounds += f" (ended after {results['ended_after']})"
    return [f"{conditions['date']}, commit {conditions['commit']}, {conditions['processors']} "
            f"processors of an {conditions['processor']}, Linux {conditions['kernel']}, "
            f"{conditions['disk']}; {rounds} of {plan['measured_s']:g} s, all in turn.",
            f"Floors: {floors}. Versions: {versions}."]


def pair(results, cell, kind):
    """p50 with its spread and floors, and p99."""
    if cell is None or cell.latency(kind, "p50") is None:
        return "-"
    text = " / ".join(table.spread(cell.latency(kind, one), table.ns_text)
                      for one in ("p50", "p99"))
    found = read.in_floors(results, cell, kind)
    return f"{text}; {found[1]:.3g} {found[0]}" if found else text


def row_remarks(cells):
    found = {}
    for cell in cells:
        for name, count in cell.faults().items():
            found[name] = found.get(name, 0) + count
    late = found.pop("lost", 0) + found.pop("unacknowledged", 0)
    words = ["behind when it ended"] if late else []
    words += ["rate not tried"] if any(cell.beyond() for cell in cells) else []
    words += [f"{count:,} {table.FAULTS[name]}" for name, count in found.items()]
    return "; ".join(words + ["rounds failed" for cell in cells if cell.errors][:1])


def side_by_side(results):
    rows = {}
    for cell in read.cells(results):
        data = cell.data
        if data["payload_bytes"] == PAYLOAD_BYTES and data["partitions"] == 1 and not data.get("axis"):
            rows.setdefault(cell.label, {})[data["rate"]] = cell
    paced = min((rate for row in rows.values() for rate in row if rate), default=0)

    def rate_of(row):
        figure = row[0].rate() if 0 in row else None
        return figure.median if figure is not None else 0.0
    lines = [*conditions_text(results), "",
             f"| {PAYLOAD_BYTES} B, one partition | once answered it is in | rate, window 1024 "
             f"| at {paced:,}/s: delivered p50 / p99; p50 in floors | answered "
             "| processor a message, theirs / the client's | remarks |", "|---|---|---|---|---|---|---|"]
    for row in sorted(rows.values(), key=rate_of, reverse=True):
        fast, slow = row.get(0), row.get(paced) if paced else None
        one = fast or slow
        lines.append("| " + " | ".join((
            one.label, one.data["durability"],
            "-" if fast is None else table.spread(fast.rate(), table.rate_text),
            pair(results, slow, "delivered"), pair(results, slow, "acknowledged"),
            f"{table.spread_short(one.cpu_ns())} / {table.spread_short(one.client_cpu_ns())}",
            row_remarks(row.values()))) + " |")
    limit = read.client_limit(results, PAYLOAD_BYTES)
    if limit is not None:
        lines += ["", f"The generator alone: {table.spread(limit, table.rate_text)}."]
    return lines


def in_columns(results, column_of, text_of, rank_of, columns_text):
    """A table of systems, first by rank_of their first column; None of too few columns. column_of
    gives None for a cell that is not in it."""
    rows, columns = {}, set()
    for cell in read.cells(results):
        column = None if cell.data.get("axis") else column_of(cell.data)
        if column is not None:
            rows.setdefault(cell.label, {})[column] = cell
            columns.add(column)
    if len(columns) < COLUMNS_MIN:
        return None
    columns = sorted(columns)
    lines = [*conditions_text(results), "",
             f"| system | {' | '.join(map(columns_text, columns))} |", "|---|" + "---|" * len(columns)]
    for label, row in sorted(rows.items(), key=lambda named: rank_of(named[1].get(columns[0]))):
        lines.append(f"| {label} | " + " | ".join(
            text_of(row[column]) if column in row else "-" for column in columns) + " |")
    return lines


def sizes(results):
    """As fast as it goes."""
    def rank(cell):
        return -cell.rate().median if cell is not None and cell.rate() is not None else 0.0

    def text(cell):
        words = row_remarks([cell])
        return table.spread(cell.rate(), table.rate_text) + (f"; {words}" if words else "")
    return in_columns(
        results, lambda data: None if data["rate"] else (data["partitions"], data["payload_bytes"]),
        text, rank, lambda column: f"{column[1]:,} B" + (f", {column[0]:,}" if column[0] > 1 else ""))


def rates(results):
    """Delivered, p50 and p99."""
    def p50(cell):
        return cell.latency("delivered", "p50") if cell is not None else None

    def text(cell):
        if not cell.reached_target():
            return "not tried" if cell.beyond() else "not reached"
        return " / ".join(table.spread(cell.latency("delivered", one), table.ns_text)
                          for one in ("p50", "p99"))

    def column(data):
        is_one = data["payload_bytes"] == RATES_PAYLOAD_BYTES and data["partitions"] == 1
        return data["rate"] if is_one and data["rate"] else None
    return in_columns(results, column, text,
                      lambda cell: p50(cell).median if p50(cell) is not None else float("inf"),
                      lambda rate: f"{rate:,}/s")


def growth(results, axis, amounts):
    return [*conditions_text(results), "", *table.growth_table(results, axis, amounts)]


def replaced(text, heading, lines):
    """The text with what stands between this heading and the next."""
    before, found, rest = text.partition(f"\n{heading}\n")
    if not found:
        raise ValueError(f"no '{heading}' in {PATH}")
    following = rest.find("\n#")
    return f"{before}{found}\n" + "\n".join(lines) + "\n" + rest[following:]


def write(results):
    with open(PATH) as file:
        text = file.read()
    plain, axes = read.workloads(results)
    if plain:
        text = replaced(text, SIDE_BY_SIDE, side_by_side(results))
    for heading, lines in ((SIZES, sizes(results)), (RATES, rates(results))):
        if lines is not None:
            text = replaced(text, heading, lines)
    for axis, amounts in axes.items():
        text = replaced(text, GROWTH.format(axis), growth(results, axis, amounts))
    with open(PATH, "w") as file:
        file.write(text)
