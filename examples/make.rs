//! Makes a .torrent of one file: `cargo run --example make -- FILE TRACKER > FILE.torrent`.

use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::path::Path;

use coreswarm::Sha1;
use coreswarm::Torrent;
use coreswarm::TorrentMaker;

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(path), Some(tracker)) = (words.next(), words.next()) else {
        return Err("expected a file and the URL of a tracker".into());
    };
    let bytes = make(Path::new(&path), &tracker)?;
    eprintln!("info hash {}", Torrent::parse(&bytes)?.info_hash());
    std::io::stdout().write_all(&bytes)?;
    Ok(())
}

/// The maker does no I/O: it says how long a piece is, we hash the pieces.
fn make(path: &Path, tracker: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let name = path.file_name().and_then(|name| name.to_str()).ok_or("the file needs a name")?;
    let file = File::open(path)?;
    let maker = TorrentMaker::single(name, file.metadata()?.len()).tier([tracker]);
    let piece_length = u64::from(maker.piece_length()?);
    let mut hashes = Vec::new();
    loop {
        let mut piece = Vec::new();
        (&file).take(piece_length).read_to_end(&mut piece)?;
        if piece.is_empty() {
            return Ok(maker.finish(&hashes)?);
        }
        hashes.push(Sha1::of(&piece));
    }
}
