"""The floor: a minimal seeder and leecher on a ring, a bound for every engine."""

from comparison import proc
from comparison.engine import Engine
from comparison.program import Failure


class Floor(Engine):
    """`benches/floor`: one torrent, no check, no choking, no limits."""

    name = "floor"
    title = "floor (no engine)"
    has_remote_control = False
    settings = (
        "`benches/floor`: a minimal ring seeder (from a populated mapping) and leecher (buffered "
        "writes by the "
        "ring); checks nothing and refuses nobody"
    )
    is_floor = True
    # It ends when its peers have left.
    starts_anew = True

    def __init__(self, binary):
        self.binary = binary

    def missing(self):
        return None if self.binary and self.binary.exists() else "benches/floor is not built"

    def version(self):
        return "-"

    def command(self, job):
        what = "seed" if job.seeds else "leech"
        data = job.data / "load.bin"
        how = ["--source", "mapping"] if job.seeds else ["--writing", "ring"]
        return [self.binary, "--bench", what, f"127.0.0.1:{job.port}", job.torrents[0], data, *how]

    def is_ready(self, job, program):
        program.expect_alive()
        return proc.is_listening(job.port)

    def is_complete(self, job, program):
        status = program.process.poll()
        if status not in (None, 0):
            raise Failure(f"the floor ended with status {status}: {program.tail()}")
        return status == 0

    def remarks(self, load):
        return ["a bound, not an engine"]
