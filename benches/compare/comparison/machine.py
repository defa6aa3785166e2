"""What the numbers were measured on."""

import os
import platform
import subprocess
from datetime import datetime
from datetime import timezone
from pathlib import Path

from comparison.places import REPOSITORY


def describe():
    """Rows for the report: (name, value)."""
    info = Path("/proc/cpuinfo").read_text()
    model = next(
        (
            line.partition(":")[2].strip()
            for line in info.splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    flags = next((line.split() for line in info.splitlines() if line.startswith("flags")), [])
    features = [
        title
        for flag, title in (("sha_ni", "SHA-NI"), ("avx2", "AVX2"), ("avx512f", "AVX-512"))
        if flag in flags
    ]
    kib = int(Path("/proc/meminfo").read_text().split()[1])
    return [
        ("date", datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")),
        ("processor", f"{model}, {os.cpu_count()} cores"),
        ("instructions", ", ".join(features) or "-"),
        ("memory", f"{kib / (1 << 20):.1f} GiB"),
        ("kernel", f"{platform.system()} {platform.release()}"),
        ("commit", commit()),
    ]


def commit():
    """The repository's commit, and whether the tree differs from it."""

    def git(*words):
        return subprocess.run(
            ["git", "-C", REPOSITORY, *words], capture_output=True, text=True
        ).stdout.strip()

    changed = " with changes" if git("status", "--porcelain", "--untracked-files=no") else ""
    return (git("rev-parse", "--short=12", "HEAD") or "unknown") + changed
