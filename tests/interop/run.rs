//! Plays one case: makes its payload, starts its programs, waits, compares.

use std::fs;
use std::net::Ipv4Addr;
use std::net::SocketAddrV4;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use anyhow::anyhow;
use anyhow::ensure;

use crate::aria2;
use crate::case::Case;
use crate::case::Link;
use crate::case::Meet;
use crate::case::Plot;
use crate::coreswarm;
use crate::engine::Engine;
use crate::engine::Peer;
use crate::engine::Role;
use crate::libtorrent;
use crate::libtorrent::Hashes;
use crate::namespace;
use crate::payload::Payload;
use crate::program::Deadline;
use crate::tracker::HttpsTracker;
use crate::tracker::OpenTracker;

/// What a restarted case's seed may send per second, so that half-way can be hit.
const RESTART_RATE: u64 = 12 * 1024 * 1024;

/// Runs one case in a folder of its own, which stays when it fails. `number` picks its addresses.
pub(crate) fn run(number: usize, case: &Case) -> Result<()> {
    let work =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop").join(case.name.replace('/', "_"));
    if work.exists() {
        fs::remove_dir_all(&work)?;
    }
    fs::create_dir_all(&work)?;
    let mut stage = Stage::build(number, case, &work)?;
    let result = match case.plot {
        Plot::Straight => stage.play_straight(),
        Plot::Restart => stage.play_restart(),
    };
    let result = result.map_err(|error| anyhow!("{error:#}\n{}", stage.report()));
    drop(stage);
    if result.is_ok() {
        fs::remove_dir_all(&work)?;
    }
    result
}

/// Everything of one running case.
struct Stage<'a> {
    case: &'a Case,
    work: PathBuf,
    deadline: Deadline,
    payload: Payload,
    hashes: Hashes,
    /// The seed's first, then the leeches'.
    addresses: Vec<Ipv4Addr>,
    open_tracker: Option<OpenTracker>,
    https_tracker: Option<HttpsTracker>,
    seed: Option<Peer>,
    leeches: Vec<Peer>,
}

impl<'a> Stage<'a> {
    fn build(number: usize, case: &'a Case, work: &Path) -> Result<Self> {
        let deadline = Deadline::after(case.deadline);
        let payload = Payload { shape: case.shape, number: number as u64 };
        let original = work.join("seed");
        payload.write(&original)?;
        let bare = work.join("bare.torrent");
        let hashes = libtorrent::make(payload, case.kind, &original, &bare)?;
        let hosts = 0..=case.leeches.len();
        let addresses =
            hosts.map(|host| namespace::address(number, host)).collect::<Result<_>>()?;
        let mut stage = Self {
            case,
            work: work.to_owned(),
            deadline,
            payload,
            hashes,
            addresses,
            open_tracker: None,
            https_tracker: None,
            seed: None,
            leeches: Vec::new(),
        };
        stage.start_tracker()?;
        Ok(stage)
    }

    fn start_tracker(&mut self) -> Result<()> {
        match self.case.meet {
            Meet::HttpTracker | Meet::UdpTracker => {
                let tracker = OpenTracker::start(
                    &self.work,
                    namespace::tracker(self.addresses[0]),
                    &self.hashes.swarms(),
                    self.deadline,
                )?;
                self.open_tracker = Some(tracker);
            }
            Meet::HttpsTracker => {
                let at = namespace::tracker(self.addresses[1]);
                let tracker = HttpsTracker::start(&self.work, at, self.listen(0), self.deadline)?;
                self.https_tracker = Some(tracker);
            }
            Meet::LeechDials | Meet::SeedDials => {}
        }
        Ok(())
    }

    /// The seed, then its leeches; every leech finishes; every byte is compared.
    fn play_straight(&mut self) -> Result<()> {
        // A dialling seed starts last, so that nothing depends on how soon it tries again.
        if self.case.meet != Meet::SeedDials {
            self.start_seed()?;
        }
        for host in 1..=self.case.leeches.len() {
            let role = self.leech_role(host)?;
            self.leeches.push(Peer::start(role)?);
            self.leeches[host - 1].wait_ready(self.deadline)?;
        }
        if self.case.meet == Meet::SeedDials {
            self.start_seed()?;
        }
        for leech in &mut self.leeches {
            leech.wait_finished(self.deadline)?;
        }
        if let Some(tracker) = &mut self.https_tracker {
            ensure!(tracker.was_asked()?, "nobody announced to the HTTPS tracker");
        }
        self.close()
    }

    /// SIGTERM at half, start again, end identical, without fetching the first half twice.
    fn play_restart(&mut self) -> Result<()> {
        self.start_seed()?;
        let role = self.leech_role(1)?;
        self.leeches.push(Peer::start(role.clone())?);
        self.leeches[0].wait_ready(self.deadline)?;
        let half = self.payload.size() / 2;
        let seed = &mut self.seed.as_mut().context("started above")?.program;
        self.deadline.wait("half of the payload to be sent", || {
            Ok(libtorrent::uploaded(seed)?.filter(|sent| *sent >= half))
        })?;
        coreswarm::stop(&mut self.leeches[0].program)?;
        ensure!(
            self.payload.compare(&role.data, false).is_err(),
            "everything was there before the restart: the case proves nothing"
        );
        let first_log = fs::read_to_string(role.work.join("log"))?;
        fs::write(role.work.join("log of the first run"), first_log)?;
        self.leeches.clear();
        self.leeches.push(Peer::start(role)?);
        self.leeches[0].wait_finished(self.deadline)?;
        let sent = libtorrent::uploaded(&mut self.seed.as_mut().context("seed")?.program)?;
        // What was on its way at the end of the first run is sent twice: a window of some 4 MB, and
        // up to sixteen pieces that waited to be hashed together. From the start again would be
        // half the payload more.
        let most = self.payload.size() + self.payload.size() * 7 / 16;
        let sent = sent.context("the seed counts what it sends")?;
        ensure!(sent <= most, "expected at most {most} bytes over both runs, got {sent}");
        self.close()
    }

