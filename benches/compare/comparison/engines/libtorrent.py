"""libtorrent 2.0 and 2.1 through Python: `lt_session.py` runs inside their own venv."""

import json
import subprocess

from comparison.engine import Engine
from comparison.places import PEERS
from comparison.places import SCRIPTS


class Libtorrent(Engine):
    """One session; Python only adds the torrent and then sleeps."""

    has_input = True
    settings = (
        "its own preset `high_performance_seed()`, every peer unchoked, a long peer list, TCP only, "
        "no encryption, no DHT, LSD or port mapping, several connections per address"
    )

    def __init__(self, name, release):
        self.name = name
        self.release = release
        self.title = f"libtorrent {release}"
        self.python = PEERS / f"venv-{name}" / "bin" / "python"

    def missing(self):
        if not self.python.exists():
            return f"no libtorrent {self.release} in {self.python.parents[1]}"
        return None

    def version(self):
        script = "import libtorrent; print(libtorrent.__version__)"
        output = subprocess.run([self.python, "-c", script], capture_output=True, text=True)
        return output.stdout.strip()

    def command(self, job):
        listing = job.scratch / "torrents.txt"
        listing.write_text("\n".join(map(str, job.torrents)))
        script = SCRIPTS / "lt_session.py"
        return [self.python, script, listing, job.data, f"127.0.0.1:{job.port}"]

    def come_up(self, job, program):
        program.wait_text(self.start_deadline(), "the session", '"listening"')

    def add(self, job, program):
        program.say("add")

    def last(self, program):
        """The newest event, with the counts it holds."""
        for line in reversed(program.text().splitlines()):
            try:
                said = json.loads(line)
            except ValueError:
                continue
            if isinstance(said, dict) and "event" in said:
                return said
        return {}

    def is_ready(self, job, program):
        program.expect_alive()
        return self.last(program).get("checked", 0) == len(job.torrents)

    def count_ready(self, job, program):
        return self.last(program).get("checked", 0)

    def count_known(self, job, program):
        return len(job.torrents)

    def is_complete(self, job, program):
        program.expect_alive()
        return bool(self.last(program).get("flushed"))
