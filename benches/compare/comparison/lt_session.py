"""A libtorrent session for the comparison; runs in a venv that has libtorrent 2.0 or 2.1.

    lt_session.py LIST_OF_TORRENTS FOLDER IP:PORT

Prints {"event": "listening"}, waits for a line on stdin, adds the torrents, and prints
{"event": "counts", "checked": N, "finished": N, "flushed": N} whenever a number has changed.
"""

import json
import signal
import sys
import time

import libtorrent as lt


def say(**fields):
    print(json.dumps(fields), flush=True)


def session(address):
    settings = lt.high_performance_seed()
    settings.update(
        {
            "listen_interfaces": address,
            "enable_dht": False,
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            "enable_outgoing_utp": False,
            "enable_incoming_utp": False,
            "allow_multiple_connections_per_ip": True,
            "unchoke_slots_limit": -1,
            "connections_limit": 20_000,
            "max_peerlist_size": 20_000,
            "listen_queue_size": 1_000,
            "in_enc_policy": int(lt.enc_policy.disabled),
            "out_enc_policy": int(lt.enc_policy.disabled),
            "alert_mask": lt.alert.category_t.status_notification
            | lt.alert.category_t.storage_notification,
            "alert_queue_size": 100_000,
        }
    )
    return lt.session(settings)


def add(ses, paths, folder):
    for path in paths:
        params = lt.add_torrent_params()
        params.ti = lt.torrent_info(path)
        params.save_path = folder
        params.max_connections = 20_000
        params.max_uploads = -1
        params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
        ses.async_add_torrent(params)


def take(alert, counts):
    """Counts an alert; a finished torrent is told to flush what it holds."""
    if isinstance(alert, lt.torrent_checked_alert):
        counts["checked"] += 1
    elif isinstance(alert, lt.torrent_finished_alert):
        counts["finished"] += 1
        alert.handle.flush_cache()
    elif isinstance(alert, lt.cache_flushed_alert):
        counts["flushed"] += 1
    elif "error" in alert.what():
        print(alert.message(), flush=True)


def main():
    listing, folder, address = sys.argv[1:]
    with open(listing) as file:
        paths = file.read().split("\n")
    ses = session(address)
    while not ses.is_listening():
        time.sleep(0.02)
    say(event="listening")
    sys.stdin.readline()
    add(ses, paths, folder)
    running = [True]
    signal.signal(signal.SIGTERM, lambda *_: running.clear())
    counts = {"checked": 0, "finished": 0, "flushed": 0}
    said = {}
    while running:
        # One torrent is watched closely; with many, looking must not cost anything.
        time.sleep(0.05 if len(paths) == 1 and not counts["flushed"] else 0.5)
        for alert in ses.pop_alerts():
            take(alert, counts)
        if counts != said:
            said = dict(counts)
            say(event="counts", **counts)
    ses.pause()


if __name__ == "__main__":
    main()
