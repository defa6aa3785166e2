"""The schedule: repetition by repetition, group of loads by group, engine by engine."""

import shlex
import sys
import time
from resource import RLIMIT_NOFILE
from resource import getrlimit
from resource import setrlimit

from comparison import build
from comparison import install
from comparison import machine
from comparison import markdown
from comparison import options as command_line
from comparison import page
from comparison import payload
from comparison.engines import all_engines
from comparison.loads import BY_NAME
from comparison.loads import LOADS
from comparison.loads import ONCE
from comparison.places import Places
from comparison.program import Failure
from comparison.records import Records
from comparison.records import read
from comparison.trial import Trial

TORRENT_PIECE = 16 << 10
# Each in one process, in this order: memory of idle peers is counted before anything else.
ON_A_SEED = (("check", "seed1", "seed10", "seed50", "seed200"), ("idle", "churn"))
# What the floor does.
OF_A_FLOOR = ("seed1", "seed10", "seed50", "seed200", "download10", "download50")


def main():
    options = command_line.parse()
    try:
        if options.render:
            return write(*read(options.render), options.render)
        return compare(options)
    except Failure as failure:
        print(f"compare: {failure}", file=sys.stderr)
        return 1


def compare(options):
    """Installs, builds, runs everything, writes the results."""
    hard = getrlimit(RLIMIT_NOFILE)[1]
    setrlimit(RLIMIT_NOFILE, (hard, hard))
    if not (options.quick or options.no_install):
        install.install(options.engines)
    programs = build.programs(options)
    engines = [one for one in all_engines(programs) if one.name in options.engines]
    places = Places(options.work, options.results)
    places.results.mkdir(parents=True, exist_ok=True)
    payload.make(programs, places.payload, options.size, payload.PIECE)
    if "torrents" in options.loads:
        payload.make(programs, places.many, 4 * TORRENT_PIECE, TORRENT_PIECE, options.torrents)
    path = places.results / f"{time.strftime('%Y-%m-%dT%H%M%SZ', time.gmtime())}.jsonl"
    records = Records(path, describe(options, engines))
    try:
        run(options, engines, places, programs, records)
    except KeyboardInterrupt:
        print("broken off: what there is will be written", file=sys.stderr)
    return write(records.run, records.results, path)


def describe(options, engines):
    """What the report says of the run as a whole."""
    known = {}
    for engine in engines:
        missing = engine.missing()
        known[engine.name] = {
            "title": engine.title,
            "version": "-" if missing else engine.version(),
            "missing": missing,
            "settings": engine.settings,
            "is_floor": engine.is_floor,
            "remarks": {load.name: engine.remarks(load.name) for load in LOADS},
        }
    words = " ".join(shlex.quote(word) for word in sys.argv[1:])
    return {
        "machine": machine.describe(),
        "command": f"benches/compare/run {words}".strip(),
        "repetitions": options.repetitions,
        "size": options.size,
        "loads": options.loads,
        "engines": known,
    }


def run(options, engines, places, programs, records):
    """A B C, A B C, A B C."""
    began = time.monotonic()
    for repetition in range(1, options.repetitions + 1):
        for group in groups(options.loads, repetition == 1 or options.everything):
            for engine in engines:
                mine = [load for load in group if not engine.is_floor or load in OF_A_FLOOR]
                if engine.missing() or not mine:
                    continue
                tell = teller(records, engine, repetition, group)
                if time.monotonic() - began > options.minutes * 60:
                    for load in mine:
                        tell(
                            load, {"failure": f"not begun: --minutes {options.minutes:g} were over"}
                        )
                    continue
                session(Trial(engine, options, places, programs, tell), mine)


def groups(loads, has_once):
    """Loads that share a process stand together; each other load alone."""
    now = [load for load in loads if has_once or load not in ONCE]
    shared = [[load for load in group if load in now] for group in ON_A_SEED]
    alone = [[load] for load in now if not any(load in group for group in ON_A_SEED)]
    return [group for group in shared + alone if group]


def session(trial, loads):
    """One engine's turn; whatever goes wrong is a result."""
    try:
        if loads == ["torrents"]:
            trial.many_torrents()
        elif loads[0].startswith("download"):
            trial.downloading(loads[0])
        else:
            trial.seeding(loads)
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        trial.fail(loads, f"{type(error).__name__}: {error}")


def teller(records, engine, repetition, group):
    """A function that writes down a result and shows it."""

    def tell(load, result):
        if load == "turns":
            result = {"of": ", ".join(group), **result}
        records.add(engine.name, load, repetition, result)
        shown = result.get("failure") or ", ".join(
            f"{result[metric.key] * metric.scale:,.{metric.digits}f} {metric.title}"
            for metric in (BY_NAME[load].metrics if load in BY_NAME else ())
            if result.get(metric.key) is not None
        )
        if load != "turns":
            print(f"{repetition} {engine.name:13} {load:11} {shown}", flush=True)

    return tell


def write(run_, results, path):
    """Markdown and HTML beside the JSON lines."""
    loads = [BY_NAME[name] for name in run_["loads"]]
    for suffix, render in ((".md", markdown.render), (".html", page.render)):
        path.with_suffix(suffix).write_text(render(run_, results, loads), encoding="utf-8")
    print(f"wrote {path}, {path.with_suffix('.md').name}, {path.with_suffix('.html').name}")
    return 0
