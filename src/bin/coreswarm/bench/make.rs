//! Makes payloads of pseudo-random bytes with their .torrents.

use std::fs;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use sha1::Digest;
use sha1::Sha1;

use crate::bench::args::MakeArgs;

/// `bench make`.
pub(crate) fn make(args: &MakeArgs) -> Result<()> {
    write(&args.directory, args.size, args.piece_length, args.count)?;
    let below = |name| args.directory.join(name);
    println!("{} and {}", below("data").display(), below("torrents").display());
    Ok(())
}

/// Writes one payload, or as many as are wanted, below a directory.
pub(crate) fn write(
    directory: &Path,
    size: u64,
    piece_length: u64,
    count: Option<u64>,
) -> Result<()> {
    let may_be = 1..=1 << 30;
    ensure!(size > 0, "expected a size above 0, got 0");
    ensure!(
        may_be.contains(&piece_length),
        "expected a piece length from 1 byte to 1 GiB, got {piece_length}; 1MiB is usual"
    );
    let data = directory.join("data");
    let torrents = directory.join("torrents");
    fs::create_dir_all(&data)?;
    fs::create_dir_all(&torrents)?;
    for number in 0..count.unwrap_or(1) {
        let name = count.map_or("load".to_owned(), |_| format!("load-{number:04}"));
        let file = format!("{name}.bin");
        let path = data.join(&file);
        let pieces = payload(&path, size, piece_length, number)
            .with_context(|| format!("cannot write {}", path.display()))?;
        let torrent = torrent(&file, size, piece_length, &pieces);
        fs::write(torrents.join(format!("{name}.torrent")), torrent)?;
    }
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
