"""aria2c, watched over its JSON-RPC."""

import json
import shutil
import subprocess

from comparison import web
from comparison.engine import Engine


class Aria2(Engine):
    """One process with its torrents on the command line."""

    name = "aria2"
    title = "aria2"
    has_remote_control = False
    # It still works through the peers of a load that is over.
    starts_anew = True
    settings = (
        "`--bt-max-peers=0 --max-upload-limit=0 --disk-cache=64M --file-allocation=none "
        "--check-integrity`, "
        "no DHT, LPD or PEX"
    )

    def missing(self):
        return None if shutil.which("aria2c") else "no aria2c on the PATH"

    def version(self):
        output = subprocess.run(["aria2c", "--version"], capture_output=True, text=True)
        return output.stdout.split()[2]

    def command(self, job):
        return [
            *("aria2c", "--no-conf", "--enable-color=false", "--summary-interval=0", "--quiet"),
            *(
                "--enable-dht=false",
                "--enable-dht6=false",
                "--bt-enable-lpd=false",
                "--disable-ipv6",
            ),
            *("--enable-peer-exchange=false", "--file-allocation=none", "--disk-cache=64M"),
            *("--allow-overwrite=true", "--auto-file-renaming=false", "--check-integrity=true"),
            *("--bt-max-peers=0", "--bt-request-peer-speed-limit=0", "--max-upload-limit=0"),
            *("--seed-ratio=0.0", f"--max-concurrent-downloads={len(job.torrents)}"),
            *("--enable-rpc", f"--rpc-listen-port={job.control}", "--rpc-max-request-size=64M"),
            *(f"--listen-port={job.port}", f"--dir={job.data}"),
            *job.torrents,
        ]

    def active(self, job):
        """Every torrent that runs."""
        keys = [
            "status",
            "seeder",
            "completedLength",
            "totalLength",
            "verifiedLength",
            "verifyIntegrityPending",
        ]
        call = {"jsonrpc": "2.0", "id": "1", "method": "aria2.tellActive", "params": [keys]}
        url = f"http://127.0.0.1:{job.control}/jsonrpc"
        return web.expect_json(url, json.dumps(call).encode())["result"]

    def come_up(self, job, program):
        # It is up and has begun to check: what it did before cannot be told apart.
        url = f"http://127.0.0.1:{job.control}/jsonrpc"
        up = lambda: program.expect_alive() and web.is_up(url)
        self.start_deadline().wait("aria2's RPC", up)

    def is_ready(self, job, program):
        program.expect_alive()
        return self.count_ready(job, program) == len(job.torrents)

    def count_ready(self, job, program):
        return sum(self.is_live(one, job.seeds) for one in self.active(job))

    def is_live(self, one, seeds):
        is_checking = "verifiedLength" in one or one.get("verifyIntegrityPending") == "true"
        is_whole = one["completedLength"] == one["totalLength"] != "0"
        return not is_checking and is_whole == seeds

    def is_complete(self, job, program):
        program.expect_alive()
        return all(one["completedLength"] == one["totalLength"] for one in self.active(job))

    def cannot(self, load):
        if load in ("idle", "churn"):
            return "not run: aria2 1.36 greets about three peers a second, 100 of them took 34 s"
        return None

    def remarks(self, load):
        if load in ("seed10", "seed50", "seed200", "download10", "download50"):
            return [
                "greets about three peers a second and serves few at a time, whatever its "
                "options say"
            ]
        return []
