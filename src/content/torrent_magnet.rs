//! A torrent as a magnet link.

use crate::codec::magnet::Magnet;
use crate::content::torrent::Torrent;

impl Torrent {
    /// The magnet link that leads here: all names, trackers and web seeds, the name and the bytes
    /// of the files, padding not counted (BEP 9).
    pub fn magnet(&self) -> Magnet {
        let files = self.files().iter().filter(|file| !file.is_pad());
        let mut magnet = Magnet::new(self.info_hashes());
        magnet.name = Some(self.name().to_owned());
        magnet.trackers = self.trackers().concat();
        magnet.web_seeds = self.url_list().to_vec();
        magnet.length = self.has_metadata().then(|| files.map(|file| file.length()).sum());
        magnet
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::digest::Sha1;
    use crate::content::make::TorrentMaker;

    #[test]
    fn a_torrent_is_found_by_the_link_that_it_makes() {
        let maker = TorrentMaker::single("one & only", 5)
            .tier(["http://a/", "udp://b:1"])
            .tier(["http://c/"])
            .web_seed("http://w/?x=1");
        let torrent = Torrent::parse(&maker.finish(&[Sha1::of(b"12345")]).unwrap()).unwrap();
        let magnet = torrent.magnet();
        let link = format!(
            "magnet:?xt=urn:btih:{}&dn=one%20%26%20only&xl=5&tr=http%3A%2F%2Fa%2F&\
             tr=udp%3A%2F%2Fb%3A1&tr=http%3A%2F%2Fc%2F&ws=http%3A%2F%2Fw%2F%3Fx%3D1",
            torrent.info_hash()
        );
        assert_eq!(magnet.to_string(), link);
        assert_eq!(Magnet::parse(&link), Ok(magnet));
    }
}
