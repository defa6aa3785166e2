//! Torrents of every maker in every reader: equal info hashes, and data that `verify` finds good.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use serde_json::Value;

use crate::case::Kind;
use crate::case::Kind::Hybrid;
use crate::case::Kind::V1;
use crate::case::Kind::V2;
use crate::libtorrent::Hashes;
use crate::payload::Payload;
use crate::payload::Shape;
use crate::tools;

/// A program that makes .torrent files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Maker {
    Ours,
    Lt20,
    Lt21,
    Mktorrent,
    TransmissionCreate,
    Torf,
    Torrentfile,
}

/// One .torrent: who makes it, of what.
pub(crate) struct Format {
    /// What the filter matches and the report prints.
    pub(crate) name: String,
    maker: Maker,
    kind: Kind,
    shape: Shape,
}

/// Each maker with each kind that it knows, of one file and of many.
pub(crate) fn formats() -> Vec<Format> {
    let all = [V1, V2, Hybrid];
    let makers: &[(Maker, &str, &[Kind])] = &[
        (Maker::Ours, "coreswarm", &all),
        (Maker::Lt20, "libtorrent-2.0", &all),
        (Maker::Lt21, "libtorrent-2.1", &all),
        (Maker::Mktorrent, "mktorrent", &[V1]),
        (Maker::TransmissionCreate, "transmission-create", &[V1]),
        (Maker::Torf, "torf", &[V1]),
        (Maker::Torrentfile, "torrentfile", &all),
    ];
    let mut formats = Vec::new();
    for (maker, program, kinds) in makers {
        for kind in *kinds {
            for shape in [Shape::Single, Shape::Multi] {
                let name = format!("formats/{program}/{}/{}", kind.name(), shape.name());
                formats.push(Format { name, maker: *maker, kind: *kind, shape });
            }
        }
    }
    formats
}

/// Makes the torrent, reads it with everybody who can, verifies its data.
pub(crate) fn run(number: usize, format: &Format) -> Result<()> {
    let work =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop").join(format.name.replace('/', "_"));
    if work.exists() {
        fs::remove_dir_all(&work)?;
    }
    let data = work.join("data");
    fs::create_dir_all(&data)?;
    let payload = Payload { shape: format.shape, number: number as u64 };
    payload.write(&data)?;
    let torrent = work.join("made.torrent");
    format.make(&data, payload.name(), &torrent)?;
    format.read(&torrent)?;
    let verified = said(Command::new(tools::coreswarm()).arg("verify").args([&torrent, &data]))?;
    if format.has_bad_end() {
        let expected = "corrupt:    1 of 65 pieces: 64\n";
        ensure!(words(&verified).contains(expected), "coreswarm verify: {}", words(&verified));
    } else {
        ensure!(verified.status.success(), "coreswarm verify: {}", words(&verified));
    }
    fs::remove_dir_all(&work)?;
    Ok(())
}

impl Format {
    fn make(&self, data: &Path, name: &str, out: &Path) -> Result<()> {
        let path = data.join(name);
        let length = self.shape.piece_length();
        let exponent = length.trailing_zeros().to_string();
        let (length, kilobytes) = (length.to_string(), (length / 1024).to_string());
        let kind = self.kind.name();
        let mut command = match self.maker {
            Maker::Ours => {
                let version = format!("--{kind}");
                let options = ["create", &version, "--piece-length", &length, "-o"];
                words_of(tools::coreswarm(), &options, [out, &path])
            }
            Maker::Lt20 | Maker::Lt21 => {
                let python = match self.maker {
                    Maker::Lt20 => tools::python_lt20(),
                    _ => tools::python_lt21(),
                };
                let mut command = Command::new(python);
                command.arg(tools::script("lt_peer.py")).arg("make").arg(data).arg(name).arg(out);
                command.args([length.as_str(), kind]);
                command
            }
            Maker::Mktorrent => words_of("mktorrent", &["-l", &exponent, "-o"], [out, &path]),
            Maker::TransmissionCreate => {
                words_of("transmission-create", &["-s", &kilobytes, "-o"], [out, &path])
            }
            Maker::Torf => {
                let script = tools::script("torf_make.py");
                let script = script.to_str().context("the repository's path is UTF-8")?;
                words_of(tools::maker("python"), &[script, &length], [out, &path])
            }
            Maker::Torrentfile => {
                let version = match self.kind {
                    V1 => "1",
                    V2 => "2",
                    Hybrid => "3",
                };
                let options = ["-q", "create", "--meta-version", version, "--prog", "0"];
                let options = [&options[..], &["--piece-length", &exponent, "-o"]].concat();
                words_of(tools::maker("torrentfile"), &options, [out, &path])
            }
        };
        let made = said(&mut command)?;
        ensure!(
            made.status.success() && out.exists(),
            "{:?} made none: {}",
            self.maker,
            words(&made)
        );
        Ok(())
    }

