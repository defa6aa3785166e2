//! A torrent together with the bytes that it describes, made from a seed.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use crate::base::digest::Sha1;
use crate::base::digest::Sha256;
use crate::base::digest_lanes::Lanes;
use crate::base::ids::PieceIndex;
use crate::base::info_hashes::InfoHashes;
use crate::base::rng::Rng;
use crate::codec::hash_request::HashRequest;
use crate::content::files::FileList;
use crate::content::layout::Layout;
use crate::content::make::TorrentMaker;
use crate::content::make::TorrentVersion;
use crate::content::merkle;
use crate::content::merkle::HashRange;
use crate::content::torrent::Torrent;
use crate::engine::add::MagnetHints;

/// Piece length of all bundles: two blocks, so that pieces are many and still have an inside.
pub(crate) const PIECE_LEN: u32 = 32 * 1024;

/// Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Bundle {
    pub(crate) torrent: Arc<Torrent>,
    /// The torrent as engines are given it: it may lack the piece layers.
    pub(crate) given: Arc<Torrent>,
    /// The engine is given a magnet: `given` is but names.
    pub(crate) magnet: Option<Box<MagnetHints>>,
    pub(crate) bytes: Rc<[u8]>,
}

impl Bundle {
    /// One file of `len` bytes.
    pub(crate) fn single(seed: u64, len: usize) -> Bundle {
        Bundle::of(seed, TorrentMaker::single("one.bin", len as u64))
    }

    /// One file of `len` bytes, announced to the tracker of the world.
    pub(crate) fn tracked(seed: u64, len: usize) -> Bundle {
        let maker = TorrentMaker::single("one.bin", len as u64);
        Bundle::of(seed, maker.tier(["http://tracker.sim/announce"]))
    }

    /// A directory of files of these sizes.
    pub(crate) fn directory(seed: u64, lens: &[usize]) -> Bundle {
        let maker =
            lens.iter().enumerate().fold(TorrentMaker::directory("many"), |maker, (n, len)| {
                maker.file(["sub".to_owned(), format!("{n}.bin")], *len as u64)
            });
        Bundle::of(seed, maker)
    }

    /// What `maker` says, with bytes from `seed`; of pieces of 32 KiB unless the maker says
    /// otherwise.
    pub(crate) fn of(seed: u64, maker: TorrentMaker) -> Bundle {
        Bundle::in_pieces(seed, maker, PIECE_LEN)
    }

    pub(crate) fn in_pieces(seed: u64, maker: TorrentMaker, piece_len: u32) -> Bundle {
        Bundle::of_version(seed, maker, piece_len, TorrentVersion::V1)
    }

    /// For these versions of the protocol.
    pub(crate) fn of_version(
        seed: u64,
        maker: TorrentMaker,
        piece_len: u32,
        version: TorrentVersion,
    ) -> Bundle {
        let maker = maker.with_piece_length(piece_len).version(version);
        let (files, layout) = maker.grid().expect("a simulated torrent has legal sizes");
        let bytes = random_bytes(seed, &files);
        let hashes = hashes(&layout, &bytes);
        let roots = roots(&layout, &files, &bytes);
        Bundle::finish(&maker, version, (&hashes, &roots), bytes)
    }

    /// A hybrid whose hashes of piece 5 name different bytes: the bundle's are those of v1, or of
    /// v2.
    pub(crate) fn torn(seed: u64, len: u64, holds_v1: bool) -> Bundle {
        let version = TorrentVersion::Hybrid;
        let maker = TorrentMaker::single("torn", len).with_piece_length(PIECE_LEN).version(version);
        let (files, layout) = maker.grid().expect("a simulated torrent has legal sizes");
        let bytes = random_bytes(seed, &files);
        let mut others = bytes.clone();
        others[5 * PIECE_LEN as usize + 17] ^= 1;
        let (by_v1, by_v2) = if holds_v1 { (&bytes, &others) } else { (&others, &bytes) };
        let (hashes, roots) = (hashes(&layout, by_v1), roots(&layout, &files, by_v2));
        Bundle::finish(&maker, version, (&hashes, &roots), bytes)
    }

    fn finish(
        maker: &TorrentMaker,
        version: TorrentVersion,
        (hashes, roots): (&[Sha1], &[Sha256]),
        mut bytes: Vec<u8>,
    ) -> Bundle {
        let hashes = if version.has_v1() { hashes } else { &[] };
        let roots = if version.has_v2() { roots } else { &[] };
        let file = maker.finish_with(hashes, roots).expect("there is a hash for each piece");
        let torrent = Torrent::parse(&file).expect("our own torrent is legal");
        // The grid may end with a gap behind the last file.
        bytes.resize(torrent.layout().total() as usize, 0);
        let torrent = Arc::new(torrent);
        Bundle { given: Arc::clone(&torrent), magnet: None, torrent, bytes: bytes.into() }
    }

    /// The same for an engine that knows no more than the `info` dictionary, as of a magnet.
    pub(crate) fn bare(&self) -> Bundle {
        let torrent = &self.torrent;
        let given = Torrent::from_info(torrent.info_bytes(), torrent.trackers(), &[]);
        Bundle { given: Arc::new(given.expect("its info is legal")), ..self.clone() }
    }

    /// The same for an engine whose .torrent file holds the layer of the first long file alone.
    pub(crate) fn with_one_layer(&self) -> Bundle {
        let files = self.torrent.file_list().iter().map(|(file, _)| file);
        let mut layers = files.filter_map(|file| Some((file, self.torrent.layer(file)?)));
        let bare = self.bare();
        let given = bare.given.with_layers(layers.next().into_iter(), Lanes::PORTABLE);
        Bundle { given: Arc::new(given), ..bare }
    }

