"""qbittorrent-nox, told what to do over its Web API: it takes torrents no other way."""

import shutil
import subprocess

from comparison import web
from comparison.engine import Engine
from comparison.program import Failure

# How many torrents one form holds.
FORM = 200
SETTINGS = """\
[LegalNotice]
Accepted=true
[BitTorrent]
Session\\AddExtensionToIncompleteFiles=false
Session\\BTProtocol=TCP
Session\\DHTEnabled=false
Session\\DefaultSavePath={data}
Session\\Encryption=2
Session\\GlobalMaxRatio=-1
Session\\InterfaceAddress=127.0.0.1
Session\\LSDEnabled=false
Session\\MaxActiveCheckingTorrents=20
Session\\MaxConnections=-1
Session\\MaxConnectionsPerTorrent=-1
Session\\MaxUploads=-1
Session\\MaxUploadsPerTorrent=-1
Session\\MultiConnectionsPerIp=true
Session\\PeXEnabled=false
Session\\Port={port}
Session\\QueueingSystemEnabled=false
Session\\SocketBacklogSize=1000
Session\\SendBufferLowWatermark=1024
Session\\SendBufferWatermark=3072
Session\\SendBufferWatermarkFactor=150
[Network]
PortForwardingEnabled=false
[Preferences]
WebUI\\Address=127.0.0.1
WebUI\\CSRFProtection=false
WebUI\\HostHeaderValidation=false
WebUI\\LocalHostAuth=false
WebUI\\Port={control}
WebUI\\UseUPnP=false
"""


class Qbittorrent(Engine):
    """qBittorrent without a window, with the libtorrent 2.0 that its package brings."""

    name = "qbittorrent"
    title = "qBittorrent"
    # It says that it seeds a second or two before it keeps connections.
    settle_seconds = 3
    settings = (
        "no limits of connections, slots, rates or queues, several connections per address, TCP "
        "only, no "
        "encryption, DHT, LSD or PEX, the send buffers of libtorrent's high_performance_seed()"
    )

    def missing(self):
        return None if shutil.which("qbittorrent-nox") else "no qbittorrent-nox on the PATH"

    def version(self):
        output = subprocess.run(["qbittorrent-nox", "--version"], capture_output=True, text=True)
        return output.stdout.split()[-1].lstrip("v")

    def prepare(self, job):
        folder = job.scratch / "qBittorrent" / "config"
        folder.mkdir(parents=True)
        text = SETTINGS.format(data=job.data, port=job.port, control=job.control)
        (folder / "qBittorrent.conf").write_text(text)

    def command(self, job):
        return ["qbittorrent-nox", f"--profile={job.scratch}", f"--webui-port={job.control}"]

    def url(self, job, path):
        return f"http://127.0.0.1:{job.control}/api/v2/{path}"

    def come_up(self, job, program):
        up = lambda: program.expect_alive() and web.is_up(self.url(job, "app/version"))
        self.start_deadline().wait("qBittorrent's Web API", up)

    def add(self, job, program):
        fields = {"savepath": str(job.data), "autoTMM": "false", "contentLayout": "Original"}
        for at in range(0, len(job.torrents), FORM):
            if not job.adding.left:
                break
            some = job.torrents[at : at + FORM]
            files = [("torrents", path.name, path.read_bytes()) for path in some]
            body, headers = web.form(fields, files)
            answer = web.expect(self.url(job, "torrents/add"), body, headers)
            if answer != b"Ok.":
                raise Failure(f"qBittorrent did not take the torrents: {answer[:100]!r}")

    def states(self, job):
        return [one["state"] for one in web.expect_json(self.url(job, "torrents/info"))]

    def is_ready(self, job, program):
        program.expect_alive()
        return self.count_ready(job, program) == len(job.torrents)

    def count_ready(self, job, program):
        wanted = ("uploading", "stalledUP") if job.seeds else ("downloading", "stalledDL")
        return sum(state in wanted for state in self.states(job))

    def count_known(self, job, program):
        return len(self.states(job))

    def is_complete(self, job, program):
        program.expect_alive()
        return all(state in ("uploading", "stalledUP") for state in self.states(job))

    def remarks(self, load):
        return ["told by its Web API, whose answers are in its CPU time"] if load == "check" else []
