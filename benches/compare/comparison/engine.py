"""What the comparison asks of an engine."""

import itertools
from dataclasses import dataclass
from pathlib import Path

from comparison.program import Deadline

# Starting, without any torrent.
START_SECONDS = 30
# Above every load, so that no engine's own limits decide.
CONNECTIONS = 8_000


@dataclass
class Job:
    """One start of one engine."""

    torrents: list
    """Paths of .torrent files."""
    data: Path
    """The folder with their files."""
    seeds: bool
    """Whether all files are whole; otherwise it downloads."""
    port: int
    """Where it accepts peers."""
    control: int
    """Where its remote control listens, if it has one."""
    scratch: Path
    """For its configuration and log."""
    core: int
    adding: Deadline
    """Until when torrents are added one by one."""

    def in_time(self):
        """The torrents, until there is no time left to add more."""
        return itertools.takewhile(lambda _: self.adding.left, self.torrents)


class Engine:
    """Starts one kind of engine with settings that let it be fast.

    `come_up` waits until it can take torrents, `add` adds them, `is_ready` tells whether they are
    checked and it serves (a seed) or takes (a leech) blocks.
    """

    name = ""
    """A word for the command line."""
    title = ""
    settings = ""
    """What it was told beside its defaults, for the report."""
    has_input = False
    has_remote_control = True
    """It is up before it is given torrents; without, it checks from the moment it starts."""
    settle_seconds = 0.5
    """How long after it says that it is ready it is left alone."""
    with_one_torrent = None
    """What it needs for one idle torrent, once that is measured."""
    is_floor = False
    """Not an engine: a bound. It does nothing but seeding and downloading."""
    starts_anew = False
    """Each load on a seed gets a fresh process."""

    def missing(self):
        """Why it cannot run on this machine; None when it can."""
        raise NotImplementedError

    def version(self):
        raise NotImplementedError

    def command(self, job):
        raise NotImplementedError

    def prepare(self, job):
        """Writes its configuration."""

    def come_up(self, job, program):
        """Waits until it takes torrents; those that get them by their command line do at once."""

    def add(self, job, program):
        """Adds the torrents; those that got them by their command line have them."""

    def is_ready(self, job, program):
        """Whether every torrent is checked and live."""
        raise NotImplementedError

    def count_ready(self, job, program):
        """How many torrents are checked and live, where only some may be."""
        return len(job.torrents) if self.is_ready(job, program) else 0

    def count_known(self, job, program):
        """How many torrents it has been given, checked or not."""
        return self.count_ready(job, program)

    def cannot(self, load):
        """Why a load makes no sense for this engine; None when it does."""
        return None

    def is_complete(self, job, program):
        """Whether a leech has everything; one that has ended in good order has."""
        return self.is_ready(job, program)

    def start_deadline(self):
        return Deadline(START_SECONDS)

    def remarks(self, load):
        """What a reader must know of this engine under this load; sentences without a stop."""
        return []
