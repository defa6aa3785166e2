"""rqbit as a server, told what to do over its HTTP API."""

import subprocess
from urllib.parse import urlencode

from comparison import web
from comparison.engine import CONNECTIONS
from comparison.engine import Engine
from comparison.places import PEERS

BINARY = PEERS / "bin" / "rqbit"


class Rqbit(Engine):
    """`rqbit server start`."""

    name = "rqbit"
    title = "rqbit"
    settings = (
        f"`--peer-limit {CONNECTIONS}`, no DHT, LSD, UPnP, trackers or persistence; built by "
        "`cargo "
        "install` in release mode with OpenSSL's SHA-1, without web UI, Prometheus and PostgreSQL"
    )

    def missing(self):
        return None if BINARY.exists() else f"no {BINARY}"

    def version(self):
        output = subprocess.run([BINARY, "--version"], capture_output=True, text=True)
        return output.stdout.split()[-1]

    def command(self, job):
        return [
            BINARY,
            *("-v", "warn", "--http-api-listen-addr", f"127.0.0.1:{job.control}"),
            *("--disable-dht", "--disable-dht-persistence", "--disable-lsd", "--disable-trackers"),
            *("--disable-upnp-port-forward", "--ipv4-only", "--listen-ip", "127.0.0.1"),
            *("--listen-port", job.port, "--peer-limit", CONNECTIONS),
            *("server", "start", "--disable-persistence", job.data),
        ]

    def url(self, job, path):
        return f"http://127.0.0.1:{job.control}{path}"

    def come_up(self, job, program):
        up = lambda: program.expect_alive() and web.is_up(self.url(job, "/torrents"))
        self.start_deadline().wait("rqbit's API", up)

    def add(self, job, program):
        query = urlencode({"overwrite": "true", "output_folder": str(job.data)})
        for torrent in job.in_time():
            web.expect(self.url(job, f"/torrents?{query}"), torrent.read_bytes(), method="POST")

    def is_ready(self, job, program):
        program.expect_alive()
        if len(job.torrents) > 1:
            return self.count_ready(job, program) == len(job.torrents)
        stats = self.stats(job, 0)
        return stats["state"] == "live" and stats["finished"] == job.seeds

    def stats(self, job, number):
        return web.expect_json(self.url(job, f"/torrents/{number}/stats/v1"))

    def count_ready(self, job, program):
        answer = web.expect_json(self.url(job, "/torrents?with_stats=true"))
        return sum(one.get("stats", {}).get("state") == "live" for one in answer["torrents"])

    def count_known(self, job, program):
        return len(web.expect_json(self.url(job, "/torrents"))["torrents"])

    def is_complete(self, job, program):
        program.expect_alive()
        return self.stats(job, 0)["finished"]

    def remarks(self, load):
        if load == "seed200":
            return ["without `--peer-limit` it would serve 128 peers of a torrent"]
        if load == "torrents":
            return ["keeps descriptors of every file open"]
        return []
