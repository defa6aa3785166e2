//! Trackers: opentracker (HTTP and UDP on one port), and a small one of ours over HTTPS.

use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::SocketAddrV4;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;

use crate::program::Deadline;
use crate::program::Program;
use crate::tools;

/// A running opentracker that knows one torrent, by each of its names.
pub(crate) struct OpenTracker {
    pub(crate) program: Program,
    info_hash: [u8; 20],
    address: SocketAddrV4,
    _whitelist: tempfile::TempDir,
}

impl OpenTracker {
    /// Starts one on every address, with the port of `address`: given six addresses it stops to
    /// answer. Debian builds it with a whitelist.
    pub(crate) fn start(
        work: &Path,
        address: SocketAddrV4,
        info_hashes: &[String],
        deadline: Deadline,
    ) -> Result<Self> {
        // Not below `work`: it runs as `nobody`, who may not reach the repository.
        let folder = tempfile::tempdir()?;
        let whitelist = folder.path().join("whitelist");
        fs::write(&whitelist, info_hashes.join("\n") + "\n")?;
        let info_hash = info_hashes.first().context("a torrent has a name")?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        fs::set_permissions(&whitelist, fs::Permissions::from_mode(0o644))?;
        let log = work.join("opentracker.log");
        let mut program =
            Program::start_unprivileged("opentracker", log, "opentracker", |command| {
                let port = address.port().to_string();
                command.args(["-p", &port, "-P", &port]);
                command.arg("-w").arg(&whitelist).current_dir(folder.path());
            })?;
        program.wait_listening(deadline, address)?;
        Ok(Self { program, info_hash: bytes(info_hash)?, address, _whitelist: folder })
    }

    /// Waits until `count` peers have announced themselves.
    pub(crate) fn wait_peers(&self, count: usize, deadline: Deadline) -> Result<()> {
        let what = format!("{count} announces");
        deadline.wait(&what, || Ok((self.peer_count()? >= count).then_some(())))
    }

    /// Complete and incomplete peers, by a scrape.
    fn peer_count(&self) -> Result<usize> {
        let hash: String = self.info_hash.iter().map(|byte| format!("%{byte:02x}")).collect();
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        write!(stream, "GET /scrape?info_hash={hash} HTTP/1.0\r\n\r\n")?;
        let mut answer = Vec::new();
        // Nothing in time is asked again, until the deadline.
        let _ = stream.read_to_end(&mut answer);
        let number = |key: &[u8]| {
            let at = answer.windows(key.len()).position(|window| window == key)? + key.len();
            let digits: Vec<u8> =
                answer[at..].iter().copied().take_while(u8::is_ascii_digit).collect();
            String::from_utf8(digits).ok()?.parse::<usize>().ok()
        };
        Ok(number(b"8:completei").unwrap_or(0) + number(b"10:incompletei").unwrap_or(0))
    }
}

/// A running HTTPS tracker that names one peer.
pub(crate) struct HttpsTracker {
    pub(crate) program: Program,
    /// The root certificate that vouches for it.
    pub(crate) authority: PathBuf,
}

impl HttpsTracker {
    /// Starts one at `address` with certificates made for it.
    pub(crate) fn start(
        work: &Path,
        address: SocketAddrV4,
        peer: SocketAddrV4,
        deadline: Deadline,
    ) -> Result<Self> {
        certificates(work, *address.ip())?;
        let log = work.join("https_tracker.log");
        let mut program = Program::start("HTTPS tracker", log, tools::python_lt21(), |command| {
            command.arg(tools::script("https_tracker.py")).arg(address.to_string());
            command.arg(work.join("leaf.pem")).arg(work.join("leaf.key")).arg(peer.to_string());
        })?;
        program.wait_listening(deadline, address)?;
        Ok(Self { program, authority: work.join("authority.pem") })
    }

    /// Whether somebody has announced.
    pub(crate) fn was_asked(&mut self) -> Result<bool> {
        Ok(self.program.look(|line| line.contains("\"announce\"").then_some(()))?.is_some())
    }
}

/// An authority and a leaf for `ip`, below `work`.
fn certificates(work: &Path, ip: Ipv4Addr) -> Result<()> {
    let extension = format!("subjectAltName=IP:{ip}");
    let request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30";
    openssl(
        work,
        request,
        &["-keyout", "authority.key", "-out", "authority.pem"],
        &["-subj", "/CN=coreswarm test authority"],
    )?;
    openssl(
        work,
        request,
        &["-keyout", "leaf.key", "-out", "leaf.pem"],
        &[
            "-subj",
            "/CN=tracker",
            "-addext",
            &extension,
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-CA",
            "authority.pem",
            "-CAkey",
            "authority.key",
        ],
    )
}

fn openssl(work: &Path, words: &str, files: &[&str], more: &[&str]) -> Result<()> {
    let mut command = Command::new("openssl");
    command.args(words.split(' ')).args(files).args(more).current_dir(work);
    let output = command.output()?;
    ensure!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn bytes(hex: &str) -> Result<[u8; 20]> {
    ensure!(hex.len() == 40 && hex.is_ascii(), "an info hash has 40 hex digits, got {hex:?}");
    let mut bytes = [0; 20];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * index..2 * index + 2], 16)?;
    }
    Ok(bytes)
}
