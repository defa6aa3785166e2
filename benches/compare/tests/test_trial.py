"""What a trial counts: `python3 -m unittest discover -s benches/compare/tests`."""

import os
import sys
import time
import unittest
from pathlib import Path
from types import SimpleNamespace

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from comparison.trial import Trial  # noqa: E402


def checked(has_remote_control):
    """What is told of a check by an engine that started ten seconds ago and is ready at once."""
    engine = SimpleNamespace(
        name="stub",
        has_remote_control=has_remote_control,
        settle_seconds=0,
        add=lambda job, program: None,
        is_ready=lambda job, program: True,
    )
    program = SimpleNamespace(pid=os.getpid(), command=["stub"], started=time.monotonic() - 10)
    told = {}
    options = SimpleNamespace(size=10**9)
    trial = Trial(engine, options, None, None, told.__setitem__)
    trial.check(None, program, tell=True)
    return told["check"]


class Checks(unittest.TestCase):
    def test_who_cannot_be_told_checks_from_its_start(self):
        self.assertGreaterEqual(checked(has_remote_control=False)["seconds"], 10)

    def test_who_is_told_checks_from_then_on(self):
        self.assertLess(checked(has_remote_control=True)["seconds"], 10)


if __name__ == "__main__":
    unittest.main()
