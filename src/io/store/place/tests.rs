//! Places on a real file system: what is made, what is left alone, what is refused.

use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::symlink;

use super::*;
use crate::base::digest::Sha1;
use crate::content::make::TorrentMaker;

/// A directory with files of odd sizes, an empty one among them.
fn torrent() -> Arc<Torrent> {
    let files = [("a/one", 20_000), ("a/b/two", 5), ("empty", 0), ("three", 1)];
    let maker = TorrentMaker::directory("t");
    let maker =
        files.iter().fold(maker, |maker, (path, length)| maker.file(path.split('/'), *length));
    Arc::new(Torrent::parse(&maker.finish(&[Sha1::of(b""); 2]).unwrap()).unwrap())
}

const ALL: [FileIndex; 4] = [FileIndex(0), FileIndex(1), FileIndex(2), FileIndex(3)];

fn place(directory: &Path, allocation: Allocation) -> Place {
    let write_mode = WriteMode::Cached;
    Place { torrent: torrent(), directory: directory.into(), allocation, write_mode }
}

fn names(seen: &[FileSeen]) -> Vec<Name> {
    seen.iter().map(|seen| Name::of(*seen)).collect()
}

#[test]
fn looking_creates_nothing_and_creating_makes_parts_of_full_size() {
    let dir = tempfile::tempdir().unwrap();
    for (at, allocation) in [Allocation::Full, Allocation::Sparse].into_iter().enumerate() {
        let root = dir.path().join(at.to_string());
        let place = place(&root, allocation);
        let seen = place.look().unwrap();
        assert_eq!(seen, [FileSeen::Missing; 4]);
        assert!(!root.exists());
        place.create(&ALL, &names(&seen)).unwrap();
        let seen = place.look().unwrap();
        let part = |length| FileSeen::Part { length };
        assert_eq!(seen, [part(20_000), part(5), FileSeen::Final { length: 0 }, part(1)]);
        let blocks = fs::metadata(root.join("t/a/one.part")).unwrap().blocks();
        assert_eq!(blocks > 0, allocation == Allocation::Full);
    }
}

#[test]
fn parts_of_an_earlier_run_get_their_size_and_keep_their_bytes() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("t/a/b")).unwrap();
    fs::write(dir.path().join("t/a/one.part"), b"old").unwrap();
    fs::write(dir.path().join("t/a/b/two.part"), b"too long").unwrap();
    let place = place(dir.path(), Allocation::Full);
    let seen = place.look().unwrap();
    assert_eq!(seen[..2], [FileSeen::Part { length: 3 }, FileSeen::Part { length: 8 }]);
    place.create(&ALL, &names(&seen)).unwrap();
    let bytes = fs::read(dir.path().join("t/a/one.part")).unwrap();
    assert!(bytes.len() == 20_000 && bytes.starts_with(b"old\0"));
    assert_eq!(fs::read(dir.path().join("t/a/b/two.part")).unwrap(), b"too l");
}

#[test]
fn a_finished_file_never_replaces_a_foreign_one() {
    let dir = tempfile::tempdir().unwrap();
    let place = place(dir.path(), Allocation::Sparse);
    place.create(&ALL, &[Name::None; 4]).unwrap();
    let (one, two) = (FileIndex(0), FileIndex(1));
    fs::write(dir.path().join("t/a/one"), b"foreign").unwrap();
    let error = place.finish(one).unwrap_err();
    assert_eq!((error.operation, error.file.as_str()), (StorageOperation::Rename, "t/a/one"));
    assert!(error.errno == Some(libc::EEXIST) && error.message.contains("move it away"));
    assert_eq!(fs::read(dir.path().join("t/a/one")).unwrap(), b"foreign");
    assert!(dir.path().join("t/a/one.part").exists());
    place.finish(two).unwrap();
    assert!(dir.path().join("t/a/b/two").exists() && !dir.path().join("t/a/b/two.part").exists());
    assert_eq!(place.finish(two).unwrap_err().errno, Some(libc::ENOENT));
}

#[test]
fn of_two_files_the_complete_one_counts_only_at_its_full_size() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("t")).unwrap();
    fs::write(dir.path().join("t/three.part"), b"").unwrap();
    fs::write(dir.path().join("t/three"), b"x").unwrap();
    let place = place(dir.path(), Allocation::Full);
    assert_eq!(place.look().unwrap()[3], FileSeen::Final { length: 1 });
    fs::write(dir.path().join("t/three"), b"foreign").unwrap();
    assert_eq!(place.look().unwrap()[3], FileSeen::Part { length: 0 });
}

#[test]
fn symbolic_links_lead_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("t")).unwrap();
    symlink(outside.path(), dir.path().join("t/a")).unwrap();
    let linked = place(dir.path(), Allocation::Full);
    assert_eq!(linked.look().unwrap_err().errno, Some(libc::ELOOP));
    assert_eq!(linked.create(&ALL, &[Name::None; 4]).unwrap_err().errno, Some(libc::ELOOP));
    assert_eq!(
        linked.open(Spot::File(FileIndex(0)), Name::Part, Access::Read).err().unwrap().errno,
        Some(libc::ELOOP)
    );
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);

    let other = tempfile::tempdir().unwrap();
    fs::create_dir_all(other.path().join("t/a")).unwrap();
    fs::write(outside.path().join("secret"), b"secret").unwrap();
    symlink(outside.path().join("secret"), other.path().join("t/a/one")).unwrap();
    let linked = place(other.path(), Allocation::Full);
    assert!(linked.open(Spot::File(FileIndex(0)), Name::Final, Access::Read).is_err());
}

#[test]
fn devices_and_directories_are_not_payload() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("t/three")).unwrap();
    let error = place(dir.path(), Allocation::Full).look().unwrap_err();
    assert!(error.message.contains("got something else") && error.file == "t/three");
}

#[test]
fn more_than_the_device_holds_is_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let maker = TorrentMaker::single("huge", 1 << 46).with_piece_length(1 << 28);
    let torrent = Torrent::parse(&maker.finish(&vec![Sha1::of(b""); 1 << 18]).unwrap()).unwrap();
    let directory = dir.path().to_owned();
    let allocation = Allocation::Full;
    let (torrent, directory) = (Arc::new(torrent), directory.into());
    let place = Place { torrent, directory, allocation, write_mode: WriteMode::Cached };
    let error = place.create(&ALL[..1], &[Name::None]).unwrap_err();
    assert!(error.errno == Some(libc::ENOSPC) && error.message.contains("free space"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
