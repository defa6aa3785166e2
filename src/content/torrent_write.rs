//! A torrent as a .torrent file: what a magnet link has become, to be kept.

use std::collections::BTreeMap;

use bendy::encoding::AsString;
use bendy::encoding::Error;

use crate::content::pairs::Pairs;
use crate::content::torrent::Torrent;

impl Torrent {
    /// The bytes of a .torrent file of this torrent: `info` as it is, trackers, web seeds, comment,
    /// program, date and piece layers. `None` as long as metadata or piece layers are missing:
    /// without them nobody could check the files by it.
    pub fn to_torrent_file(&self) -> Option<Vec<u8>> {
        if !self.has_piece_layers() {
            return None;
        }
        // The encoder fails on nesting alone, and there is none.
        self.pairs().ok().map(Pairs::write)
    }

    fn pairs(&self) -> Result<Pairs<'static>, Error> {
        let mut root = Pairs::default();
        let trackers = self.trackers();
        root.set(b"announce", trackers.iter().flatten().next())?;
        root.set(b"announce-list", (trackers.iter().flatten().count() > 1).then_some(trackers))?;
        let urls = self.url_list();
        root.set(b"url-list", (!urls.is_empty()).then_some(urls))?;
        root.set(b"comment", self.comment())?;
        root.set(b"created by", self.created_by())?;
        root.set(b"creation date", self.creation_date())?;
        root.put(b"info", Some(self.info_bytes().to_vec()));
        let layers = self.layers_by_root();
        let is_v2 = self.info_hashes().v2().is_some();
        root.set(b"piece layers", is_v2.then_some(layers))?;
        Ok(root)
    }

    /// Each file's piece layer as one string; files with the same bytes share one (BEP 52).
    fn layers_by_root(&self) -> BTreeMap<Vec<u8>, AsString<Vec<u8>>> {
        let files = self.file_list().iter().map(|(file, _)| file);
        let layers = files.filter_map(|file| {
            let layer = self.layer(file)?.iter().flat_map(|root| *root.as_bytes()).collect();
            Some((self.file_root(file)?.as_bytes().to_vec(), AsString(layer)))
        });
        layers.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::digest::Sha1;
    use crate::base::digest_lanes::Lanes;
    use crate::content::make::TorrentMaker;

    #[test]
    fn a_torrent_that_came_as_its_parts_is_written_as_it_was_made() {
        let maker = TorrentMaker::single("one", 5)
            .tier(["http://a/", "http://b/"])
            .web_seed("http://w/")
            .comment("said")
            .created_by("us")
            .creation_date(7);
        let made = maker.finish(&[Sha1::of(b"12345")]).unwrap();
        let torrent = Torrent::parse(&made).unwrap();
        assert_eq!(torrent.to_torrent_file(), Some(made));
        let (trackers, urls) = (torrent.trackers(), torrent.url_list());
        let bare = Torrent::from_info(torrent.info_bytes(), trackers, urls).unwrap();
        let written = Torrent::parse(&bare.to_torrent_file().unwrap()).unwrap();
        assert_eq!((written.trackers(), written.url_list()), (trackers, urls));
        assert_eq!(written.info_hashes(), torrent.info_hashes());
        let name = Torrent::nameless(torrent.info_hashes(), None, &[]);
        assert_eq!(name.to_torrent_file(), None);
    }

    #[test]
    fn layers_are_written_once_they_are_known() {
        let made: [&[u8]; 4] = [
            include_bytes!("torrent/v2.torrent"),
            include_bytes!("torrent/hybrid.torrent"),
            include_bytes!("torrent/one_v2.torrent"),
            include_bytes!("torrent/one_hybrid.torrent"),
        ];
        for made in made {
            let torrent = Torrent::parse(made).unwrap();
            let again = Torrent::parse(&torrent.to_torrent_file().unwrap()).unwrap();
            assert_eq!(again.info_hashes(), torrent.info_hashes());
            assert!(again.has_piece_layers());
            let bare = Torrent::from_info(torrent.info_bytes(), &[], &[]).unwrap();
            assert_eq!(bare.to_torrent_file(), None);
            let files = torrent.file_list().iter().map(|(file, _)| file);
            let layers = files.filter_map(|file| Some((file, torrent.layer(file)?)));
            assert!(bare.with_layers(layers, Lanes::PORTABLE).to_torrent_file().is_some());
        }
    }
}
