//! The part store of a torrent: bytes of files that were not made, because nobody wanted them, but
//! that pieces share with files that are wanted (F14).
//!
//! One hidden file beside the torrent's own, sparse, in which bytes lie at their offsets in the
//! torrent. So there is no index that could disagree with the data after a crash: what was never
//! written reads as zeros, and the hash of its piece says so. Only what was written takes space,
//! where the file system knows holes. Everything here blocks.

use std::ops::Range;
use std::os::fd::AsFd;
use std::path::PathBuf;

use rustix::fs::FallocateFlags;
use rustix::fs::SeekFrom;
use rustix::io::Errno;

use crate::content::torrent::Torrent;

/// Bytes copied at once.
const COPY_LEN: usize = 1024 * 1024;

/// Its name in the torrent's directory; no two torrents share it.
pub(super) fn name(torrent: &Torrent) -> PathBuf {
    format!(".{}.parts", torrent.info_hash()).into()
}

/// Whether something lies in this range of the torrent: a byte that is not zero. A few zeros at the
/// end of a hole are no data, and real zeros are read from a hole as well.
pub(super) fn has_data(parts: impl AsFd, range: Range<u64>) -> Result<bool, Errno> {
    let mut buf = vec![0; COPY_LEN];
    let mut at = range.start;
    while let Some(data) = next_data(&parts, at..range.end)? {
        at = data.start;
        while at < data.end {
            let chunk = chunk(&mut buf, data.end - at);
            let count = rustix::io::pread(&parts, &mut *chunk, at)?;
            if chunk.iter().take(count).any(|byte| *byte != 0) {
                return Ok(true);
            }
            at = if count == 0 { data.end } else { at + count as u64 };
        }
    }
    Ok(false)
}

/// Copies what lies in this range of the torrent to the beginning of `file`.
pub(super) fn copy(parts: impl AsFd, range: Range<u64>, file: impl AsFd) -> Result<(), Errno> {
    let mut buf = vec![0; COPY_LEN];
    let mut at = range.start;
    while let Some(data) = next_data(&parts, at..range.end)? {
        at = data.start;
        while at < data.end {
            let chunk = chunk(&mut buf, data.end - at);
            let count = rustix::io::pread(&parts, &mut *chunk, at)?;
            let bytes = chunk.get(..count).unwrap_or_default();
            write_all(&file, bytes, at - range.start)?;
            at = if count == 0 { data.end } else { at + count as u64 };
        }
    }
    Ok(())
}

/// Gives the space of this range of the torrent back; it reads as zeros from here on.
pub(super) fn forget(parts: impl AsFd, range: Range<u64>) -> Result<(), Errno> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    match rustix::fs::fallocate(&parts, flags, range.start, range.end - range.start) {
        // No holes here: zeros at least.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            let zeros = vec![0; COPY_LEN];
            let mut at = range.start;
            while let Some(data) = next_data(&parts, at..range.end)? {
                at = data.start;
                while at < data.end {
                    let length = zeros.len().min((data.end - at) as usize);
                    write_all(&parts, zeros.get(..length).unwrap_or_default(), at)?;
                    at += length as u64;
                }
            }
            Ok(())
        }
        done => done,
    }
}

/// The next part of the range that is no hole.
fn next_data(parts: impl AsFd, range: Range<u64>) -> Result<Option<Range<u64>>, Errno> {
    if range.is_empty() {
        return Ok(None);
    }
    let start = match rustix::fs::seek(&parts, SeekFrom::Data(range.start)) {
        Ok(start) if start < range.end => start,
        Ok(_) | Err(Errno::NXIO) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    let end = rustix::fs::seek(&parts, SeekFrom::Hole(start))?;
    Ok(Some(start..end.min(range.end)).filter(|data| !data.is_empty()))
}

fn chunk(buf: &mut [u8], left: u64) -> &mut [u8] {
    let length = buf.len().min(usize::try_from(left).unwrap_or(usize::MAX));
    buf.get_mut(..length).unwrap_or_default()
}

fn write_all(file: impl AsFd, mut bytes: &[u8], mut at: u64) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(&file, bytes, at) {
            Ok(0) => return Err(Errno::IO),
            Ok(count) => {
                bytes = bytes.get(count..).unwrap_or_default();
                at += count as u64;
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn holes_are_neither_data_nor_copied() {
        let parts = tempfile::tempfile().unwrap();
        let file = tempfile::tempfile().unwrap();
        parts.write_all_at(b"first", 100_000).unwrap();
        parts.write_all_at(&[7; 3_000_000], 9_000_000).unwrap();
        parts.set_len(1 << 40).unwrap();
        assert!(!has_data(&parts, 0..100_000).unwrap() && has_data(&parts, 0..100_001).unwrap());
        assert!(!has_data(&parts, 100_005..9_000_000).unwrap(), "zeros up to a page are none");
        assert!(!has_data(&parts, 12_000_000..1 << 40).unwrap());
        copy(&parts, 100_000..12_000_000, &file).unwrap();
        let mut bytes = [0; 5];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"first");
        file.read_exact_at(&mut bytes, 11_899_995).unwrap();
        assert_eq!(bytes, [7; 5]);
        assert_eq!(file.metadata().unwrap().len(), 11_900_000);
        assert!(file.metadata().unwrap().blocks() * 512 < 4_000_000, "and the hole stays one");
    }

    #[test]
    fn what_is_forgotten_leaves_its_neighbours() {
        let parts = tempfile::tempfile().unwrap();
        parts.write_all_at(&[9; 50_000], 0).unwrap();
        forget(&parts, 10_000..30_000).unwrap();
        let mut bytes = vec![0; 50_000];
        parts.read_exact_at(&mut bytes, 0).unwrap();
        assert!(bytes[..10_000].iter().chain(&bytes[30_000..]).all(|byte| *byte == 9));
        assert!(!has_data(&parts, 10_000..30_000).unwrap());
        assert!(has_data(&parts, 9_999..30_000).unwrap());
    }
}
