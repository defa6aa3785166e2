"""One engine under its loads, from its start to its end."""

import contextlib
import time

from comparison import payload
from comparison import proc
from comparison.engine import Job
from comparison.generator import generate
from comparison.loads import BY_NAME
from comparison.loads import DEPTH
from comparison.program import Deadline
from comparison.program import Failure
from comparison.program import Program
from comparison.program import readable

# What a load may take beside the time that it counts.
SLACK = 15
# An idle engine is given so long before its CPU time counts.
SETTLE = 1
# Cycles that say how fast an engine is at them, and how long the others may take.
PROBE = 500
CHURN_SECONDS = 5


class Trial:
    """Runs loads on one engine and hands every result to `tell(load name, record)`."""

    def __init__(self, engine, options, places, programs, tell):
        self.engine = engine
        self.options = options
        self.places = places
        self.programs = programs
        self.tell = tell

    @contextlib.contextmanager
    def running(self, torrents, data, seeds, seconds):
        """A fresh process that takes torrents, with its job."""
        job = Job(
            torrents,
            data,
            seeds,
            proc.free_port(),
            proc.free_port(),
            self.places.scratch(self.engine.name),
            self.options.engine_core,
            Deadline(seconds),
        )
        self.engine.prepare(job)
        command = self.engine.command(job)
        log = job.scratch / "log"
        with Program(self.engine.name, command, log, job.core, self.engine.has_input) as program:
            self.engine.come_up(job, program)
            yield job, program

    def wait_ready(self, job, program, seconds):
        what = f"{self.engine.name} to have checked its files"
        Deadline(seconds).wait(what, lambda: self.engine.is_ready(job, program))

    def fail(self, loads, reason):
        for load in loads:
            self.tell(load, {"failure": str(reason)})

    def generate(self, words, seconds, program):
        """One run of the generator; tells its result."""
        with proc.PeakMemory(program.pid) as memory:
            said, command, complaint = generate(
                self.programs,
                self.options.load_core,
                [*words, "--pid", program.pid],
                seconds + SLACK,
            )
        said["peak_private_bytes"] = memory.peak
        said["commands"] = [readable(program.command), command]
        if complaint:
            said["complaint"] = complaint
        return said

    def seeding(self, loads):
        """All loads on a seed, in one process as long as it lives."""
        left = list(loads)
        while left:
            tried = left[0]
            payload.warm(self.places.data / payload.NAME)
            try:
                with self.running([self.places.torrent], self.places.data, True, 60) as at:
                    left = self.seed_until_it_ends(at, left)
                    self.tell_turns(at[1])
            except Failure as failure:
                # Without a check nothing can follow; a load that ended the engine is told already.
                self.fail(left if left and left[0] == tried else [], failure)
                left = [] if left and left[0] == tried else left

    def seed_until_it_ends(self, at, left):
        """Gives the loads that are left over when the engine has ended, or may do only one."""
        job, program = at
        self.check(job, program, tell="check" in left)
        left = [load for load in left if load != "check"]
        while left:
            load, *left = left
            try:
                self.tell(load, self.load_a_seed(load, job, program))
            except Failure as failure:
                self.fail([load], failure)
            if self.engine.starts_anew or program.process.poll() is not None:
                break
        return left

    def check(self, job, program, tell):
        """Adds the torrent and waits until it is checked; who is told nothing began at its start."""
        is_told = self.engine.has_remote_control
        before = proc.cpu_seconds(program.pid) if is_told else 0.0
        began = time.monotonic() if is_told else program.started
        with proc.PeakMemory(program.pid) as memory:
            self.engine.add(job, program)
            self.wait_ready(job, program, 30 + self.options.size / 5e8)
        took = time.monotonic() - began
        cpu = proc.cpu_seconds(program.pid) - before
        time.sleep(self.engine.settle_seconds)
        if tell:
            size = self.options.size / 1e9
            self.tell(
                "check",
                {
                    "GB_per_cpu_s": size / max(cpu, 0.01),
                    "GB_per_s": size / took,
                    "engine_cpu_s": cpu,
                    "seconds": took,
                    "peak_private_bytes": memory.peak,
                    "commands": [readable(program.command)],
                },
            )

    def load_a_seed(self, load, job, program):
        """One load; of churn a first small one says how many cycles fit into the time."""
        reason = self.engine.cannot(load)
        if reason:
            raise Failure(reason)
        if load == "idle":
            # What the check took is given back before peers are counted.
            time.sleep(self.options.quiet_seconds)
        if load != "churn":
            return self.generate(self.words(load, job), self.options.deadline, program)
        first = self.generate(
            self.words(load, job, min(PROBE, self.options.cycles)), CHURN_SECONDS, program
        )
        cycles = min(self.options.cycles, int((first["cycles_per_s"] or 0) * CHURN_SECONDS))
        if cycles <= PROBE:
            return first
        return self.generate(self.words(load, job, cycles), CHURN_SECONDS, program)

    def words(self, load, job, cycles=0):
        """What the generator is told."""
        address, torrent = f"127.0.0.1:{job.port}", self.places.torrent
        if load == "idle":
            return [
                "idle",
                address,
                torrent,
                "--connections",
                self.options.idle_peers,
                "--seconds",
                f"{self.options.idle_seconds}s",
            ]
        if load == "churn":
            return ["churn", address, torrent, "--cycles", cycles]
        return [
            "seed",
            address,
            torrent,
            "--connections",
            BY_NAME[load].connections,
            "--depth",
            DEPTH,
            "--seconds",
            f"{self.options.seconds}s",
        ]

    def downloading(self, load):
        """One download into a file of which every piece is wrong."""
        target = payload.Target(self.places.target, self.places.data / payload.NAME)
        target.spoil()
        payload.warm(target.source)
        try:
            with self.running([self.places.torrent], target.folder, False, 60) as (job, program):
                self.engine.add(job, program)
                self.wait_ready(job, program, 30 + self.options.size / 5e8)
                time.sleep(self.engine.settle_seconds)
                self.tell(load, self.download(load, job, program, target))
                self.tell_turns(program)
        except Failure as failure:
            self.fail([load], failure)
        if target.file.exists():
            payload.settle(target.file)

    def download(self, load, job, program, target):
        limit = self.options.download_seconds
        words = [
            "leech",
            f"127.0.0.1:{job.port}",
            self.places.torrent,
            target.source,
            "--connections",
            BY_NAME[load].connections,
            "--seconds",
            f"{limit}s",
        ]
        said = self.generate(words, limit, program)
        with contextlib.suppress(Failure):
            Deadline(10).wait("the end", lambda: self.engine.is_complete(job, program))
        said["pieces_wrong"] = target.wrong_pieces()
        return said

    def many_torrents(self):
        """Idle torrents, against the same engine with one."""
        paths = payload.torrents(self.places.many)[: self.options.torrents]
        try:
            if self.engine.with_one_torrent is None:
                self.engine.with_one_torrent = self.hold(paths[:1])
            one, all_ = self.engine.with_one_torrent, self.hold(paths)
        except Failure as failure:
            self.fail(["torrents"], failure)
            return
        added = max(all_["torrents_known"] - 1, 1)
        grown = all_["private_bytes"] - one["private_bytes"]
        cpu = all_["start_cpu_s"] - one["start_cpu_s"]
        all_.update(
            private_bytes_per_torrent=grown / added,
            torrents_wanted=len(paths),
            start_cpu_ms_per_torrent=max(cpu, 0) * 1000 / added,
        )
        self.tell("torrents", all_)

    def hold(self, paths):
        """Memory and CPU time of an engine with these torrents, after a while of idleness."""
        limit = self.options.torrents_seconds
        # One torrent lies in a folder of many: a list of one must not become the folder.
        with self.running(paths, self.places.many / "data", True, limit) as (job, program):
            began = time.monotonic()
            before = proc.cpu_seconds(program.pid) if self.engine.has_remote_control else 0.0
            self.engine.add(job, program)
            with contextlib.suppress(Failure):
                left = Deadline(max(job.adding.left, 1))
                left.wait("torrents", lambda: self.engine.is_ready(job, program), pause=0.2)
            program.expect_alive()
            ready = self.engine.count_ready(job, program)
            if not ready:
                raise Failure(f"no torrent of {len(paths)} was served after {limit} s")
            known = self.engine.count_known(job, program)
            said = {
                "torrents_ready": ready,
                "torrents_known": known,
                "start_s": time.monotonic() - began,
                "start_cpu_s": proc.cpu_seconds(program.pid) - before,
            }
            time.sleep(SETTLE)
            idle_from, busy_from = time.monotonic(), proc.busy_seconds(program.pid)
            time.sleep(self.options.quiet_seconds)
            busy = proc.busy_seconds(program.pid) - busy_from
            said["idle_cpu_percent"] = 100 * busy / (time.monotonic() - idle_from)
            said["private_bytes"] = proc.private_bytes(program.pid)
            said["commands"] = [readable(program.command)[:400]]
            return said

    def tell_turns(self, program):
        """The lengths of coreswarm's turns, which it says when it ends."""
        turns = getattr(self.engine, "turns", None)
        if turns and (program.stop(), said := turns(program))[1]:
            self.tell(
                "turns",
                {key: said[key] for key in ("count", "p50_us", "p99_us", "p999_us", "max_us")},
            )
