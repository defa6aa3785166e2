"""transmission-daemon, told what to do over its RPC."""

import base64
import json
import shutil
import subprocess

from comparison import web
from comparison.engine import CONNECTIONS
from comparison.engine import Engine
from comparison.program import Failure

# `status` of torrents.
DOWNLOADING = 4
SEEDING = 6


class Transmission(Engine):
    """A daemon of its own configuration."""

    name = "transmission"
    title = "transmission"
    settings = (
        f"unlimited rates and queues, {CONNECTIONS} peers, {CONNECTIONS} upload slots per "
        "torrent, TCP only, "
        "plaintext preferred, no DHT, LPD, PEX or port mapping"
    )

    def __init__(self):
        self.session = ""

    def missing(self):
        return None if shutil.which("transmission-daemon") else "no transmission-daemon on the PATH"

    def version(self):
        output = subprocess.run(
            ["transmission-daemon", "--version"], capture_output=True, text=True
        )
        return (output.stderr + output.stdout).split()[1]

    def prepare(self, job):
        self.session = ""
        settings = {
            "bind-address-ipv4": "127.0.0.1",
            "blocklist-enabled": False,
            "dht-enabled": False,
            "download-dir": str(job.data),
            "download-queue-enabled": False,
            "encryption": 0,
            "idle-seeding-limit-enabled": False,
            "incomplete-dir-enabled": False,
            "lpd-enabled": False,
            "peer-limit-global": CONNECTIONS,
            "peer-limit-per-torrent": CONNECTIONS,
            "peer-port": job.port,
            "pex-enabled": False,
            "port-forwarding-enabled": False,
            "preallocation": 0,
            "ratio-limit-enabled": False,
            "rename-partial-files": False,
            "rpc-authentication-required": False,
            "rpc-bind-address": "127.0.0.1",
            "rpc-host-whitelist-enabled": False,
            "rpc-port": job.control,
            "rpc-whitelist-enabled": False,
            "seed-queue-enabled": False,
            "speed-limit-down-enabled": False,
            "speed-limit-up-enabled": False,
            "upload-slots-per-torrent": CONNECTIONS,
            "utp-enabled": False,
        }
        (job.scratch / "settings.json").write_text(json.dumps(settings))

    def command(self, job):
        return ["transmission-daemon", "--foreground", "--config-dir", job.scratch]

    def call(self, job, method, arguments):
        """One RPC call; the first is refused and names the session that the others must give."""
        url = f"http://127.0.0.1:{job.control}/transmission/rpc"
        body = json.dumps({"method": method, "arguments": arguments}).encode()
        for _ in range(2):
            headers = {"X-Transmission-Session-Id": self.session}
            status, said, answer = web.request(url, body, headers)
            if status != 409:
                break
            self.session = said.get("X-Transmission-Session-Id", "")
        if status != 200:
            raise Failure(f"transmission {method}: status {status}")
        answer = json.loads(answer)
        if answer.get("result") != "success":
            raise Failure(f"transmission {method}: {answer.get('result')}")
        return answer.get("arguments", {})

    def come_up(self, job, program):
        url = f"http://127.0.0.1:{job.control}/transmission/rpc"
        up = lambda: program.expect_alive() and web.is_up(url)
        self.start_deadline().wait("transmission's RPC", up)

    def add(self, job, program):
        for torrent in job.in_time():
            content = base64.b64encode(torrent.read_bytes()).decode()
            self.call(job, "torrent-add", {"metainfo": content})

    def torrents(self, job):
        fields = {"fields": ["status", "leftUntilDone", "errorString"]}
        return self.call(job, "torrent-get", fields)["torrents"]

    def is_ready(self, job, program):
        program.expect_alive()
        return self.count_ready(job, program) == len(job.torrents)

    def count_ready(self, job, program):
        wanted = SEEDING if job.seeds else DOWNLOADING
        return sum(
            one["status"] == wanted and (one["leftUntilDone"] == 0) == job.seeds
            for one in self.torrents(job)
        )

    def count_known(self, job, program):
        return len(self.torrents(job))

    def is_complete(self, job, program):
        program.expect_alive()
        return all(one["leftUntilDone"] == 0 for one in self.torrents(job))

    def remarks(self, load):
        if load.startswith(("seed", "download")):
            return ["refills each peer's buffer by a timer, so that rates are bounded by it"]
        if load == "torrents":
            return ["adds about five torrents a second"]
        return []
