//! Prints what happens to a torrent, and what its trackers and peers do:
//! `cargo run --example watch_alerts -- FILE.torrent DIR`.

use std::error::Error;
use std::time::Duration;

use coreswarm::AddTorrent;
use coreswarm::AlertKind;
use coreswarm::Session;

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(file), Some(directory)) = (words.next(), words.next()) else {
        return Err("expected a .torrent file and a directory".into());
    };
    let session = Session::builder().start()?;
    let alerts = session.alerts();
    let torrent = session.add(AddTorrent::from_file(file)?.directory(directory))?;
    loop {
        // Nothing calls us: alerts wait in bounded queues until they are pulled.
        let Some(alert) = alerts.next(Duration::from_secs(5)) else {
            let status = torrent.status()?;
            println!("quiet: {:?}, {} peers", status.stats.state, status.peers.len());
            continue;
        };
        println!("shard {} #{}: {:?}", alert.shard, alert.sequence, alert.kind);
        if matches!(alert.kind, AlertKind::Finished | AlertKind::Error { .. }) {
            return Ok(());
        }
    }
}
