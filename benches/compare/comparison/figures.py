"""From results to what is shown: medians, ratios to coreswarm, and reasons to doubt them."""

from dataclasses import dataclass
from dataclasses import field
from statistics import median

OURS = "coreswarm"
# From here on the generator may be what is measured.
BUSY_PERCENT = 95


@dataclass
class Cell:
    """One engine under one load, all repetitions together."""

    engine: str
    load: str
    values: dict = field(default_factory=dict)
    """By metric's key: what was measured, in order of repetitions, scaled to what is shown."""
    notes: list = field(default_factory=list)
    commands: list = field(default_factory=list)

    def median(self, metric):
        values = self.values.get(metric.key)
        return median(values) if values else None

    def has_any(self, load):
        return any(self.values.get(metric.key) for metric in load.metrics)


def cells(load, run, results):
    """A cell for each engine of the run, with a note where there is nothing to show."""
    found = []
    for name, engine in run["engines"].items():
        mine = [one for one in results if one["load"] == load.name and one["engine"] == name]
        cell = Cell(name, load.name)
        for metric in load.metrics:
            values = [
                one[metric.key] * metric.scale for one in mine if one.get(metric.key) is not None
            ]
            cell.values[metric.key] = values
        cell.commands = next((one["commands"] for one in mine if "commands" in one), [])
        cell.notes = notes(load, engine, mine)
        found.append(cell)
    return found


def notes(load, engine, mine):
    """Why the numbers of a cell are missing, unfair or doubtful."""
    if engine.get("missing"):
        return [f"not run: {engine['missing']}"]
    if not mine:
        return ["not run"]
    said = list(engine.get("remarks", {}).get(load.name, []))
    failures = [one["failure"] for one in mine if "failure" in one]
    if failures:
        said.append(f"failed {len(failures)} of {len(mine)} times: {failures[-1]}")
    for one in mine:
        said += doubts(one)
    return list(dict.fromkeys(said))


def doubts(one):
    """What a single result says against itself."""
    wanted = one.get("connections")
    served = one.get("connections_open", one.get("connections_served"))
    if wanted and served is not None and served < wanted:
        done = "kept" if "connections_open" in one else "served"
        yield f"only {served} of {wanted} connections were {done}"
    if one.get("torrents_ready", 0) < one.get("torrents_wanted", 0):
        ready, wanted = one["torrents_ready"], one["torrents_wanted"]
        yield f"only {ready} of {wanted} torrents were served in time"
    if (one.get("engine_private_bytes_per_connection") or 0) < 0:
        yield "gave back more memory than its peers took"
    if one.get("pieces_wrong"):
        yield (
            "not every piece was right at the end"
            if one["pieces_wrong"] > 0
            else "its file was gone"
        )
    if one.get("pieces_corrupt"):
        yield f"sent {one['pieces_corrupt']} corrupt pieces"
    if (one.get("generator_busy_percent") or 0) > BUSY_PERCENT:
        yield "the load generator's core was full: the engine could do more"
    if one.get("complaint"):
        yield one["complaint"]


def advantage(metric, ours, theirs):
    """How many times better coreswarm is: above 1 in its favour; None where that says nothing."""
    if not metric.has_ratio or not ours or not theirs or ours < 0 or theirs < 0:
        return None
    return ours / theirs if metric.more_is_better else theirs / ours


def ours_of(row):
    """The cell of coreswarm among the cells of a load; None without."""
    return next((cell for cell in row if cell.engine == OURS), None)


def number(value, digits):
    """A number as people read it; a dash where there is none."""
    return "-" if value is None else f"{value:,.{digits}f}"


def times(value):
    """A ratio."""
    if value is None:
        return "-"
    return f"{value:.2f}×" if value < 10 else f"{value:.0f}×"
