//! Seeds a torrent until a line is read: `cargo run --example seed -- FILE.torrent DIR`.

use std::error::Error;
use std::io;
use std::time::Duration;

use coreswarm::AddTorrent;
use coreswarm::Session;
use coreswarm::Settings;

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(file), Some(directory)) = (words.next(), words.next()) else {
        return Err("expected a .torrent file and the directory of its data".into());
    };
    let mut settings = Settings::default();
    settings.upload_slots_max = 16;
    let session = Session::builder().settings(settings).start()?;
    let torrent = session.add(AddTorrent::from_file(file)?.directory(directory))?;
    println!("{} at {:?}: Enter ends it", torrent.info_hash(), session.listen_addresses());
    io::stdin().read_line(&mut String::new())?;
    println!("sent {} bytes", torrent.stats().uploaded);
    let report = session.shutdown(Duration::from_secs(10));
    println!("{} shards ended in good order", report.clean_count);
    Ok(())
}
