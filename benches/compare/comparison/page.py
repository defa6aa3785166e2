"""The results as one HTML file that needs nothing else: plots, a table under each."""

from html import escape
from pathlib import Path

from comparison import figures
from comparison import plot

STYLE = Path(__file__).with_name("page.css")


def render(run, results, loads):
    """The whole page."""
    rows = {load.name: figures.cells(load, run, results) for load in loads}
    body = [head(run), summary(run, loads, rows), curves(run, loads, rows)]
    body += [section(load, rows[load.name], run) for load in loads]
    body += [turns(results), engines(run), machine(run)]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>coreswarm and other engines</title><style>{STYLE.read_text()}</style></head>"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def kind(name, run):
    """The CSS class of an engine."""
    if name == figures.OURS:
        return "ours"
    if run["engines"][name]["is_floor"]:
        return "floor"
    return f"other c{list(run['engines']).index(name)}"


def title(name, run):
    engine = run["engines"][name]
    version = engine["version"]
    return (
        engine["title"]
        if version in ("-", "") or version[:-2] in engine["title"]
        else f"{engine['title']} {version}"
    )


def head(run):
    facts = dict(run["machine"])
    facts["commit"] = f"commit {facts['commit']}"
    names = ("date", "processor", "instructions", "kernel", "commit")
    line = " · ".join(facts[name] for name in names)
    return (
        f"<header><h1>coreswarm and other engines</h1><p class='facts'>{escape(line)}</p><p>"
        "Every engine had the "
        "same loads in turn, pinned to one core, with the load generator on another. Bars are "
        f"medians, dots single runs ({run['repetitions']} of each, of idle peers, churn and idle "
        "torrents one). <b>×</b> says how many times better coreswarm is in this run: above 1 in "
        "its favour. Differences below 15&nbsp;% are noise.</p></header>"
    )


def summary(run, loads, rows):
    """How many times better coreswarm is, by load and engine, for each load's first ratios."""
    names = [name for name in run["engines"] if name != figures.OURS]
    cells = ["<th></th>"] + [f"<th>{escape(title(name, run))}</th>" for name in names]
    lines = [f"<tr>{''.join(cells)}</tr>"]
    for load in loads:
        ours = figures.ours_of(rows[load.name])
        by_name = {cell.engine: cell for cell in rows[load.name]}
        for metric in [metric for metric in load.metrics[: load.plots] if metric.has_ratio]:
            line = [f"<th>{escape(load.title)}<small>{escape(metric.title)}</small></th>"]
            for name in names:
                ratio = figures.advantage(
                    metric, ours.median(metric) if ours else None, by_name[name].median(metric)
                )
                doubt = "<sup>*</sup>" if ratio and by_name[name].notes else ""
                line.append(f"<td class='{shade(ratio)}'>{figures.times(ratio)}{doubt}</td>")
            lines.append(f"<tr>{''.join(line)}</tr>")
    return (
        "<section><h2>How many times better</h2><div class='scroll'><table class='heat'>"
        f"{''.join(lines)}</table></div>"
        "<p class='note'>* with a remark in the section of that load.</p></section>"
    )


def shade(ratio):
    if ratio is None:
        return "none"
    return next(
        name
        for limit, name in ((0.87, "worse"), (1.15, "same"), (2, "good"), (float("inf"), "great"))
        if ratio <= limit
    )


def curves(run, loads, rows):
    """Rates of seeding over the number of connections, when several were measured."""
    seeding = [load for load in loads if load.name.startswith("seed")]
    if len(seeding) < 2:
        return ""
    rate = seeding[0].metrics[0]
    series = []
    for name in run["engines"]:
        values = [
            next(cell for cell in rows[load.name] if cell.engine == name).median(rate)
            for load in seeding
        ]
        series.append((title(name, run), kind(name, run), values))
    drawn = plot.lines(
        "MB/s on one core by number of connections", [load.connections for load in seeding], series
    )
    return f"<section><h2>Seeding</h2>{drawn}</section>"


