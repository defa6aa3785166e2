"""libtorrent for the interop tests: makes a .torrent, or is one peer that tells its state in JSON lines.

    lt_peer.py make ROOT NAME OUT PIECE_LENGTH v1|v2|hybrid    writes OUT, prints {"v1": .., "v2": ..}
    lt_peer.py hashes FILE                                     prints the same of a .torrent that is there
    lt_peer.py peer (--torrent F | --magnet LINK) --dir D --listen IP:PORT [--seed] [--connect IP:PORT]...
                    [--upload-limit BYTES_PER_S] [--slots N] [--encrypts]

A peer prints {"event": "ready"} once it listens (a seed: once its data is checked),
{"event": "finished"} when it has everything, {"event": "stats", ..} when a number has changed, and ends on
SIGTERM. Written for libtorrent 2.0 and 2.1 alike.
"""

import argparse
import json
import os
import signal
import sys
import time

import libtorrent as lt


def say(**fields):
    print(json.dumps(fields), flush=True)


FLAGS = {"v1": lt.create_torrent.v1_only, "v2": lt.create_torrent.v2_only, "hybrid": 0}


def make(root, name, out, piece_length, kind):
    """A torrent of ROOT/NAME, its files in byte order of their paths, empty ones included."""
    storage = lt.file_storage()
    top = os.path.join(root, name)
    if os.path.isfile(top):
        storage.add_file(name, os.path.getsize(top))
    else:
        paths = []
        for folder, _, files in os.walk(top):
            paths += [os.path.relpath(os.path.join(folder, file), root) for file in files]
        for path in sorted(paths, key=os.fsencode):
            storage.add_file(path, os.path.getsize(os.path.join(root, path)))
    creator = lt.create_torrent(storage, int(piece_length), FLAGS[kind])
    creator.set_creator("libtorrent " + lt.__version__)
    lt.set_piece_hashes(creator, root)
    data = lt.bencode(creator.generate())
    with open(out, "wb") as file:
        file.write(data)
    say_hashes(lt.torrent_info(lt.bdecode(data)))


def say_hashes(info):
    hashes = info.info_hashes()
    say(
        v1=str(hashes.v1) if hashes.has_v1() else None,
        v2=str(hashes.v2) if hashes.has_v2() else None,
    )


def session(options):
    category = lt.alert.category_t
    settings = {
        "listen_interfaces": options.listen,
        "enable_dht": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "enable_outgoing_utp": False,
        "enable_incoming_utp": False,
        "min_reconnect_time": 1,
        "allow_multiple_connections_per_ip": True,
        "unchoke_slots_limit": options.slots,
        "alert_mask": category.error_notification
        | category.status_notification
        | category.storage_notification
        | category.tracker_notification
        | category.connect_notification,
    }
    if not options.encrypts:
        settings["out_enc_policy"] = int(lt.enc_policy.disabled)
    return lt.session(settings)


def add(ses, options):
    if options.magnet:
        params = lt.parse_magnet_uri(options.magnet)
    else:
        params = lt.add_torrent_params()
        params.ti = lt.torrent_info(options.torrent)
    params.save_path = options.dir
    params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    handle = ses.add_torrent(params)
    if options.upload_limit:
        handle.set_upload_limit(options.upload_limit)
    return handle


def peer(options):
    running = [True]
    signal.signal(signal.SIGTERM, lambda *_: running.clear())
    ses = session(options)
    handle = add(ses, options)
    to_dial = [(ip, int(port)) for ip, port in (a.rsplit(":", 1) for a in options.connect)]
    ready = flushing = finished = False
    dialled_at = 0
    said = {}
    while running:
        for alert in ses.pop_alerts():
            say(event="alert", what=alert.what(), message=alert.message())
            if flushing and alert.what() == "cache_flushed":
                finished = True
                say(event="finished")
        status = handle.status()
        if not ready and ses.is_listening() and (status.is_seeding or not options.seed):
            ready = True
            say(event="ready")
        if ready and status.num_peers == 0 and time.monotonic() - dialled_at > 1:
            dialled_at = time.monotonic()
            for address in to_dial:
                handle.connect_peer(address)
        if not flushing and status.is_seeding:
            flushing = True
            handle.flush_cache()
        now = {
            "progress": status.progress,
            "uploaded": status.total_payload_upload,
            "downloaded": status.total_payload_download,
            "peers": status.num_peers,
        }
        if now != said:
            said = now
            say(event="stats", **now)
        time.sleep(0.2)
    ses.pause()


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    maker = commands.add_parser("make")
    for name in ("root", "name", "out", "piece_length"):
        maker.add_argument(name)
    maker.add_argument("kind", choices=sorted(FLAGS))
    reader = commands.add_parser("hashes")
    reader.add_argument("file")
    taker = commands.add_parser("peer")
    what = taker.add_mutually_exclusive_group(required=True)
    what.add_argument("--torrent")
    what.add_argument("--magnet")
    for name in ("--dir", "--listen"):
        taker.add_argument(name, required=True)
    taker.add_argument("--seed", action="store_true")
    taker.add_argument("--encrypts", action="store_true", help="tries encryption first")
    taker.add_argument("--connect", action="append", default=[])
    taker.add_argument("--upload-limit", type=int, default=0)
    taker.add_argument("--slots", type=int, default=8, help="unchoked at a time; -1: all")
    options = parser.parse_args()
    if options.command == "make":
        make(options.root, options.name, options.out, options.piece_length, options.kind)
    elif options.command == "hashes":
        say_hashes(lt.torrent_info(options.file))
    else:
        peer(options)


if __name__ == "__main__":
    sys.exit(main())
