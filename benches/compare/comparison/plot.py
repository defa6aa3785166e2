"""Bars as inline SVG: one per engine, its repetitions as dots, its spread as a line."""

import math
from html import escape
from statistics import median

from comparison.figures import number

WIDTH = 560
LABEL = 150
VALUE = 78
BAR = 20
GAP = 10
# A bar so many times the median of all bars is cut off: one bad engine shall not hide the others.
CUT = 4


def bars(metric, entries):
    """`entries` are (title, class, values, note): bars are medians, dots what they come from.

    Without values the note stands where the bar would be.
    """
    largest = reach(metric, [values for _, _, values, _ in entries if values])
    room = WIDTH - LABEL - VALUE
    scale = room / largest if largest > 0 else 0.0
    height = len(entries) * (BAR + GAP) + GAP
    title = f"{metric.title}, {'more' if metric.more_is_better else 'less'} is better"
    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">']
    parts.append(grid(scale, largest, height))
    for at, entry in enumerate(entries):
        parts.append(bar(metric, entry, GAP + at * (BAR + GAP), scale, room))
    parts.append("</svg>")
    return f'<figure><figcaption>{escape(title)}</figcaption>{"".join(parts)}</figure>'


def reach(metric, all_values):
    """What the full width stands for: the largest value, or less where the largest are far off."""
    largest = max((value for values in all_values for value in values), default=0)
    if metric.more_is_better or len(all_values) < 3:
        return largest
    limit = CUT * median(median(values) for values in all_values)
    return min(largest, limit) if limit > 0 else largest


def ticks(largest):
    """Zero and at most five further round numbers up to the largest value."""
    if largest <= 0:
        return [0.0]
    rough = largest / 5
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(
        unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough * (1 - 1e-9)
    )
    return [step * count for count in range(int(largest / step * (1 + 1e-9)) + 1)]


def grid(scale, largest, height):
    """Faint lines at round numbers."""
    at = (LABEL + value * scale for value in ticks(largest))
    return "".join(
        f'<line class="grid" x1="{x:.1f}" y1="4" x2="{x:.1f}" y2="{height - 4}"/>' for x in at
    )


def bar(metric, entry, top, scale, room):
    title, kind, values, note = entry
    middle = top + BAR / 2
    label = f'<text class="name {kind}" x="{LABEL - 10}" y="{middle + 4}">{escape(title)}</text>'
    if not values:
        return (
            label
            + f'<text class="none" x="{LABEL + 6}" y="{middle + 4}">{escape(shorten(note))}</text>'
        )
    ordered = sorted(values)
    middle_value = median(values)
    is_cut = middle_value * scale > room * (1 + 1e-9)
    width = min(max(middle_value * scale, 1), room)
    parts = [
        label,
        f'<rect class="bar {kind}" x="{LABEL}" y="{top}" width="{width:.1f}" height="{BAR}" rx="3">'
        f"<title>{escape(title)}: "
        f"{', '.join(number(value, metric.digits) for value in values)}</title></rect>",
    ]
    low, high = (LABEL + min(max(value, 0) * scale, room) for value in (ordered[0], ordered[-1]))
    if is_cut:
        x = LABEL + room - 22
        parts.append(f'<path class="cut" d="M{x} {top - 2}l-6 {BAR + 4}h6l6 -{BAR + 4}z"/>')
    elif len(values) > 1:
        parts.append(
            f'<line class="spread" x1="{low:.1f}" y1="{middle}" x2="{high:.1f}" y2="{middle}"/>'
        )
        dots = (LABEL + min(max(value, 0) * scale, room) for value in values)
        parts += [f'<circle class="dot" cx="{x:.1f}" cy="{middle}" r="2.6"/>' for x in dots]
    end = max(LABEL + width, high) + 8
    parts.append(
        f'<text class="value" x="{end:.1f}" y="{middle + 4}">'
        f"{number(middle_value, metric.digits)}</text>"
    )
    return "".join(parts)


def shorten(text):
    return text if len(text) <= 62 else text[:60] + "…"


def lines(title, counts, series):
    """Rates over numbers of connections: `series` are (title, class, [value or None])."""
    height, left, right, top, bottom = 300, 64, 150, 14, 34
    largest = max((value for _, _, values in series for value in values if value), default=0)
    if not largest:
        return ""
    step = (WIDTH + 160 - left - right) / max(len(counts) - 1, 1)
    place = lambda at, value: (
        left + at * step,
        height - bottom - value / largest * (height - top - bottom),
    )
    parts = [f'<svg viewBox="0 0 {WIDTH + 160} {height}" role="img" aria-label="{escape(title)}">']
    end = left + step * (len(counts) - 1)
    for value in ticks(largest):
        y = place(0, value)[1]
        parts.append(f'<line class="grid" x1="{left}" y1="{y:.1f}" x2="{end:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="axis end" x="{left - 8}" y="{y + 4:.1f}">{number(value, 0)}</text>'
        )
    for at, count in enumerate(counts):
        parts.append(
            f'<text class="axis" x="{left + at * step:.1f}" y="{height - 10}">{count}</text>'
        )
    ends = []
    for name, kind, values in series:
        points = [place(at, value) for at, value in enumerate(values) if value]
        if not points:
            continue
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline class="curve {kind}" points="{path}"/>')
        parts += [
            f'<circle class="point {kind}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in points
        ]
        ends.append((points[-1][1], points[-1][0], name, kind))
    for (x, name, kind), y in spaced(ends):
        parts.append(
            f'<text class="name curve-name {kind}" x="{x + 10:.1f}" y="{y + 4:.1f}">'
            f"{escape(name)}</text>"
        )
    parts.append("</svg>")
    return f'<figure class="wide"><figcaption>{escape(title)}</figcaption>{"".join(parts)}</figure>'


def spaced(ends, gap=15.0):
    """Moves labels apart that would lie on each other: ((x, name, class), y) from top to bottom."""
    last = float("-inf")
    for y, *rest in sorted(ends):
        last = max(y, last + gap)
        yield tuple(rest), last
