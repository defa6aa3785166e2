//! Two trees of files, byte by byte.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use anyhow::bail;
use coreswarm::Torrent;

const CHUNK: usize = 1 << 20;

/// Compares every file of `torrent` below `expected` with the one below `got`; bytes compared.
pub(crate) fn compare(torrent: &Torrent, expected: &Path, got: &Path) -> anyhow::Result<u64> {
    let mut total = 0;
    for file in torrent.files().iter().filter(|file| file.is_on_disk()) {
        let path = got.join(file.path());
        total += compare_files(&expected.join(file.path()), &path)
            .with_context(|| format!("comparing {path:?}"))?;
    }
    Ok(total)
}

fn compare_files(expected: &Path, got: &Path) -> anyhow::Result<u64> {
    let (mut left, mut right) = (File::open(expected)?, File::open(got)?);
    let (mut one, mut other) = (Vec::with_capacity(CHUNK), Vec::with_capacity(CHUNK));
    let mut at = 0;
    loop {
        read_chunk(&mut left, &mut one)?;
        read_chunk(&mut right, &mut other)?;
        if one != other {
            let same = one.iter().zip(&other).take_while(|(a, b)| a == b).count() as u64;
            bail!("expected the bytes of the seed, got others from byte {} on", at + same);
        }
        if one.is_empty() {
            return Ok(at);
        }
        at += one.len() as u64;
    }
}

fn read_chunk(file: &mut File, chunk: &mut Vec<u8>) -> std::io::Result<()> {
    chunk.clear();
    file.take(CHUNK as u64).read_to_end(chunk).map(drop)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn one_wrong_byte_or_a_missing_one_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        let mut bytes = vec![7; CHUNK + 9];
        fs::write(&a, &bytes).unwrap();
        fs::write(&b, &bytes).unwrap();
        assert_eq!(compare_files(&a, &b).unwrap(), CHUNK as u64 + 9);
        bytes[CHUNK + 2] = 0;
        fs::write(&b, &bytes).unwrap();
        let error = compare_files(&a, &b).unwrap_err().to_string();
        assert!(error.contains(&format!("byte {}", CHUNK + 2)), "{error}");
        fs::write(&b, &bytes[..CHUNK]).unwrap();
        assert!(compare_files(&a, &b).is_err());
    }
}
