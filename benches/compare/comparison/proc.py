"""What the kernel says of processes: CPU time, private memory, listening sockets."""

import os
import socket
import struct
import threading
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def stat(pid):
    """(parent's pid, CPU-seconds) of a process; None when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name is in parentheses and may hold anything.
    words = text.rpartition(") ")[2].split()
    return int(words[1]), (int(words[11]) + int(words[12])) / TICKS_PER_SECOND


def tree(pid):
    """The process and its descendants."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (found := stat(name)):
            children.setdefault(found[0], []).append(int(name))
    pids = [pid]
    for parent in pids:
        pids += children.get(parent, [])
    return pids


def cpu_seconds(pid):
    """User and system time of the process and its descendants until now, in steps of 10 ms."""
    found = (stat(pid) for pid in tree(pid))
    return sum(one[1] for one in found if one)


def busy_seconds(pid):
    """The same to the nanosecond, of threads that exist now: for those that do next to nothing."""
    spent = 0
    for one in tree(pid):
        try:
            for task in os.listdir(f"/proc/{one}/task"):
                spent += int(Path(f"/proc/{one}/task/{task}/schedstat").read_text().split()[0])
        except OSError:
            continue
    return spent / 1e9


def private_bytes(pid):
    """Resident bytes of the tree that belong to no file; 0 when it is gone."""
    return sum(private_of(one) for one in tree(pid))


def private_of(pid):
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    kib = {
        name: value.split()[0]
        for name, _, value in (line.partition(":") for line in lines)
        if name in ("RssAnon", "VmSwap")
    }
    return sum(int(value) for value in kib.values()) * 1024


def is_listening(port):
    """Whether something accepts TCP on this port, without connecting: that would be a peer."""
    wanted = f":{port:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            if words[3] == "0A" and words[1].endswith(wanted):
                return True
    return False


def free_port():
    """A TCP port of 127.0.0.1 that nobody has now, below those that the kernel hands out."""
    for _ in range(200):
        (random,) = struct.unpack("H", os.urandom(2))
        port = 10_000 + random % 20_000
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))
                return port
            except OSError:
                continue
    raise OSError("expected a free port between 10000 and 30000, found none; close some sockets")


class PeakMemory:
    """The most private memory of a process tree inside a `with`, seen ten times a second."""

    def __init__(self, pid):
        self.pid = pid
        self.peak = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def watch(self):
        pids = tree(self.pid)
        while not self.over.wait(0.1):
            self.peak = max(self.peak, sum(private_of(pid) for pid in pids))

    def __enter__(self):
        self.peak = private_bytes(self.pid)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.peak = max(self.peak, private_bytes(self.pid))
