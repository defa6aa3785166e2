"""The engines, in the order of tables and plots."""

from comparison.engines.aria2 import Aria2
from comparison.engines.coreswarm import Coreswarm
from comparison.engines.floor import Floor
from comparison.engines.libtorrent import Libtorrent
from comparison.engines.qbittorrent import Qbittorrent
from comparison.engines.rqbit import Rqbit
from comparison.engines.transmission import Transmission


def all_engines(programs):
    """Every engine; `programs` says where what we build ourselves lies."""
    return [
        Coreswarm(programs.coreswarm),
        Rqbit(),
        Libtorrent("lt21", "2.1.1"),
        Libtorrent("lt20", "2.0.15"),
        Qbittorrent(),
        Aria2(),
        Transmission(),
        Floor(programs.floor),
    ]
