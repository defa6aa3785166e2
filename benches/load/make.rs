//! Makes payloads of pseudo-random bytes with their .torrents.

use std::fs;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::Result;
use anyhow::ensure;
use sha1::Digest;
use sha1::Sha1;

/// Writes one payload, or `count` of them, below `folder`.
pub(crate) fn make(folder: &Path, size: u64, piece_length: u64, count: Option<u64>) -> Result<()> {
    ensure!(size > 0 && piece_length > 0, "sizes above 0");
    let data = folder.join("data");
    let torrents = folder.join("torrents");
    fs::create_dir_all(&data)?;
    fs::create_dir_all(&torrents)?;
    for number in 0..count.unwrap_or(1) {
        let name = if count.is_some() { format!("load-{number:04}") } else { "load".to_owned() };
        let file = format!("{name}.bin");
        let pieces = payload(&data.join(&file), size, piece_length, number)?;
        let torrent = torrent(&file, size, piece_length, &pieces);
        fs::write(torrents.join(format!("{name}.torrent")), torrent)?;
    }
    println!("{} and {}", data.display(), torrents.display());
    Ok(())
}

/// Writes the bytes and gives the pieces' hashes.
fn payload(path: &Path, size: u64, piece_length: u64, number: u64) -> Result<Vec<u8>> {
    let mut file = File::create(path)?;
    let mut state = number << 40;
    let mut piece = vec![0; usize::try_from(piece_length)?.next_multiple_of(8)];
    let mut hashes = Vec::new();
    let mut left = size;
    while left > 0 {
        for word in piece.as_chunks_mut::<8>().0 {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            *word = (mixed ^ (mixed >> 29)).to_le_bytes();
        }
        let length = left.min(piece_length);
        let bytes = &piece[..length as usize];
        hashes.extend_from_slice(&Sha1::digest(bytes));
        file.write_all(bytes)?;
        left -= length;
    }
    Ok(hashes)
}

fn torrent(name: &str, size: u64, piece_length: u64, pieces: &[u8]) -> Vec<u8> {
    let mut out = format!("d4:infod6:lengthi{size}e4:name{}:{name}", name.len()).into_bytes();
    out.extend(format!("12:piece lengthi{piece_length}e6:pieces{}:", pieces.len()).bytes());
    out.extend_from_slice(pieces);
    out.extend_from_slice(b"ee");
    out
}