    /// The same for an engine that knows these of its names, as of a magnet.
    pub(crate) fn named(&self, names: InfoHashes) -> Bundle {
        let given = Torrent::nameless(names, None, self.torrent.trackers());
        Bundle { given: Arc::new(given), magnet: Some(Box::default()), ..self.clone() }
    }

    /// Whether an engine that is given it may have to wait for hashes before it can verify a piece.
    pub(crate) fn lacks_roots(&self) -> bool {
        self.given.info_hashes().v1().is_none() && self.given.missing_layers().next().is_some()
    }

    /// The answer of a peer that has all of the bundle to a hash request (BEP 52).
    pub(crate) fn hashes(&self, request: &HashRequest) -> Option<Vec<Sha256>> {
        let file = self.torrent.file_with_root(&request.root)?;
        let file = self.torrent.files().get(file.as_usize())?;
        let start = file.offset() as usize;
        let bytes = self.bytes.get(start..start + file.length() as usize)?;
        let mut layer: Vec<Sha256> = bytes.chunks(16_384).map(Sha256::of).collect();
        let height = merkle::height(layer.len());
        for level in 0..request.base {
            let pairs = layer.chunks(2);
            let right = |pair: &[Sha256]| pair.get(1).copied().unwrap_or(merkle::pad(level));
            layer = pairs.map(|pair| merkle::parent(pair[0], right(pair))).collect();
        }
        let HashRequest { base, index, length, proof_layers, .. } = *request;
        merkle::prove(&layer, height, HashRange { base, index, length, proof_layers })
    }

    /// Whether this is one of its names.
    pub(crate) fn is_called(&self, name: &Sha1) -> bool {
        self.torrent.info_hashes().swarms().any(|own| own == *name)
    }

    pub(crate) fn info_hash(&self) -> Sha1 {
        self.torrent.info_hash()
    }

    pub(crate) fn piece_count(&self) -> u32 {
        self.torrent.piece_count()
    }

    /// The bytes of a part of a piece; `None` outside.
    pub(crate) fn part(&self, piece: u32, begin: u32, length: u32) -> Option<&[u8]> {
        let piece = self.torrent.layout().piece(piece).ok()?;
        let start = self.torrent.layout().offset(piece) + u64::from(begin);
        let inside = u64::from(begin) + u64::from(length)
            <= u64::from(self.torrent.layout().piece_len(piece));
        let range = start as usize..start as usize + length as usize;
        if inside { self.bytes.get(range) } else { None }
    }

    /// `(piece, begin, length)` of every block, in order.
    pub(crate) fn blocks(&self, pieces: Range<u32>) -> Vec<(u32, u32, u32)> {
        let layout = self.torrent.layout();
        let known = pieces.filter_map(|raw| layout.piece(raw).ok());
        let blocks = known.flat_map(|piece| {
            (0..layout.block_count(piece)).map(move |block| {
                let block = crate::base::ids::BlockIndex(block);
                let (begin, length) = layout.block_range(piece, block);
                (piece.as_u32(), begin, length)
            })
        });
        blocks.collect()
    }
}

fn part<'a>(layout: &Layout, bytes: &'a [u8], piece: PieceIndex, len: u32) -> &'a [u8] {
    let start = layout.offset(piece) as usize;
    bytes.get(start..start + len as usize).unwrap_or_default()
}

/// SHA-1 of each piece.
fn hashes(layout: &Layout, bytes: &[u8]) -> Vec<Sha1> {
    let hash = |piece| Sha1::of(part(layout, bytes, piece, layout.piece_len(piece)));
    layout.pieces().map(hash).collect()
}

/// The root of each piece; means something where every file begins a piece.
fn roots(layout: &Layout, files: &FileList, bytes: &[u8]) -> Vec<Sha256> {
    let root = |piece| {
        let first = files.spans(layout.offset(piece), 1).next().expect("a piece has a file");
        let file = files.get(first.file).expect("a span names a file");
        let piece_len = u64::from(layout.piece_len_max());
        let left = (file.length() - first.offset).min(piece_len) as u32;
        let leaves = part(layout, bytes, piece, left).chunks(16_384).map(Sha256::of);
        let width = file.length().min(piece_len).div_ceil(16_384).next_power_of_two();
        merkle::root(&leaves.collect::<Vec<_>>(), width as u32)
    };
    layout.pieces().map(root).collect()
}

/// The bytes of all files in a row; those of pads are zeros.
fn random_bytes(seed: u64, files: &FileList) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    let words = (0..files.total().div_ceil(8)).flat_map(|_| rng.next_u64().to_le_bytes());
    let mut bytes: Vec<u8> = words.take(files.total() as usize).collect();
    for pad in files.entries().iter().filter(|entry| entry.is_pad()) {
        bytes[pad.offset() as usize..(pad.offset() + pad.length()) as usize].fill(0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_a_bundle_are_its_bytes() {
        let bundle = Bundle::directory(7, &[10_000, 0, 60_001]);
        let whole: Vec<u8> = bundle
            .blocks(0..bundle.piece_count())
            .iter()
            .flat_map(|(piece, begin, length)| {
                bundle.part(*piece, *begin, *length).unwrap().to_vec()
            })
            .collect();
        assert_eq!(whole, &bundle.bytes[..]);
        assert_eq!(bundle.bytes.len(), 70_001);
        assert_eq!(bundle.part(2, 0, 16_384), None, "the last piece is short");
        assert_ne!(Bundle::single(1, 99).bytes, Bundle::single(2, 99).bytes);
    }
}
