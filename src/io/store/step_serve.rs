//! Reads for peers: what is in memory is lent from there, everything else is read.

use std::path::Path;

use crate::base::ids::TorrentId;
use crate::base::payload::Mapped;
use crate::base::payload::Payload;
use crate::base::storage_error::StorageError;
use crate::base::storage_error::StorageOperation;
use crate::engine::disk::DiskReply;
use crate::engine::disk::JobId;
use crate::io::store::errors::wrong;
use crate::io::store::file_key::Spot;
use crate::io::store::mapped::Window;
use crate::io::store::progress::Load;
use crate::io::store::progress::Transfer;
use crate::io::store::queue::Work;
use crate::io::store::state::Store;

impl Store {
    /// Answers at once what is in memory and can be lent from there.
    pub(super) fn serve(&mut self, id: JobId, torrent: TorrentId, offset: u64, length: u32) {
        if let Some(mapped) = self.lend(torrent, offset, length) {
            return self.replies.push_back((id, DiskReply::Served(Payload::Mapped(mapped))));
        }
        self.start(id, torrent, |shelf, buffers| {
            let load = Load::Read(Some(buffers.take(length as usize)));
            let transfer = Transfer::new(&shelf.place.torrent, offset, length as usize, load);
            Work::Transfer(Transfer { is_served: true, ..transfer })
        });
    }

    /// The bytes where they are, if they can be sent from there without waiting.
    pub(super) fn lend(&mut self, torrent: TorrentId, offset: u64, length: u32) -> Option<Mapped> {
        let shelf = self.shelves.get(&torrent).filter(|shelf| shelf.is_open())?;
        let mut spans = shelf.place.torrent.file_list().spans(offset, u64::from(length));
        let span = spans.next().filter(|span| span.length == length)?;
        let (spot, offset) = shelf.locate(span.file, span.offset)?;
        match spot {
            Spot::File(_) => self.files.lend((torrent, spot), offset, length as usize),
            Spot::Parts => None,
        }
    }

    /// What is wrong with mapped bytes that the kernel could not read.
    pub(crate) fn unreadable(&self, mapped: &Mapped) -> StorageError {
        let message = "the file ended, or could not be read, while it was being sent: recheck the \
                       torrent";
        let error = |path: &Path| wrong(StorageOperation::Read, path, message.to_owned());
        let Some(window) = mapped.keeper::<Window>() else { return error(Path::new("")) };
        let ((torrent, spot), offset) = window.whereabouts(mapped);
        let piece = self.shelves.get(&torrent).and_then(|shelf| shelf.piece_at(spot, offset));
        StorageError { piece, ..error(&self.path(torrent, spot)) }
    }
}
