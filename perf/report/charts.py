"""Charts as inline SVG: logarithmic, with spreads, legible in light and dark."""

import html
import math

WIDTH = 920
LABEL_WIDTH = 300
ROW = 22
TOP = 8
AXIS = 34
# Told apart by people who see colours differently; the rest of the lines is grey.
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


class LogScale:
    """Values onto pixels, from a power of ten to a power of ten."""

    def __init__(self, values, left, right):
        values = [value for value in values if value]
        self.low = math.floor(math.log10(min(values))) if values else 0
        self.high = max(self.low + 1, math.ceil(math.log10(max(values)))) if values else 1
        self.left, self.right = left, right

    def at(self, value):
        share = (math.log10(max(value, 10 ** self.low)) - self.low) / (self.high - self.low)
        return self.left + share * (self.right - self.left)

    def ticks(self):
        return [10.0 ** power for power in range(self.low, self.high + 1)]


def text(x, y, content, anchor="start", kind=""):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">'
            f"{html.escape(content)}</text>")


def line(x1, y1, x2, y2, kind):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def svg(height, parts, title):
    return (f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{html.escape(title)}">'
            f"<title>{html.escape(title)}</title>{''.join(parts)}</svg>")


def axis(scale, bottom, label):
    parts = []
    for tick in scale.ticks():
        x = scale.at(tick)
        parts.append(line(x, TOP, x, bottom, "grid"))
        parts.append(text(x, bottom + 16, label(tick), "middle", "tick"))
    return parts


def bars(rows, label, title, reference=None):
    """rows: (name, figure, is ours, note), one bar each, its spread as a whisker over its end."""
    bottom = TOP + ROW * len(rows)
    known = [row[1].high for row in rows] + [row[1].low for row in rows]
    scale = LogScale(known + ([reference[1]] if reference else []), LABEL_WIDTH, WIDTH - 110)
    parts = axis(scale, bottom, label)
    for i, (name, figure, is_ours, note) in enumerate(rows):
        y = TOP + ROW * i
        middle = y + ROW / 2
        end = scale.at(figure.median)
        parts.append(text(LABEL_WIDTH - 8, middle + 4, name, "end", "ours" if is_ours else ""))
        parts.append(f'<rect x="{LABEL_WIDTH}" y="{y + 4}" width="{max(1.0, end - LABEL_WIDTH):.1f}" '
                     f'height="{ROW - 8}" class="{"bar ours" if is_ours else "bar"}"/>')
        parts.append(line(scale.at(figure.low), middle, scale.at(figure.high), middle, "whisker"))
        parts.append(text(max(end, scale.at(figure.high)) + 6, middle + 4,
                          label(figure.median) + note, kind="value"))
    if reference:
        x = scale.at(reference[1])
        parts += [line(x, TOP, x, bottom, "reference"),
                  text(x, bottom + 30, reference[0], "middle", "tick")]
    return svg(bottom + AXIS, parts, title)


def ranges(rows, label, title):
    """rows: (name, [p50, p99, p99.9], is ours): three points on a line each."""
    bottom = TOP + ROW * len(rows)
    scale = LogScale([value for row in rows for value in row[1]], LABEL_WIDTH, WIDTH - 110)
    parts = axis(scale, bottom, label)
    for i, (name, values, is_ours) in enumerate(rows):
        middle = TOP + ROW * i + ROW / 2
        kind = "ours" if is_ours else ""
        parts.append(text(LABEL_WIDTH - 8, middle + 4, name, "end", kind))
        parts.append(line(scale.at(values[0]), middle, scale.at(values[-1]), middle,
                          f"span {kind}"))
        for value, radius in zip(values, (5, 3.5, 2.5)):
            parts.append(f'<circle cx="{scale.at(value):.1f}" cy="{middle:.1f}" r="{radius}" '
                         f'class="dot {kind}"/>')
        parts.append(text(scale.at(values[-1]) + 8, middle + 4, f"p99 {label(values[1])}", kind="value"))
    return svg(bottom + AXIS, parts, title)


def legend(x, i, name, colour):
    y = TOP + 14 + 17 * i
    return [f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{colour}"/>',
            text(x + 16, y, name, kind="legend")]


def lines(series, amounts, label, title):
    """series: (name, {amount: value or None}): a line each over the amounts, values logarithmic."""
    left, right, bottom = 70, WIDTH - 300, 300
    height = max(bottom + AXIS, TOP + 14 + 17 * len(series))
    vertical = LogScale([value for _, values in series for value in values.values()], bottom, TOP)
    across = {amount: left + (right - left) * i / max(1, len(amounts) - 1)
              for i, amount in enumerate(amounts)}
    parts = []
    for tick in vertical.ticks():
        y = vertical.at(tick)
        parts += [line(left, y, right, y, "grid"), text(left - 6, y + 4, label(tick), "end", "tick")]
    for amount, x in across.items():
        parts += [line(x, TOP, x, bottom, "grid"),
                  text(x, bottom + 16, f"{amount:,}", "middle", "tick")]
    for i, (name, values) in enumerate(series):
        colour = COLOURS[i] if i < len(COLOURS) else "#999999"
        places = [(across[amount], vertical.at(values[amount])) for amount in amounts
                  if values.get(amount)]
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        parts += legend(right + 14, i, name, colour)
    return svg(height, parts, title)


def percentiles(curves, label, title):
    """curves: (name, [[value, count] ...] rising): latency by share of messages, both axes
    logarithmic; the first ones have colours."""
    height, left, right, bottom = 380, 70, WIDTH - 230, 330
    totals = [sum(count for _, count in points) for _, points in curves]
    vertical = LogScale([value for _, points in curves for value, _ in points], bottom, TOP)
    across = LogScale([1, max(totals)], left, right)
    parts = []
    for tick in vertical.ticks():
        y = vertical.at(tick)
        parts += [line(left, y, right, y, "grid"), text(left - 6, y + 4, label(tick), "end", "tick")]
    for tick in across.ticks():
        x = across.at(tick)
        share = f"{100 * (1 - 1 / tick):.6g} %" if tick > 1 else "0 %"
        parts += [line(x, TOP, x, bottom, "grid"), text(x, bottom + 16, share, "middle", "tick")]
    for i, ((name, points), total) in enumerate(zip(curves, totals)):
        colour = COLOURS[i] if i < len(COLOURS) else "#999999"
        places, reached = [], 0
        for value, count in points:
            places.append(f"{across.at(total / (total - reached)):.1f},{vertical.at(value):.1f}")
            reached += count
        parts.append(f'<polyline points="{" ".join(places)}" fill="none" stroke="{colour}" '
                     f'stroke-width="{2 if i < len(COLOURS) else 1}"/>')
        if TOP + 14 + 17 * i < height:
            parts += legend(right + 14, i, name, colour)
    return svg(height, parts, title)
