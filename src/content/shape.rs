//! From `info` to files, piece grid and roots: what stands where, for v1, v2 and hybrids.

use std::path::PathBuf;

use crate::base::ids::FileIndex;
use crate::base::limits::PIECE_LEN_MAX;
use crate::base::limits::PIECE_LEN_MIN;
use crate::codec::bencode::Value;
use crate::codec::meta_file::RawFile;
use crate::codec::meta_tree::TreeWalk;
use crate::codec::metainfo::Content;
use crate::codec::metainfo::Info;
use crate::codec::metainfo::InfoV1;
use crate::content::clean_path::PathSet;
use crate::content::clean_path::clean_element;
use crate::content::files::FileKind;
use crate::content::files::FileList;
use crate::content::files::Marks;
use crate::content::layout::Layout;
use crate::content::piece_roots::PieceRoots;
use crate::content::refusal::TorrentError;
use crate::content::same_files::SameFiles;
use crate::content::same_files::round_up;

/// Where a torrent's bytes are, and what its pieces' roots are.
#[derive(Clone, Default)]
pub(crate) struct Shape {
    pub(crate) layout: Layout,
    pub(crate) files: FileList,
    pub(crate) roots: PieceRoots,
}

/// Files, grid and roots of `info`, checked against each other; `name` is the clean one.
pub(crate) fn read(name: &str, info: &Info<'_>) -> Result<Shape, TorrentError> {
    let piece_len = read_piece_len(info)?;
    match (&info.v1, info.tree) {
        (Some(v1), tree) => read_v1(name, info.name, v1, tree, piece_len),
        (None, Some(tree)) => read_v2(name, info.name, tree, piece_len),
        (None, None) => Err(TorrentError::NoFiles),
    }
}

fn read_piece_len(info: &Info<'_>) -> Result<u32, TorrentError> {
    let (got, min, max) = (info.piece_length, PIECE_LEN_MIN, PIECE_LEN_MAX);
    let piece_len = u32::try_from(got).ok().filter(|len| (min..=max).contains(len));
    let piece_len = piece_len.ok_or(TorrentError::PieceLength { got, min, max })?;
    if info.tree.is_some() && !piece_len.is_power_of_two() {
        return Err(TorrentError::PieceLengthV2 { got });
    }
    Ok(piece_len)
}

/// A v1 torrent; with a tree, a hybrid, whose files are those of v1 with its pads.
fn read_v1<'a>(
    name: &str,
    raw_name: &'a [u8],
    v1: &InfoV1<'a>,
    tree: Option<Value<'a>>,
    piece_len: u32,
) -> Result<Shape, TorrentError> {
    let mut twins = tree.map(|tree| SameFiles::new(tree, piece_len));
    let mut list = Files::default();
    match &v1.content {
        Content::Single(file) => {
            if let Some(twins) = &mut twins {
                twins.check(list.next_index(), 0, file, std::iter::once(raw_name))?;
            }
            list.push(name.into(), file)?;
        }
        Content::Multi(entries) => {
            for entry in entries.clone() {
                let (file, path) = RawFile::read(entry)?;
                if let Some(twins) = twins.as_mut().filter(|_| !file.is_pad) {
                    twins.check(list.next_index(), list.files.total(), &file, path.clone())?;
                }
                list.place(Some(name), path, &file)?;
            }
        }
    }
    let files = list.finish()?;
    let layout = Layout::new(files.total(), piece_len)?;
    let got = v1.pieces.len() / 20;
    if got != layout.piece_count() as usize {
        return Err(TorrentError::HashCount { expected: layout.piece_count(), got });
    }
    let roots = match twins {
        Some(twins) => twins.finish(files.total())?,
        None => PieceRoots::default(),
    };
    Ok(Shape { layout, files, roots })
}

/// A torrent of v2 only: every file with bytes starts a piece, and a pad stands for the gap behind
/// each, so that the grid is a hybrid's. libtorrent counts the same gaps, the last one included.
fn read_v2(
    name: &str,
    raw_name: &[u8],
    tree: Value<'_>,
    piece_len: u32,
) -> Result<Shape, TorrentError> {
    let top = (!is_single(tree, raw_name)).then_some(name);
    let (mut list, mut roots) = (Files::default(), PieceRoots::new(piece_len));
    let mut tails = Vec::new();
    let mut walk = TreeWalk::new(tree);
    while let Some(file) = walk.next()? {
        let (index, start) = (list.next_index(), list.files.total());
        list.place(top, walk.path().iter().copied(), &file.raw)?;
        let Some(root) = file.root else { continue };
        roots.push(index, start / u64::from(piece_len), file.raw.length, root);
        let end = list.files.total();
        let gap = round_up(end, piece_len) - end;
        if gap > 0 {
            tails.push(((end / u64::from(piece_len)) as u32, piece_len - gap as u32));
            list.pad(top, gap)?;
        }
    }
    let files = list.finish()?;
    // Before the tails, whose piece numbers are only right in a grid that is not refused.
    let layout = Layout::new(files.total(), piece_len)?.with_tails(tails.into_iter());
    roots.sort();
    Ok(Shape { layout, files, roots })
}

/// One file that is called like the torrent stands by itself; any other below a directory.
fn is_single(tree: Value<'_>, raw_name: &[u8]) -> bool {
    let mut pairs = tree.as_dict().into_iter().flatten();
    let Some((name, node)) = pairs.next() else { return false };
    name == raw_name && pairs.next().is_none() && node.get(b"").is_some()
}

/// A file list under construction.
#[derive(Default)]
struct Files {
    files: FileList,
    places: PathSet,
}

impl Files {
    fn next_index(&self) -> FileIndex {
        FileIndex(self.files.entries().len() as u32)
    }

    /// Appends a file below the directory `top`, at a place of its own.
    fn place<'a>(
        &mut self,
        top: Option<&str>,
        path: impl Iterator<Item = &'a [u8]>,
        file: &RawFile<'a>,
    ) -> Result<(), TorrentError> {
        if file.is_pad {
            return self.pad(top, file.length);
        }
        let path = self.places.place(top, path)?;
        self.push(path, file)
    }

    /// Pads never reach the disk; all get the one conventional name, whatever the torrent calls
    /// them.
    fn pad(&mut self, top: Option<&str>, length: u64) -> Result<(), TorrentError> {
        let path: PathBuf = top.into_iter().chain([".pad", &length.to_string()]).collect();
        self.files.push(path, length, FileKind::Pad).ok_or(TorrentError::TotalTooLarge)?;
        Ok(())
    }

    fn push(&mut self, path: PathBuf, file: &RawFile<'_>) -> Result<(), TorrentError> {
        let kind = if file.is_symlink { FileKind::Symlink } else { FileKind::Data };
        let target = file.target().map(|target| target.map(clean_element).collect::<PathBuf>());
        let marks = Marks {
            is_executable: file.is_executable,
            is_hidden: file.is_hidden,
            target: target.map(PathBuf::into_boxed_path),
        };
        let pushed = self.files.push_marked(path, file.length, kind, marks);
        pushed.ok_or(TorrentError::TotalTooLarge)?;
        Ok(())
    }

    fn finish(mut self) -> Result<FileList, TorrentError> {
        if self.files.entries().is_empty() {
            return Err(TorrentError::NoFiles);
        }
        self.files.shrink();
        Ok(self.files)
    }
}
