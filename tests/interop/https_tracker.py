"""A tracker over HTTPS that names one fixed peer to whoever asks, for the interop tests.

    https_tracker.py IP:PORT CERTIFICATE KEY PEER_IP:PEER_PORT

Prints {"event": "ready"} once it listens and {"event": "announce", "query": ..} for each announce.
"""

import http.server
import ipaddress
import json
import ssl
import sys


def split(address):
    ip, port = address.rsplit(":", 1)
    return ip, int(port)


def say(**fields):
    print(json.dumps(fields), flush=True)


def main():
    listen, certificate, key, peer = sys.argv[1:]
    ip, port = split(peer)
    packed = ipaddress.ip_address(ip).packed + port.to_bytes(2, "big")
    body = b"d8:completei1e10:incompletei0e8:intervali1800e5:peers6:" + packed + b"e"

    class Tracker(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            say(event="announce", query=self.path)
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(split(listen), Tracker)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    say(event="ready")
    server.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