    fn start_seed(&mut self) -> Result<()> {
        let mut seed = Peer::start(self.seed_role()?)?;
        let ready = seed.wait_ready(self.deadline);
        self.seed = Some(seed);
        ready?;
        if let Some(tracker) = &self.open_tracker {
            // Who asks before the seed is known would wait for the next interval.
            tracker.wait_peers(1, self.deadline)?;
        }
        Ok(())
    }

    fn seed_role(&self) -> Result<Role> {
        let mut role = self.role(0, self.case.seed)?;
        role.data = self.work.join("seed");
        role.is_seed = true;
        role.stays = true;
        if self.case.meet == Meet::SeedDials {
            role.dial = vec![self.listen(1)];
        }
        if self.case.plot == Plot::Restart {
            role.upload_limit = Some(RESTART_RATE);
        }
        Ok(role)
    }

    fn leech_role(&self, host: usize) -> Result<Role> {
        let (engine, link) = self.case.leeches[host - 1];
        let mut role = self.role(host, engine)?;
        role.magnet = self.magnet(host, link);
        role.stays = self.case.leeches.len() > 1;
        if self.case.meet == Meet::LeechDials {
            role.dial = vec![self.listen(0)];
        }
        role.tracker_ca = self.https_tracker.as_ref().map(|tracker| tracker.authority.clone());
        fs::create_dir_all(&role.data)?;
        Ok(role)
    }

    fn role(&self, host: usize, engine: Engine) -> Result<Role> {
        let work = self.work.join(format!("{host}-{}", engine.name()));
        fs::create_dir_all(&work)?;
        let torrent = work.join("case.torrent");
        fs::write(&torrent, self.torrent(host)?)?;
        Ok(Role {
            engine,
            is_seed: false,
            stays: false,
            data: work.join("data"),
            torrent,
            magnet: None,
            listen: self.listen(host),
            dial: Vec::new(),
            work,
            upload_limit: None,
            tracker_ca: None,
        })
    }

    /// The tracker's address differs from host to host: it is the host's own.
    fn tracker(&self, host: usize) -> Option<String> {
        let scheme = match self.case.meet {
            Meet::HttpTracker => "http",
            Meet::UdpTracker => "udp",
            Meet::HttpsTracker if host > 0 => "https",
            Meet::HttpsTracker | Meet::LeechDials | Meet::SeedDials => return None,
        };
        Some(format!("{scheme}://{}/announce", namespace::tracker(self.addresses[host])))
    }

    fn magnet(&self, host: usize, link: Link) -> Option<String> {
        let magnet = self.hashes.magnet(link)?;
        Some(match self.tracker(host) {
            Some(url) => format!("{magnet}&tr={}", url.replace(':', "%3A").replace('/', "%2F")),
            None => magnet,
        })
    }

    /// The .torrent of one host.
    fn torrent(&self, host: usize) -> Result<Vec<u8>> {
        let bare = fs::read(self.work.join("bare.torrent"))?;
        let Some(url) = self.tracker(host) else { return Ok(bare) };
        // `announce` sorts before every other key, so it goes right behind the first byte.
        let mut torrent = format!("d8:announce{}:{url}", url.len()).into_bytes();
        torrent.extend_from_slice(bare.get(1..).context("a .torrent is a dictionary")?);
        Ok(torrent)
    }

    fn listen(&self, host: usize) -> SocketAddrV4 {
        namespace::listen(self.addresses[host])
    }

    /// Ends in good order those for whom it matters and compares what everyone has.
    fn close(&mut self) -> Result<()> {
        for peer in self.leeches.iter_mut().chain(&mut self.seed) {
            match peer.role.engine {
                Engine::Ours | Engine::OursTwoShards if peer.role.stays => {
                    coreswarm::stop(&mut peer.program)?;
                }
                Engine::Aria2 if peer.role.stays => aria2::stop(&mut peer.program)?,
                _ => {}
            }
        }
        for peer in self.leeches.iter().chain(&self.seed) {
            // transmission 3 does not create empty files.
            let engine = peer.role.engine;
            let is_transmission =
                matches!(engine, Engine::Transmission | Engine::TransmissionEncrypts);
            let lenient = is_transmission && !peer.role.is_seed;
            let compared = self.payload.compare(&peer.role.data, lenient);
            compared.with_context(|| format!("comparing {}", peer.role.name()))?;
        }
        Ok(())
    }

    /// The last words of everyone.
    fn report(&self) -> String {
        let programs = self.leeches.iter().chain(&self.seed).map(|peer| &peer.program);
        let trackers = self.open_tracker.iter().map(|tracker| &tracker.program);
        let tls = self.https_tracker.iter().map(|tracker| &tracker.program);
        let tails: Vec<String> = programs.chain(trackers).chain(tls).map(|p| p.tail()).collect();
        tails.join("\n")
    }
}
