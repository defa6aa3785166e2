"""The load generator: `coreswarm bench`, raw peers that share no code with any engine."""

import json
import subprocess

from comparison.program import Failure
from comparison.program import environment
from comparison.program import readable


def generate(programs, core, words, seconds):
    """Runs `coreswarm bench WORDS` on a core; (its JSON object, the command, a complaint or "").

    A run that moved something and then complained still has its numbers.
    """
    command = ["taskset", "-c", str(core), str(programs.generator), "bench", *map(str, words)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
            env=environment(),
        )
    except subprocess.TimeoutExpired as error:
        raise Failure(f"the load did not end within {seconds:.0f} s") from error
    # Its table goes to stderr too; complaints are sentences behind its name, or about an early end.
    said = [
        line
        for line in done.stderr.splitlines()
        if line.startswith("coreswarm: ") or ": ended" in line
    ]
    complaint = "; ".join(line.removeprefix("coreswarm: ") for line in said)
    for line in reversed(done.stdout.splitlines()):
        if line.startswith("{"):
            return json.loads(line), readable(command), complaint
    raise Failure(
        complaint or f"the generator ended with status {done.returncode} and said nothing"
    )
