"""The command line."""

import argparse
import re
from pathlib import Path

from comparison.loads import EXTRA
from comparison.loads import LOADS
from comparison.loads import ONCE
from comparison.places import CACHE

ENGINES = ("coreswarm", "rqbit", "lt21", "lt20", "qbittorrent", "aria2", "transmission", "floor")
DEFAULT_LOADS = tuple(load.name for load in LOADS if load.name not in EXTRA)
GIB = 1 << 30
# What --quick changes.
QUICK = {
    "size": 256 << 20,
    "repetitions": 1,
    "seconds": 2,
    "idle_peers": 500,
    "idle_seconds": 2,
    "quiet_seconds": 8,
    "cycles": 5_000,
    "torrents": 200,
    "torrents_seconds": 10,
    "download_seconds": 15,
}
FULL = {
    "size": 4 * GIB,
    "repetitions": 3,
    "seconds": 3,
    "idle_peers": 5_000,
    "idle_seconds": 3,
    "quiet_seconds": 8,
    "cycles": 20_000,
    "torrents": 5_000,
    "torrents_seconds": 15,
    "download_seconds": 20,
}


def size(text):
    """Bytes, with the suffixes K, M and G for powers of 1024."""
    found = re.fullmatch(r"(\d+)([KMG]?)(?:iB)?", text)
    if not found:
        raise argparse.ArgumentTypeError(f"expected a size as 4G or 256M, got {text!r}")
    return int(found[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[found[2]]


def choice(known):
    """A parser of comma-separated words out of `known`, kept in the order of `known`."""

    def parse(text):
        words = text.split(",")
        unknown = [word for word in words if word not in known]
        if unknown:
            raise argparse.ArgumentTypeError(
                f"expected some of {','.join(known)}, got {','.join(unknown)}"
            )
        return [word for word in known if word in words]

    return parse


def parse(words=None):
    """The options of a run, with the defaults of --quick or of a full run filled in."""
    known = [load.name for load in LOADS]
    parser = argparse.ArgumentParser(
        prog="benches/compare/run",
        description="Runs BitTorrent engines under the same loads, in turn, each on one core.",
    )
    add = parser.add_argument
    add(
        "--quick",
        action="store_true",
        help="256 MiB, once, only what is installed: a couple of minutes that show that it works",
    )
    add(
        "--only",
        dest="engines",
        type=choice(ENGINES),
        default=list(ENGINES),
        metavar="ENGINE,..",
        help=f"of {','.join(ENGINES)}",
    )
    add(
        "--loads",
        type=choice(known),
        default=list(DEFAULT_LOADS),
        metavar="LOAD,..",
        help=f"of {','.join(known)} (default: all but {','.join(EXTRA)})",
    )
    add("--size", type=size, help="payload (default 4G)")
    add("--repetitions", type=int, help=f"of all but {','.join(ONCE)} (default 3)")
    add("--seconds", type=int, help="per seeding load (default 3)")
    add("--idle-peers", type=int, help="(default 5000)")
    add("--idle-seconds", type=int, help="how long idle peers are watched (default 3)")
    add(
        "--quiet-seconds",
        type=int,
        help="for giving memory back before idle peers come, and without peers (default 8)",
    )
    add("--cycles", type=int, help="of connect, handshake, reset (default 20000)")
    add("--torrents", type=int, help="idle ones (default 5000)")
    add("--torrents-seconds", type=int, help="until when idle torrents must be served (default 15)")
    add("--download-seconds", type=int, help="a download may take (default 20)")
    add(
        "--everything",
        action="store_true",
        help=f"repeat {','.join(ONCE)} too, not only the others",
    )
    add("--minutes", type=float, default=30, help="begin nothing after so long (default 30)")
    add("--engine-core", type=int, default=0, help="(default 0)")
    add("--load-core", type=int, default=1, help="(default 1)")
    add(
        "--work",
        type=Path,
        default=Path("/var/tmp/coreswarm-compare"),
        help="where payloads lie: twice the payload's size (default /var/tmp/coreswarm-compare)",
    )
    add("--results", type=Path, default=CACHE / "results", help="(default target/compare/results)")
    add("--binary", type=Path, help="coreswarm (default: built in release mode)")
    add("--generator", type=Path, help="a coreswarm to make the load (default: the same)")
    add("--floor", type=Path, help="the floor's binary (default: built)")
    add("--no-install", action="store_true", help="only what is installed")
    add(
        "--render",
        type=Path,
        metavar="FILE.jsonl",
        help="only write Markdown and HTML of such results",
    )
    return fill(parser.parse_args(words))


def fill(options):
    for name, value in (QUICK if options.quick else FULL).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    options.deadline = max(options.seconds, options.idle_seconds + 15)
    return options
