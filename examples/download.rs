//! Downloads a torrent: `cargo run --example download -- FILE.torrent DIR`.

use std::error::Error;
use std::time::Duration;

use coreswarm::AddTorrent;
use coreswarm::Session;
use coreswarm::TorrentState;

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(file), Some(directory)) = (words.next(), words.next()) else {
        return Err("expected a .torrent file and a directory".into());
    };
    let session = Session::builder().start()?;
    let torrent = session.add(AddTorrent::from_file(file)?.directory(directory))?;
    loop {
        let state = torrent.wait_finished(Duration::from_secs(1))?;
        let stats = torrent.stats();
        println!(
            "{state:?}: {} of {} bytes, {} bytes/s, {} peers",
            stats.have_bytes, stats.total_bytes, stats.download_rate, stats.peer_count
        );
        match state {
            TorrentState::Seeding => break,
            TorrentState::Error => {
                return Err(torrent.status()?.error.unwrap_or_default().into());
            }
            _ => {}
        }
    }
    // Tells the trackers and lets what is under way end.
    session.shutdown(Duration::from_secs(10));
    Ok(())
}
