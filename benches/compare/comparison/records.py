"""Results as JSON lines: one about the run, then one per load, engine and repetition."""

import json


class Records:
    """Writes each line at once, so that a run that is broken off leaves what it had."""

    def __init__(self, path, run):
        self.file = open(path, "w", encoding="utf-8")
        self.run = run
        self.results = []
        self.write({"run": run})

    def write(self, line):
        self.file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self.file.flush()

    def add(self, engine, load, repetition, result):
        line = {"engine": engine, "load": load, "repetition": repetition, **result}
        self.results.append(line)
        self.write(line)


def read(path):
    """(the run, its results) of a written file."""
    with open(path, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file if line.strip()]
    return lines[0]["run"], lines[1:]