def section(load, row, run):
    drawn = []
    for metric in load.metrics[: load.plots]:
        entries = [
            (
                title(cell.engine, run),
                kind(cell.engine, run),
                cell.values.get(metric.key, []),
                "; ".join(cell.notes),
            )
            for cell in row
        ]
        drawn.append(plot.bars(metric, entries))
    return (
        f"<section id='{load.name}'><h2>{escape(load.title)}</h2><p>{escape(load.text)}</p>"
        f"<div class='plots'>{''.join(drawn)}</div>"
        f"{table(load, row, run)}{remarks(row, run)}{commands(row)}</section>"
    )


def table(load, row, run):
    ours = figures.ours_of(row)
    words = "".join(
        f"<th>{escape(metric.title)}</th>{'<th>×</th>' if metric.has_ratio else ''}"
        for metric in load.metrics
    )
    lines = [f"<tr><th>engine</th>{words}</tr>"]
    for cell in row:
        line = [f"<th>{escape(title(cell.engine, run))}</th>"]
        for metric in load.metrics:
            value = cell.median(metric)
            line.append(f"<td>{figures.number(value, metric.digits)}{spread(cell, metric)}</td>")
            if metric.has_ratio:
                ratio = figures.advantage(metric, ours.median(metric) if ours else None, value)
                line.append(f"<td class='{shade(ratio)}'>{figures.times(ratio)}</td>")
        lines.append(f"<tr class='{kind(cell.engine, run)}'>{''.join(line)}</tr>")
    return f"<div class='scroll'><table>{''.join(lines)}</table></div>"


def spread(cell, metric):
    """The smallest and the largest of several values."""
    values = cell.values.get(metric.key, [])
    if len(values) < 2 or min(values) == max(values):
        return ""
    low, high = (figures.number(value, metric.digits) for value in (min(values), max(values)))
    return f"<small>{low} … {high}</small>"


def remarks(row, run):
    lines = [
        f"<li><b>{escape(title(cell.engine, run))}</b>: {escape(note)}</li>"
        for cell in row
        for note in cell.notes
    ]
    return f"<ul class='note'>{''.join(lines)}</ul>" if lines else ""


def commands(row):
    text = "\n".join(command for cell in row for command in cell.commands)
    return (
        f"<details><summary>commands</summary><pre>{escape(text)}</pre></details>" if text else ""
    )


def turns(results):
    """The lengths of coreswarm's turns by its own count, for each process it was."""
    mine = [one for one in results if one["load"] == "turns"]
    if not mine:
        return ""
    keys = ("count", "p50_us", "p99_us", "p999_us", "max_us")
    lines = [
        "<tr><th>process</th><th>turns</th><th>p50 µs</th><th>p99 µs</th><th>p99.9 µs</th><th>"
        "longest µs</th></tr>"
    ]
    for one in mine:
        cells = "".join(f"<td>{figures.number(one[key], 0)}</td>" for key in keys)
        lines.append(f"<tr><th>{escape(one['of'])}, {one['repetition']}</th>{cells}</tr>")
    return (
        "<section><h2>coreswarm's turns</h2><p>From the engine's own histograms: from start to "
        "end of each process, "
        f"its check included.</p><div class='scroll'><table>{''.join(lines)}</table></div>"
        "</section>"
    )


def engines(run):
    lines = ["<tr><th>engine</th><th>version</th><th>told beside its defaults</th></tr>"]
    for engine in run["engines"].values():
        lines.append(
            f"<tr><th>{escape(engine['title'])}</th><td>{escape(engine['version'])}</td>"
            f"<td class='text'>{escape(engine['settings']).replace('`', '')}</td></tr>"
        )
    table_ = f"<div class='scroll'><table>{''.join(lines)}</table></div>"
    return f"<section><h2>The engines</h2>{table_}</section>"


def machine(run):
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td class='text'>{escape(str(value))}</td></tr>"
        for name, value in [*run["machine"], ("command", run["command"])]
    )
    return f"<section><h2>The machine</h2><div class='scroll'><table>{rows}</table></div></section>"
