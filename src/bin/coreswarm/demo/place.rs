//! A temporary directory with room for what a command makes, gone when it is over.

use std::env;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::process;

use anyhow::Context;
use anyhow::bail;

use crate::units::bytes;

/// A directory of our own; dropping it deletes it with all that is in it.
pub(crate) struct Place {
    path: PathBuf,
}

impl Place {
    /// Below `wanted`, or below the first usual place with room for `needed` bytes.
    pub(crate) fn make(wanted: Option<&Path>, needed: u64) -> anyhow::Result<Place> {
        let usual = [env::temp_dir(), PathBuf::from("/var/tmp"), PathBuf::from(".")];
        let candidates = wanted.map_or(usual.to_vec(), |path| vec![path.to_owned()]);
        let mut seen = Vec::new();
        for base in &candidates {
            match free_bytes(base) {
                Ok(free) if free >= needed => return Place::make_below(base),
                Ok(free) => seen.push(format!("{} in {base:?}", bytes(free))),
                Err(error) => seen.push(format!("{base:?}: {error}")),
            }
        }
        bail!(
            "expected {} of free space, got {}; name another place with --directory, or a smaller \
             --size",
            bytes(needed),
            seen.join(", ")
        )
    }

    fn make_below(base: &Path) -> anyhow::Result<Place> {
        let path = base.join(format!("coreswarm-{}", process::id()));
        // Not `create_dir_all`: a directory that somebody else made is not ours to delete.
        fs::create_dir(&path).with_context(|| format!("cannot make {path:?}"))?;
        Ok(Place { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("coreswarm: cannot delete {:?} ({error}); delete it by hand", self.path);
        }
    }
}

fn free_bytes(path: &Path) -> io::Result<u64> {
    let figures = rustix::fs::statvfs(path)?;
    Ok(figures.f_bavail.saturating_mul(figures.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_gone_with_its_content_and_a_full_disk_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::make(Some(dir.path()), 1).unwrap();
        fs::write(place.path().join("x"), "x").unwrap();
        let path = place.path().to_owned();
        drop(place);
        assert!(!path.exists());
        let error = Place::make(Some(dir.path()), u64::MAX).err().unwrap().to_string();
        assert!(error.contains("--directory"), "{error}");
    }
}