    /// torrentfile 0.9 takes a hybrid's last v1 hash over zeros that no pad file stands for, when
    /// there is one file: nobody's data matches that.
    fn has_bad_end(&self) -> bool {
        let what = (self.maker, self.kind, self.shape);
        what == (Maker::Torrentfile, Hybrid, Shape::Single)
    }

    /// Ours and both libtorrents agree about all of it, the others about what they know.
    fn read(&self, torrent: &Path) -> Result<()> {
        let ours = ours(torrent)?;
        let has = (ours.v1.is_some(), ours.v2.is_some());
        ensure!(has == (self.kind != V2, self.kind != V1), "coreswarm read {ours:?}");
        for (name, python) in [("2.0", tools::python_lt20()), ("2.1", tools::python_lt21())] {
            let theirs = libtorrent(python, torrent)?;
            // torrentfile writes a `length` of v1 into v2 torrents of one file, where libtorrent
            // names a v1 hash, too; without hashes of pieces there is nothing to name.
            let has_v1 = self.kind != V2 || self.maker != Maker::Torrentfile;
            let is_equal = theirs.v2 == ours.v2 && (theirs.v1 == ours.v1 || !has_v1);
            ensure!(is_equal, "libtorrent {name} read {theirs:?}, coreswarm {ours:?}");
        }
        // transmission 3.00 takes no hybrids, and aria2 1.36 hashes their `info` wrong, whoever
        // makes them.
        let Some(v1) = ours.v1.filter(|_| self.kind == V1) else { return Ok(()) };
        let transmission = said(Command::new("transmission-show").arg(torrent))?;
        ensure!(words(&transmission).contains(&v1), "not {v1}: {}", words(&transmission));
        let aria2 = said(Command::new("aria2c").arg("--show-files").arg(torrent))?;
        ensure!(words(&aria2).contains(&v1), "expected {v1}: {}", words(&aria2));
        Ok(())
    }
}

fn ours(torrent: &Path) -> Result<Hashes> {
    let shown = said(Command::new(tools::coreswarm()).args(["show", "--json"]).arg(torrent))?;
    ensure!(shown.status.success(), "coreswarm show: {}", words(&shown));
    let shown: Value = serde_json::from_slice(&shown.stdout)?;
    Ok(hashes(&shown, "info_hash_v1", "info_hash_v2"))
}

fn libtorrent(python: PathBuf, torrent: &Path) -> Result<Hashes> {
    let script = tools::script("lt_peer.py");
    let shown = said(Command::new(python).arg(script).arg("hashes").arg(torrent))?;
    ensure!(shown.status.success(), "lt_peer.py hashes: {}", words(&shown));
    Ok(hashes(&serde_json::from_slice(&shown.stdout)?, "v1", "v2"))
}

fn hashes(shown: &Value, v1: &str, v2: &str) -> Hashes {
    let hash = |name| shown.get(name).and_then(Value::as_str).map(str::to_owned);
    Hashes { v1: hash(v1), v2: hash(v2) }
}

/// A command that takes its output and its input last.
fn words_of(program: impl AsRef<OsStr>, options: &[&str], paths: [&Path; 2]) -> Command {
    let mut command = Command::new(program);
    command.args(options).args(paths);
    command
}

fn said(command: &mut Command) -> Result<Output> {
    command.output().with_context(|| format!("starting {:?}", command.get_program()))
}

fn words(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}", text(&output.stdout), text(&output.stderr))
}
