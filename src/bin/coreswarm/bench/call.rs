//! A connection that wants nothing but to be greeted.

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Instant;

use anyhow::Result;

use crate::bench::poller;
use crate::bench::poller::Poller;
use crate::bench::poller::unless_blocked;
use crate::bench::wire;
use crate::bench::wire::HANDSHAKE;

/// One read; what follows a handshake is short as long as nobody asks for anything.
const READ: usize = 4096;

/// How far a call is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Progress {
    /// Connecting, or waiting for their handshake.
    Waiting,
    /// Both handshakes have passed.
    Greeted,
    /// Refused, closed, or not BitTorrent for this torrent.
    Closed,
}

/// One call to an engine.
pub(crate) struct Call {
    stream: TcpStream,
    pub(crate) began: Instant,
    hello: [u8; HANDSHAKE],
    sent: usize,
    theirs: [u8; HANDSHAKE],
    received: usize,
    progress: Progress,
}

impl Call {
    /// Begins to connect, and is watched by `poller` under `token`.
    pub(crate) fn begin(
        to: SocketAddr,
        info_hash: &[u8; 20],
        number: usize,
        (poller, token): (&Poller, usize),
        now: Instant,
    ) -> Result<Call> {
        let stream = poller::begin_connect(to, number)?;
        poller.add(&stream, token)?;
        Ok(Call {
            stream,
            began: now,
            hello: wire::handshake(info_hash, number),
            sent: 0,
            theirs: [0; HANDSHAKE],
            received: 0,
            progress: Progress::Waiting,
        })
    }

    pub(crate) fn progress(&self) -> Progress {
        self.progress
    }

    /// Something happened to the socket: greets, reads what came.
    pub(crate) fn handle_ready(&mut self) -> Progress {
        if self.progress != Progress::Closed && self.turn().is_none() {
            self.progress = Progress::Closed;
        }
        self.progress
    }

    /// `None` when the call is over.
    fn turn(&mut self) -> Option<()> {
        if self.sent < HANDSHAKE {
            let count = unless_blocked(self.stream.write(&self.hello[self.sent..])).ok()?;
            self.sent += count.unwrap_or(0);
        }
        loop {
            let mut buffer = [0; READ];
            match unless_blocked(self.stream.read(&mut buffer)).ok()? {
                Some(0) => return None,
                Some(count) => {
                    self.take(&buffer[..count])?;
                    if count < READ {
                        return Some(());
                    }
                }
                None => return Some(()),
            }
        }
    }

    /// `None` when it is not the handshake that was waited for.
    fn take(&mut self, bytes: &[u8]) -> Option<()> {
        let count = bytes.len().min(HANDSHAKE - self.received);
        self.theirs[self.received..][..count].copy_from_slice(&bytes[..count]);
        self.received += count;
        if self.received == HANDSHAKE && self.progress == Progress::Waiting {
            let ours = wire::info_hash_of(&self.hello);
            if wire::info_hash_of(&self.theirs) != ours {
                return None;
            }
            self.progress = Progress::Greeted;
        }
        Some(())
    }

    /// Tells that we are still there (BEP 3: peers may be dropped after two minutes of silence).
    pub(crate) fn keep_alive(&mut self) {
        if unless_blocked(self.stream.write(&[0; 4])).is_err() {
            self.progress = Progress::Closed;
        }
    }

    /// Ends without a goodbye.
    pub(crate) fn reset(self) {
        poller::reset(self.stream);
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;
    use crate::clock::now;

    /// What a call comes to when it is answered with these bytes; then the caller resets.
    fn answered(bytes: &[u8]) -> Progress {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let mut poller = Poller::new().unwrap();
        let mut call = Call::begin(to, &[7; 20], 5, (&poller, 0), now()).unwrap();
        let (mut stream, from) = listener.accept().unwrap();
        assert_eq!(from.ip().to_string(), "127.1.0.6");
        stream.write_all(bytes).unwrap();
        let until = now() + Duration::from_secs(10);
        let mut heard = [0; HANDSHAKE];
        while call.progress() == Progress::Waiting && now() < until {
            let count = poller.wait(Duration::from_millis(10)).unwrap().count();
            for _ in 0..count {
                call.handle_ready();
            }
        }
        stream.read_exact(&mut heard).unwrap();
        assert_eq!(wire::info_hash_of(&heard), Some([7; 20]));
        let progress = call.progress();
        call.reset();
        assert!(stream.read(&mut heard).is_err(), "a reset, not an end");
        progress
    }

    #[test]
    fn a_call_is_greeted_by_a_handshake_for_its_torrent_alone() {
        assert_eq!(answered(&wire::handshake(&[7; 20], 1)), Progress::Greeted);
        assert_eq!(answered(&wire::handshake(&[8; 20], 1)), Progress::Closed);
        assert_eq!(answered(&[b'x'; HANDSHAKE]), Progress::Closed);
    }
}
