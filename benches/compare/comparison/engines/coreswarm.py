"""coreswarm itself, by its command line and its JSON lines."""

import json
import subprocess

from comparison.engine import CONNECTIONS
from comparison.engine import Engine
from comparison.program import Failure


class Coreswarm(Engine):
    """One shard, on one core."""

    name = "coreswarm"
    title = "coreswarm"
    has_remote_control = False
    settings = (
        f"`--shards 1 --connections {CONNECTIONS} --connections-per-torrent {CONNECTIONS}`, "
        "seeding with `--upload-slots 256`"
    )

    def __init__(self, binary):
        self.binary = binary

    def missing(self):
        return None if self.binary and self.binary.exists() else "not built: leave out --quick"

    def version(self):
        output = subprocess.run([self.binary, "--version"], capture_output=True, text=True)
        return output.stdout.split()[-1]

    def command(self, job):
        common = ["--listen", f"127.0.0.1:{job.port}", "--shards", "1", "--json"]
        common += ["--connections", CONNECTIONS, "--connections-per-torrent", CONNECTIONS]
        if job.seeds:
            # A folder of torrents is one word, however many there are.
            what = [job.torrents[0].parent] if len(job.torrents) > 1 else job.torrents
            return [self.binary, "seed", job.data, *what, *common, "--upload-slots", "256"]
        return [self.binary, "get", job.torrents[0], "-o", job.data, *common]

    def is_ready(self, job, program):
        program.expect_alive()
        return self.count_ready(job, program) == len(job.torrents)

    def count_ready(self, job, program):
        text = program.text()
        if job.seeds:
            return text.count('"event":"seeding"')
        return int('"state":"downloading"' in text)

    def is_complete(self, job, program):
        """`get` ends when everything is on the disk."""
        status = program.process.poll()
        if status not in (None, 0):
            raise Failure(f"coreswarm ended with status {status}: {program.tail()}")
        return status == 0

    def turns(self, program):
        """What it says at its end of the turns of its one shard; None when it said nothing."""
        for line in reversed(program.text().splitlines()):
            if line.startswith('{"event":"shards"'):
                return json.loads(line)["shards"][0]["turns"]
        return None
