"""The results as Markdown: a table of medians and ratios for each load."""

from comparison import figures


def render(run, results, loads):
    """The whole document."""
    parts = ["# coreswarm and other engines", "", *machine(run), "", *settings(run)]
    for load in loads:
        row = figures.cells(load, run, results)
        parts += [
            "",
            f"## {load.title}",
            "",
            load.text,
            "",
            *table(load, row, run),
            *remarks(row, run),
        ]
        parts += commands(row)
    parts += turns(results)
    return "\n".join(parts) + "\n"


def machine(run):
    rows = [f"- {name}: {value}" for name, value in run["machine"]]
    text = (
        "Medians of all repetitions. `×` is how many times better coreswarm is in the same run, "
        "above 1 in its "
        "favour. Differences below 15 % are noise. Engines ran in turn, each on one core, the "
        "load on another."
    )
    return [*rows, f"- command: `{run['command']}`", "", text]


def settings(run):
    lines = ["| engine | version | told beside its defaults |", "|---|---|---|"]
    for engine in run["engines"].values():
        lines.append(f"| {engine['title']} | {engine['version']} | {engine['settings']} |")
    return lines


def table(load, row, run):
    """Medians with the ratios beside those numbers that have one."""
    ours = figures.ours_of(row)
    head = ["engine"]
    for metric in load.metrics:
        head += [metric.title] + (["×"] if metric.has_ratio else [])
    lines = [f"| {' | '.join(head)} |", "|---" + "|--:" * (len(head) - 1) + "|"]
    for cell in row:
        words = [run["engines"][cell.engine]["title"]]
        for metric in load.metrics:
            value = cell.median(metric)
            words.append(figures.number(value, metric.digits))
            if metric.has_ratio:
                ratio = figures.advantage(metric, ours.median(metric) if ours else None, value)
                words.append(figures.times(ratio))
        lines.append(f"| {' | '.join(words)} |")
    return lines


def remarks(row, run):
    found = [(run["engines"][cell.engine]["title"], note) for cell in row for note in cell.notes]
    lines = [f"- {title}: {note.replace('|', '/')}" for title, note in found]
    return ["", *lines] if lines else []


def commands(row):
    lines = [command for cell in row for command in cell.commands]
    if not lines:
        return []
    text = "\n".join(lines)
    return ["", "<details><summary>commands</summary>", "", "```sh", text, "```", "", "</details>"]


def turns(results):
    """The lengths of coreswarm's turns, of every process it was."""
    mine = [one for one in results if one["load"] == "turns"]
    if not mine:
        return []
    keys = ("count", "p50_us", "p99_us", "p999_us", "max_us")
    rows = [
        [f"{one['of']} ({one['repetition']})", *(figures.number(one[key], 0) for key in keys)]
        for one in mine
    ]
    head = ["process (repetition)", "turns", "p50 µs", "p99 µs", "p99.9 µs", "longest µs"]
    lines = [head, ["---", *["--:"] * len(keys)], *rows]
    return ["", "## coreswarm's turns", "", *(f"| {' | '.join(line)} |" for line in lines)]
