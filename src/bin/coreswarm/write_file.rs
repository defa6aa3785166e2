//! Writing a file so that a reader, a crash or a full disk finds the old one or the new one whole.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::ErrorKind;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process;

use anyhow::Context;

/// Names tried for the file beside the target; each taken one is left over from a crash.
const NAME_MAX: u32 = 100;

/// Replaces the file at `path`, or makes it: into a file beside it, synced, then renamed. An
/// existing file keeps its permissions; a symbolic link stays one.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    // What a link leads to is written, not the link.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let written = write_beside(&target, bytes);
    written.with_context(|| format!("cannot write {path:?}; choose another place"))
}

fn write_beside(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let (mut file, beside) = create_beside(target)?;
    let filled = fill(&mut file, target, bytes).and_then(|()| fs::rename(&beside, target));
    if filled.is_err() {
        // The first error counts; what is left over has a name that says so.
        let _ = fs::remove_file(&beside);
    }
    filled?;
    // The name is safe only when its directory is.
    File::open(directory_of(target))?.sync_all()
}

fn fill(file: &mut File, target: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::metadata(target) {
        Ok(old) => file.set_permissions(old.permissions())?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    file.write_all(bytes)?;
    file.sync_all()
}

fn create_beside(target: &Path) -> io::Result<(File, PathBuf)> {
    let name = target.file_name().ok_or(ErrorKind::IsADirectory)?.to_string_lossy();
    // Names have at most 255 bytes.
    let name: String = name.chars().take(50).collect();
    let mut result = Err(io::Error::from(ErrorKind::AlreadyExists));
    for number in 0..NAME_MAX {
        let beside = format!(".{name}.{}-{number}.tmp", process::id());
        let beside = directory_of(target).join(beside);
        result = OpenOptions::new().write(true).create_new(true).open(&beside);
        match result {
            Ok(file) => return Ok((file, beside)),
            Err(ref error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    result.map(|file| (file, PathBuf::new()))
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_with_its_permissions_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write_file(&path, b"one").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let link = dir.path().join("link");
        symlink("file", &link).unwrap();
        write_file(&link, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_cannot_be_written_is_an_error_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().join("no/such"), dir.path().to_owned(), "/".into()] {
            let error = write_file(&path, b"x").unwrap_err();
            assert!(error.to_string().contains("cannot write"), "{error}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
