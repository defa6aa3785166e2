//! The two floors joined: what comes out is what went in.

use std::fs;
use std::fs::File;
use std::net::TcpListener;
use std::net::TcpStream;
use std::ops::ControlFlow;
use std::thread;

use anyhow::Result;
use anyhow::anyhow;
use anyhow::ensure;
use coreswarm::Creator;
use coreswarm::TorrentVersion;

use crate::leecher;
use crate::leecher::Hashing;
use crate::leecher::Writing;
use crate::seeder;
use crate::seeder::Source;
use crate::torrent::Torrent;
use crate::wire::BLOCK;

/// Seven pieces of four blocks, and two blocks, the last one short.
const SIZE: usize = 7 * 65536 + 16384 + 5000;

/// Moves a small torrent by every way, over three connections each.
pub(crate) fn run() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    let data: Vec<u8> = (0..SIZE).map(|at| (at * 31 + at / 4093) as u8).collect();
    fs::write(&from, &data)?;
    let creator = Creator::new(&from, [""; 0])?;
    let maker = creator.maker().version(TorrentVersion::V1).with_piece_length(65536);
    let bytes = creator.run(&maker, |_| ControlFlow::Continue(()))?;
    let torrent = Torrent::of(&coreswarm::Torrent::parse(&bytes)?)?;
    let sources = [Source::Buffer, Source::Mapping, Source::Splice];
    let writings = [Writing::Ring, Writing::Call, Writing::Ring];
    for (source, writing) in sources.into_iter().zip(writings) {
        fs::write(&to, vec![b'x'; SIZE])?;
        let target = File::options().write(true).open(&to)?;
        fetch(&torrent, &File::open(&from)?, &target, source, writing)?;
        ensure!(fs::read(&to)? == data, "what came is not what was sent");
    }
    Ok(())
}

fn fetch(
    torrent: &Torrent,
    from: &File,
    to: &File,
    source: Source,
    writing: Writing,
) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let sent = thread::scope(|scope| {
        let plan = seeder::Plan { source, blocks: 3 };
        let seeding = scope.spawn(move || seeder::run(&plan, torrent, from, listener));
        let sockets = (0..3).map(|_| TcpStream::connect(address)).collect::<Result<_, _>>()?;
        let plan = leecher::Plan { hashing: Hashing::Lanes, writing, depth: 4 };
        let wrong = leecher::run(&plan, torrent, to, None, sockets)?;
        ensure!(wrong == 0, "{wrong} pieces did not have their hash");
        seeding.join().map_err(|_| anyhow!("the seeder panicked"))?
    })?;
    let blocks = torrent.size.div_ceil(BLOCK.into());
    ensure!(sent == torrent.size + 13 * blocks, "sent {sent} bytes for {}", torrent.size);
    Ok(())
}
