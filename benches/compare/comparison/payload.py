"""What is seeded and downloaded: one large file, its half-wrong copy, and many small torrents."""

import os
import shutil
import subprocess
from pathlib import Path

from comparison.program import Failure
from comparison.program import environment

PIECE = 1 << 20
CHUNK = 8 << 20
NAME = "load.bin"


def make(programs, folder, size, piece, count=None):
    """Payloads of pseudo-random bytes with their .torrent files, unless they are there already."""
    said = folder / "made"
    wanted = f"{size} {piece} {count}"
    if said.exists() and said.read_text() == wanted:
        return
    print(f"writing {count or 1} payload(s) of {size} bytes to {folder}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = [programs.generator, "bench", "make", folder, str(size), str(piece)]
    command += ["--count", str(count)] if count else []
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    if done.returncode != 0:
        raise Failure(f"making payloads: {done.stderr.strip()}")
    said.write_text(wanted)


def warm(path):
    """Reads the file once, so that it is in the page cache."""
    with open(path, "rb", buffering=0) as file:
        buffer = bytearray(CHUNK)
        while file.readinto(buffer):
            pass


class Target:
    """The file that engines download into: of full size, in the page cache, and one byte of each
    piece is wrong, so that every piece has to be fetched and no page is new."""

    def __init__(self, folder, source):
        self.folder = folder
        self.file = folder / NAME
        self.source = source

    def spoil(self):
        """Makes every piece wrong; a file that an engine left short or moved away is made anew."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for other in self.folder.iterdir():
            if other != self.file:
                shutil.rmtree(other) if other.is_dir() else other.unlink()
        size = self.source.stat().st_size
        if not self.file.exists() or self.file.stat().st_size != size:
            shutil.copyfile(self.source, self.file)
        with open(self.file, "r+b", buffering=0) as file, open(self.source, "rb") as source:
            for begin in range(0, size, PIECE):
                right = os.pread(source.fileno(), 1, begin)
                os.pwrite(file.fileno(), bytes([right[0] ^ 0xFF]), begin)
        warm(self.file)
        settle(self.file)

    def wrong_pieces(self):
        """How many pieces still have their wrong byte."""
        try:
            size = self.file.stat().st_size
            with open(self.file, "rb") as file, open(self.source, "rb") as source:
                return sum(
                    os.pread(file.fileno(), 1, at) != os.pread(source.fileno(), 1, at)
                    for at in range(0, size, PIECE)
                )
        except OSError:
            return -1


def settle(path):
    """Waits until what was written is on the disk: the next engine shall not wait for it."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def torrents(folder):
    """The .torrent files below a made folder, in order."""
    return sorted(Path(folder, "torrents").glob("*.torrent"))
