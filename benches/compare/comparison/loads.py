"""The loads: what each is called, what it asks of the generator, which numbers it gives."""

from dataclasses import dataclass
from dataclasses import field

DEPTH = 64


@dataclass(frozen=True)
class Metric:
    """One number of a load."""

    key: str
    """Its key in the records, as the generator calls it where it comes from there."""
    title: str
    more_is_better: bool = True
    digits: int = 0
    scale: float = 1.0
    """What the recorded number is multiplied by to be shown."""
    has_ratio: bool = True


@dataclass(frozen=True)
class Load:
    name: str
    title: str
    text: str
    """What is done, for the report."""
    metrics: tuple = field(default=())
    plots: int = 2
    """How many of the metrics, from the first, are drawn."""
    connections: int = 0


RATE = Metric("MB_per_s", "MB/s")
CPU = Metric("engine_cpu_s_per_GiB", "CPU-s/GiB", more_is_better=False, digits=3)
MEMORY = Metric("peak_private_bytes", "peak private MiB", False, 1, 1 / (1 << 20), has_ratio=False)
LATENCIES = tuple(
    Metric(f"{key}_ms", f"{title} ms", False, 1, has_ratio=False)
    for key, title in (("p50", "p50"), ("p99", "p99"), ("p99_9", "p99.9"))
)
SERVED = Metric("connections_served", "served", has_ratio=False)
SEEDING = (RATE, CPU, *LATENCIES, SERVED, MEMORY)


def seeding(connections):
    plural = "connection" if connections == 1 else "connections"
    text = (
        f"A hot payload, {connections} {plural} with {DEPTH} requests of 16 KiB in flight on each, "
        "closed loop: random pieces, their blocks in order."
    )
    return Load(
        f"seed{connections}",
        f"Seeding to {connections} {plural}",
        text,
        SEEDING,
        connections=connections,
    )


def downloading(connections):
    text = (
        f"{connections} seeding peers serve a whole payload into a file that has its size and "
        "lies in the "
        "page cache with a wrong byte in each piece. From the first request to the last block; the "
        "check before it is not counted."
    )
    return Load(
        f"download{connections}",
        f"Downloading from {connections} connections",
        text,
        (RATE, CPU, SERVED, MEMORY),
        connections=connections,
    )


CHECK = Load(
    "check",
    "Checking a hot payload on one core",
    "From adding the torrent until it is served, in the page cache, on the engine's one core.",
    (
        Metric("GB_per_cpu_s", "GB per CPU-s", digits=2),
        Metric("GB_per_s", "GB/s", digits=2),
        MEMORY,
    ),
)
IDLE = Load(
    "idle",
    "Idle peers",
    "Peers that have said hello and then nothing, before any payload was sent. Private memory "
    "over that "
    "before they came; CPU time while nothing happens.",
    (
        Metric("engine_private_bytes_per_connection", "KiB per peer", False, 2, 1 / 1024),
        Metric("engine_idle_cpu_percent", "idle CPU %", False, 2),
        Metric("handshakes_per_s", "handshakes/s", has_ratio=False),
        SERVED,
    ),
)
CHURN = Load(
    "churn",
    "Connect, handshake, reset",
    "64 callers at a time connect, exchange handshakes and reset the connection.",
    (
        Metric("cycles_per_s", "cycles/s"),
        Metric("engine_cpu_us_per_cycle", "CPU µs per cycle", False, 1),
        *LATENCIES[:2],
        Metric("cycles_failed", "failed", False, has_ratio=False),
    ),
)
TORRENTS = Load(
    "torrents",
    "Idle torrents",
    "Torrents of four pieces of 16 KiB, all checked and served, nobody connected. Private memory "
    "over "
    "that with one torrent; CPU time until all are served, and while nothing happens.",
    (
        Metric("private_bytes_per_torrent", "KiB per torrent", False, 2, 1 / 1024),
        Metric("start_cpu_ms_per_torrent", "start CPU ms per torrent", False, 3),
        Metric("idle_cpu_percent", "idle CPU %", False, 2),
        Metric("torrents_ready", "torrents", has_ratio=False),
    ),
)

LOADS = (
    *(seeding(count) for count in (1, 10, 50, 200)),
    downloading(10),
    downloading(50),
    CHECK,
    IDLE,
    CHURN,
    TORRENTS,
)
BY_NAME = {load.name: load for load in LOADS}
# Left out unless they are named.
EXTRA = ("download50",)
# Measured in the first repetition only: memory hardly varies, and waiting for quiet takes long.
ONCE = ("idle", "churn", "torrents")
