"""Where things are: the repository, installed peers, payloads, results."""

import shutil
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
# The folder that ./check and the interop tests use too: what one of them installed serves all.
PEERS = REPOSITORY / ".check"
# What only the comparison needs: build folders, results.
CACHE = REPOSITORY / "target" / "compare"
SCRIPTS = Path(__file__).resolve().parent


@dataclass
class Places:
    """The folders of one run."""

    work: Path
    """Payloads and the engines' own files; wants twice the payload's size."""
    results: Path
    """Where JSON lines, Markdown and HTML go."""

    @property
    def payload(self):
        return self.work / "payload"

    @property
    def torrent(self):
        return self.payload / "torrents" / "load.torrent"

    @property
    def data(self):
        """The folder with the payload's one file."""
        return self.payload / "data"

    @property
    def target(self):
        """The folder into which engines download; its one file is there before they come."""
        return self.work / "target"

    @property
    def many(self):
        return self.work / "many"

    def scratch(self, name):
        """A new empty folder for one engine's configuration and log."""
        folder = self.work / "engines" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder
