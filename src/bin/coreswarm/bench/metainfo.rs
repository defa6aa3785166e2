//! The little of a .torrent that raw peers need, read by a bencode scanner of its own.

use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use sha1::Digest;
use sha1::Sha1;

/// Lists in lists; .torrent files have four.
const DEPTH_MAX: u32 = 100;

/// The unit of requests.
pub(crate) const BLOCK: u32 = 16 * 1024;

/// A v1 torrent, as far as peers are concerned: its files are one run of bytes.
pub(crate) struct Metainfo {
    pub(crate) info_hash: [u8; 20],
    pub(crate) piece_length: u32,
    pub(crate) size: u64,
    /// SHA-1 of each piece.
    hashes: Vec<[u8; 20]>,
}

impl Metainfo {
    /// Reads and checks a .torrent.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("{}", path.display()))?;
        Self::parse(&bytes).with_context(|| format!("{} is not a v1 torrent", path.display()))
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        let raw_info = lookup(bytes, b"info")?.context("no info dictionary")?;
        let number = |within: &[u8], key: &[u8]| -> Result<Option<u64>> {
            lookup(within, key)?.map(integer).transpose()
        };
        let piece_length = number(raw_info, b"piece length")?.context("no piece length")?;
        let pieces = string(lookup(raw_info, b"pieces")?.context("no pieces")?)?;
        let size = match number(raw_info, b"length")? {
            Some(length) => length,
            None => {
                let files = lookup(raw_info, b"files")?.context("neither length nor files")?;
                let mut sum = 0;
                for file in items(files)? {
                    let length = number(file, b"length")?.context("a file without length")?;
                    sum = u64::checked_add(sum, length).context("files of above 64 bits")?;
                }
                sum
            }
        };
        let hashes: Vec<[u8; 20]> = pieces.as_chunks().0.to_vec();
        ensure!(
            piece_length > 0
                && !hashes.is_empty()
                && size.div_ceil(piece_length) == hashes.len() as u64,
            "as many hashes as pieces"
        );
        let info_hash = Sha1::digest(raw_info).into();
        Ok(Self { info_hash, piece_length: u32::try_from(piece_length)?, size, hashes })
    }

    /// A torrent whose hashes nobody looks at.
    #[cfg(test)]
    pub(crate) fn made_up(piece_length: u32, size: u64) -> Self {
        let count = size.div_ceil(u64::from(piece_length)) as usize;
        Self { info_hash: [7; 20], piece_length, size, hashes: vec![[0; 20]; count] }
    }

    /// Number of pieces.
    pub(crate) fn piece_count(&self) -> u32 {
        self.hashes.len() as u32
    }

    /// Bytes in one piece; the last may be short.
    pub(crate) fn piece_size(&self, piece: u32) -> u32 {
        let begin = u64::from(piece) * u64::from(self.piece_length);
        u64::from(self.piece_length).min(self.size - begin) as u32
    }

    /// Where a request's bytes lie, if it lies inside a piece.
    pub(crate) fn range(&self, piece: u32, begin: u32, length: u32) -> Option<Range<usize>> {
        if piece >= self.piece_count() {
            return None;
        }
        let end = begin.checked_add(length)?;
        let first = u64::from(piece) * u64::from(self.piece_length) + u64::from(begin);
        let first = usize::try_from(first).ok()?;
        (end <= self.piece_size(piece)).then_some(first..first + length as usize)
    }

    /// Whether a whole piece has its hash.
    pub(crate) fn is_intact(&self, piece: u32, bytes: &[u8]) -> bool {
        let digest: [u8; 20] = Sha1::digest(bytes).into();
        self.hashes.get(piece as usize) == Some(&digest)
    }
}

/// The raw value of `key` in the dictionary that `dictionary` is.
fn lookup<'a>(dictionary: &'a [u8], key: &[u8]) -> Result<Option<&'a [u8]>> {
    ensure!(dictionary.first() == Some(&b'd'), "expected a dictionary");
    let parts = items(dictionary)?;
    let pairs = parts.chunks_exact(2);
    for pair in pairs {
        if string(pair[0])? == key {
            return Ok(Some(pair[1]));
        }
    }
    Ok(None)
}

/// The raw items of a list, or keys and values of a dictionary.
fn items(container: &[u8]) -> Result<Vec<&[u8]>> {
    ensure!(matches!(container.first(), Some(b'd' | b'l')), "expected a list or a dictionary");
    let mut rest = &container[1..];
    let mut items = Vec::new();
    while rest.first() != Some(&b'e') {
        let (item, after) = rest.split_at(extent(rest, DEPTH_MAX)?);
        items.push(item);
        rest = after;
    }
    Ok(items)
}

/// Bytes that the value at the start of `bytes` takes.
fn extent(bytes: &[u8], depth: u32) -> Result<usize> {
    let deeper = depth.checked_sub(1).context("nested too deep")?;
    match bytes.first() {
        Some(b'i') => Ok(find(bytes, b'e')? + 1),
        Some(b'd' | b'l') => {
            let mut at = 1;
            while bytes.get(at) != Some(&b'e') {
                at += extent(bytes.get(at..).context("cut off")?, deeper)?;
            }
            Ok(at + 1)
        }
        Some(b'0'..=b'9') => {
            let colon = find(bytes, b':')?;
            let length: usize = std::str::from_utf8(&bytes[..colon])?.parse()?;
            let end = length.checked_add(1 + colon).context("too long")?;
            ensure!(end <= bytes.len(), "cut off");
            Ok(end)
        }
        _ => bail!("not bencode"),
    }
}

fn find(bytes: &[u8], byte: u8) -> Result<usize> {
    bytes.iter().position(|got| *got == byte).context("cut off")
}

fn string(raw: &[u8]) -> Result<&[u8]> {
    ensure!(matches!(raw.first(), Some(b'0'..=b'9')), "expected a string");
    Ok(&raw[find(raw, b':')? + 1..])
}

fn integer(raw: &[u8]) -> Result<u64> {
    ensure!(raw.first() == Some(&b'i'), "expected an integer");
    Ok(std::str::from_utf8(&raw[1..raw.len() - 1])?.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Metainfo> {
        Metainfo::parse(text.as_bytes())
    }

    fn of(info: &str) -> String {
        format!("d8:announce3:url4:infod{info}ee")
    }

    #[test]
    fn one_file_and_many_are_one_run_of_bytes() {
        let hashes = format!("6:pieces40:{}", "h".repeat(40));
        let one = of(&format!("6:lengthi30000e12:piece lengthi16384e{hashes}"));
        let files = "5:filesld6:lengthi10000eed6:lengthi20000eee";
        let many = of(&format!("{files}12:piece lengthi16384e{hashes}"));
        for text in [one, many] {
            let torrent = parse(&text).unwrap();
            assert_eq!((torrent.size, torrent.piece_count()), (30_000, 2));
            assert_eq!((torrent.piece_size(0), torrent.piece_size(1)), (16_384, 13_616));
            assert_eq!(torrent.range(1, 16, 16), Some(16_400..16_416));
            assert_eq!(torrent.range(1, 13_616, 1), None);
            assert_eq!(torrent.range(2, 0, 1), None);
            assert_eq!(torrent.range(0, u32::MAX, 2), None);
        }
    }

    #[test]
    fn nonsense_is_an_error() {
        let many = "l".repeat(100_000);
        for text in [
            "",
            "d",
            "de",
            "i1e",
            "d4:info",
            "d4:infode",
            "d99999999999999999999:",
            "d18446744073709551615:x",
            &many,
            &of("6:lengthi5e12:piece lengthi0e6:pieces0:"),
            &of("6:lengthi5e12:piece lengthi5e6:pieces0:"),
            &of("6:lengthi0e12:piece lengthi5e6:pieces0:"),
            &of("6:lengthie12:piece lengthi5e6:pieces0:"),
        ] {
            assert!(parse(text).is_err(), "{}", &text[..text.len().min(80)]);
        }
    }
}
