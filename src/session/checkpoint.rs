//! What an interrupted verification leaves behind, so that the next one goes on: which pieces were
//! hashed, and what the files were like at that time.
//!
//! A bencoded dictionary: `format`; `info`, SHA-1 over the raw `info` dictionary; `files`, a list
//! with five integers per file (kind of name, bytes, times of change of content and entry in
//! nanoseconds, inode), all 0 for one that is not there; `pieces`, a byte per piece.

use bendy::encoding::Encoder;
use bendy::encoding::Error;

use crate::base::digest::Sha1;
use crate::base::limits::BENCODE_TOKEN_MAX;
use crate::codec::bencode::Document;
use crate::codec::bencode::Limits;
use crate::content::torrent::Torrent;
use crate::io::scan::look::Look;
use crate::io::scan::look::Seen;

/// A reader of another format starts anew.
const FORMAT: &str = "coreswarm verify 1";
/// A dictionary with a list of lists.
const LIMITS: Limits = Limits { depth: 4, tokens: BENCODE_TOKEN_MAX };

/// What a piece was found to be: all that is worth keeping.
pub(crate) const GOOD: u8 = b'g';
pub(crate) const CORRUPT: u8 = b'c';
pub(crate) const PENDING: u8 = b'.';

/// One file's entry.
type Row = [i64; 5];

/// The bytes to keep. `pieces` has one of the constants above for each piece.
pub(crate) fn encode(torrent: &Torrent, looks: &[Look], pieces: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = Encoder::new().with_max_depth(LIMITS.depth as usize);
    let rows: Vec<Row> = looks.iter().map(row).collect();
    let done = encoder.emit_dict(|mut root| -> Result<(), Error> {
        root.emit_pair_with(b"files", |files| {
            files.emit_list(|list| rows.iter().try_for_each(|row| list.emit(row.as_slice())))
        })?;
        root.emit_pair(b"format", FORMAT)?;
        root.emit_pair_with(b"info", |info| info.emit_bytes(name(torrent).as_bytes()))?;
        root.emit_pair_with(b"pieces", |bytes| bytes.emit_bytes(pieces))
    });
    done.ok().and_then(|()| encoder.get_output().ok())
}

/// What is still true of it: the state of each piece, pending where a file has changed. `None` for
/// anything that is no checkpoint of this torrent.
pub(crate) fn decode(bytes: &[u8], torrent: &Torrent, looks: &[Look]) -> Option<Vec<u8>> {
    let document = Document::parse(bytes, LIMITS).ok()?;
    let root = document.root();
    let is_ours = root.get(b"format")?.as_str() == Some(FORMAT)
        && root.get(b"info")?.as_bytes()? == name(torrent).as_bytes();
    let mut pieces = root.get(b"pieces")?.as_bytes()?.to_vec();
    if !is_ours || pieces.len() != torrent.piece_count() as usize {
        return None;
    }
    let mut rows = root.get(b"files")?.as_list()?;
    for (look, entry) in looks.iter().zip(torrent.files()) {
        let mut numbers = rows.next()?.as_list()?;
        let is_same = row(look)
            .iter()
            .all(|number| numbers.next().and_then(|value| value.as_int()) == Some(*number));
        if !is_same {
            let changed = torrent.layout().pieces_of(entry.offset(), entry.length());
            let changed = pieces.get_mut(changed.start as usize..changed.end as usize);
            changed.unwrap_or_default().fill(PENDING);
        }
    }
    Some(pieces)
}

/// Over all of `info`, so that hybrids and torrents of either version have one.
fn name(torrent: &Torrent) -> Sha1 {
    Sha1::of(torrent.info_bytes())
}

fn row(look: &Look) -> Row {
    let Seen::File(stamp) = look.seen else { return [0; 5] };
    let kind = if look.path.extension().is_some_and(|end| end == "part") { 2 } else { 1 };
    [kind, stamp.length.cast_signed(), stamp.modified, stamp.changed, stamp.inode.cast_signed()]
}
