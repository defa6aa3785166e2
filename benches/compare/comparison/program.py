"""One started program: pinned, with a log, ended by its pid whatever happens."""

import os
import shlex
import signal
import subprocess
import time


class Failure(Exception):
    """An engine or a load did not do what was asked; the text goes into the report."""


class Deadline:
    """A moment after which waiting is over."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.end = time.monotonic() + seconds

    @property
    def left(self):
        return max(0.0, self.end - time.monotonic())

    def wait(self, what, is_reached, pause=0.05):
        """Calls `is_reached` until it gives something true, and gives that."""
        while True:
            found = is_reached()
            if found:
                return found
            if not self.left:
                raise Failure(f"waited {self.seconds:.0f} s for {what}")
            time.sleep(pause)


def environment():
    """The environment without proxies: everything is on this machine."""
    proxies = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    return {name: value for name, value in os.environ.items() if name.lower() not in proxies}


def readable(command):
    """The command as one would type it."""
    return " ".join(shlex.quote(str(word)) for word in command)


class Program:
    """A running program; use it in a `with`."""

    def __init__(self, name, command, log, core, has_input=False):
        self.name = name
        self.command = ["taskset", "-c", str(core), *map(str, command)]
        self.log = log
        self.has_input = has_input
        self.process = None
        self.started = None

    def __enter__(self):
        self.started = time.monotonic()
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE if self.has_input else subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment(),
                # Ctrl-C is for the comparison: it ends its programs itself.
                start_new_session=True,
            )
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def pid(self):
        return self.process.pid

    def say(self, line):
        """Writes a line to its standard input."""
        try:
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()
        except OSError as error:
            raise Failure(f"{self.name} does not listen to us: {error}; {self.tail()}") from error

    def text(self):
        return self.log.read_text(errors="replace")

    def tail(self):
        """Its last words, in one line."""
        lines = [line.strip() for line in self.text().splitlines() if line.strip()]
        return " | ".join(lines[-2:])[-300:] or "it said nothing"

    def expect_alive(self):
        status = self.process.poll()
        if status is not None:
            raise Failure(f"{self.name} ended with status {status}: {self.tail()}")
        return True

    def wait_text(self, deadline, what, needle):
        """Waits until its log holds these words."""
        deadline.wait(
            f"{what} of {self.name}", lambda: needle in self.text() or not self.expect_alive()
        )

    def wait_end(self, deadline):
        """Waits until it ends by itself; its status."""
        try:
            return self.process.wait(deadline.left)
        except subprocess.TimeoutExpired as error:
            raise Failure(f"{self.name} did not end within {deadline.seconds:.0f} s") from error

    def stop(self):
        """SIGTERM, and SIGKILL ten seconds later."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()
