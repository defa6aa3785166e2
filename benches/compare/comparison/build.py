"""Builds what is compared with the others: coreswarm, its load generator, the floor."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from comparison.places import REPOSITORY
from comparison.program import Failure


@dataclass
class Programs:
    """The binaries that come out of this repository."""

    coreswarm: Path
    generator: Path
    """The load generator: the same program."""
    floor: object
    """The minimal seeder and leecher; None without."""


def programs(options):
    """Builds in release mode what was not given."""
    coreswarm = options.binary or built(["build", "--bin=coreswarm"], "coreswarm")
    if not coreswarm or not coreswarm.exists():
        raise Failure(
            f"expected the program coreswarm, got no {coreswarm}; leave out --binary to build it"
        )
    floor = options.floor
    if not floor and "floor" in options.engines:
        has_floor = (REPOSITORY / "benches" / "floor" / "main.rs").exists()
        floor = built(["bench", "--no-run", "--bench=floor"], "floor") if has_floor else None
    return Programs(coreswarm, options.generator or coreswarm, floor)


def built(words, name):
    """The path of what `cargo WORDS` built."""
    print(f"building {name}", flush=True)
    release = ["--release"] if words[0] == "build" else []
    command = ["nice", "cargo", *words, *release, "--message-format=json"]
    done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise Failure(f"`{' '.join(command)}` failed")
    for line in reversed(done.stdout.splitlines()):
        said = json.loads(line) if line.startswith("{") else {}
        if said.get("executable") and said["target"]["name"] == name:
            return Path(said["executable"])
    return None
