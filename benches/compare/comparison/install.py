"""Installs the peers. What is there stays as it is; what cannot be had is said and left out."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from comparison.places import CACHE
from comparison.places import PEERS

RQBIT = "9.1.0"
LIBTORRENTS = {"lt20": "2.0.15", "lt21": "2.1.1"}
APT = {
    "transmission": ("transmission-daemon", "transmission-daemon"),
    "aria2": ("aria2c", "aria2"),
    "qbittorrent": ("qbittorrent-nox", "qbittorrent-nox"),
}
# While it says 101, packages are set up but their daemons are not started.
POLICY = Path("/usr/sbin/policy-rc.d")


def install(engine_names):
    """Installs those of the named engines that are missing."""
    for name in engine_names:
        try:
            if name in LIBTORRENTS:
                install_libtorrent(name, LIBTORRENTS[name])
            elif name == "rqbit":
                install_rqbit()
            elif name in APT:
                install_from_apt(*APT[name])
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"could not install {name}: {error}", file=sys.stderr, flush=True)


def run(command, **more):
    subprocess.run([str(word) for word in command], check=True, stdin=subprocess.DEVNULL, **more)


def install_libtorrent(name, release):
    """The same folders and releases as ./check."""
    folder = PEERS / f"venv-{name}"
    python = folder / "bin" / "python"
    if python.exists():
        script = "import libtorrent; print(libtorrent.__version__)"
        found = subprocess.run(
            [python, "-c", script], capture_output=True, text=True
        ).stdout.strip()
        if found == f"{release}.0":
            return
    print(f"installing libtorrent {release} from PyPI", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    run([sys.executable, "-m", "venv", folder])
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    run([*pip, f"libtorrent=={release}"])


def install_rqbit():
    """A release build: several minutes, once. Its SHA-1 is OpenSSL's, as in its own default."""
    binary = PEERS / "bin" / "rqbit"
    if binary.exists():
        found = subprocess.run([binary, "--version"], capture_output=True, text=True).stdout
        if found.split()[-1:] == [RQBIT]:
            return
    if not Path("/usr/include/openssl").exists() or not shutil.which("pkg-config"):
        install_from_apt(None, "libssl-dev", "pkg-config")
    print(f"building rqbit {RQBIT} from crates.io: several minutes", flush=True)
    target = CACHE / "rqbit-target"
    environment = {**os.environ, "CARGO_TARGET_DIR": str(target)}
    options = ["--locked", "--no-default-features", "--features", "default-tls"]
    run(
        ["nice", "cargo", "install", "-q", "--root", PEERS, "--version", RQBIT, *options, "rqbit"],
        env=environment,
    )
    shutil.rmtree(target, ignore_errors=True)


def install_from_apt(program, *packages):
    if program and shutil.which(program):
        return
    print(f"installing from apt: {' '.join(packages)}", flush=True)
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    forbid = not POLICY.exists()
    if forbid:
        run([*root, "sh", "-c", f"printf '#!/bin/sh\\nexit 101\\n' >{POLICY}; chmod 755 {POLICY}"])
    try:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run([*root, "apt-get", "update", "-qq"], env=environment)
        quiet = ["-y", "-qq", "--no-install-recommends"]
        run(
            [*root, "apt-get", "install", *quiet, *packages],
            env=environment,
            stdout=subprocess.DEVNULL,
        )
    finally:
        if forbid:
            run([*root, "rm", "-f", POLICY])
