//! Where the programs are; a missing one is an error with its remedy, never a skipped case.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use anyhow::bail;

/// Programs from Debian, with their packages.
const PROGRAMS: &[(&str, &str)] = &[
    ("transmission-daemon", "transmission-daemon"),
    ("transmission-create", "transmission-cli"),
    ("transmission-show", "transmission-cli"),
    ("mktorrent", "mktorrent"),
    ("aria2c", "aria2"),
    ("opentracker", "opentracker"),
    ("openssl", "openssl"),
    ("ip", "iproute2"),
    ("setpriv", "util-linux"),
    ("unshare", "util-linux"),
];

/// Python environments with libtorrent, relative to the repository, with their versions.
const ENVIRONMENTS: &[(&str, &str)] =
    &[(".check/venv-lt20", "2.0.15"), (".check/venv-lt21", "2.1.1")];

/// Makers of .torrent files from PyPI, with their versions.
const MAKERS: &[(&str, &str)] = &[("torf", "4.3.0"), ("torrentfile", "0.9.2")];

/// The binary under test: `CORESWARM_BIN`, or the one that cargo built with these tests.
pub(crate) fn coreswarm() -> PathBuf {
    std::env::var_os("CORESWARM_BIN")
        .map_or_else(|| env!("CARGO_BIN_EXE_coreswarm").into(), PathBuf::from)
}

/// The Python that has libtorrent 2.0.
pub(crate) fn python_lt20() -> PathBuf {
    repository().join(".check/venv-lt20/bin/python")
}

/// The Python that has libtorrent 2.1.
pub(crate) fn python_lt21() -> PathBuf {
    repository().join(".check/venv-lt21/bin/python")
}

/// A program of the Python environment whose programs make .torrent files.
pub(crate) fn maker(program: &str) -> PathBuf {
    repository().join(".check/venv-makers/bin").join(program)
}

/// A script of this folder.
pub(crate) fn script(name: &str) -> PathBuf {
    repository().join("tests/interop").join(name)
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Fails with every missing tool and what installs it.
pub(crate) fn check() -> Result<()> {
    let mut missing = Vec::new();
    for (program, package) in PROGRAMS {
        if !is_in_path(program) {
            missing.push(format!("{program}: apt-get install {package}"));
        }
    }
    for (environment, version) in ENVIRONMENTS {
        let python = repository().join(environment).join("bin/python");
        let print = "import libtorrent; print(libtorrent.__version__)";
        let output = Command::new(&python).args(["-c", print]).output();
        let got = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
        if !got.unwrap_or_default().starts_with(version) {
            missing.push(format!(
                "libtorrent {version}: python3 -m venv {environment} && \
                 {environment}/bin/pip install libtorrent=={version}"
            ));
        }
    }
    for (package, version) in MAKERS {
        let print = format!("from importlib.metadata import version; print(version('{package}'))");
        let output = Command::new(maker("python")).args(["-c", &print]).output();
        let got = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
        if got.unwrap_or_default().trim_end() != *version {
            missing.push(format!(
                "{package} {version}: python3 -m venv .check/venv-makers && \
                 .check/venv-makers/bin/pip install {package}=={version}"
            ));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    bail!("the interop tests need programs that are missing:\n  {}", missing.join("\n  "))
}

fn is_in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
