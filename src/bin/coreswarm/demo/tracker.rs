//! A tiny HTTP tracker on loopback, for the demo alone: one thread, one request per connection.

use std::collections::BTreeSet;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::SocketAddrV4;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

/// Bytes of a request: an announce has some 400.
const REQUEST_LEN_MAX: usize = 8 * 1024;
/// A client that is slower than this is no client of the demo.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Runs until it is dropped.
pub(crate) struct Tracker {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Tracker {
    #[expect(clippy::disallowed_methods, reason = "the demo's tracker is no part of the engine")]
    pub(crate) fn start() -> io::Result<Tracker> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("demo-tracker".to_owned())
            .spawn(move || serve(&listener, &flag))?;
        Ok(Tracker { address, stop, thread: Some(thread) })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/announce", self.address)
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes the thread out of its accept.
        drop(TcpStream::connect_timeout(&self.address, TIMEOUT));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(listener: &TcpListener, stop: &AtomicBool) {
    let mut peers = BTreeSet::new();
    for stream in listener.incoming() {
        if stop.load(Ordering::Acquire) {
            return;
        }
        // A client that fails harms only itself.
        let _ = stream.and_then(|stream| answer(stream, &mut peers));
    }
}

fn answer(mut stream: TcpStream, peers: &mut BTreeSet<SocketAddrV4>) -> io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let request = read_request(&mut stream)?;
    let from = stream.peer_addr()?.ip();
    let body = announce(&request, from, peers);
    let status = if body.is_some() { "200 OK" } else { "400 Bad Request" };
    let body = body.unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)
}

/// Up to the empty line; a body would be ignored.
fn read_request(stream: &mut impl Read) -> io::Result<String> {
    let mut request = Vec::new();
    let mut chunk = [0; 1024];
    while !request.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        let count = stream.read(&mut chunk)?;
        if count == 0 || request.len() + count > REQUEST_LEN_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        request.extend_from_slice(&chunk[..count]);
    }
    Ok(String::from_utf8_lossy(&request).into_owned())
}

/// One torrent, compact answers (BEP 23); `None` if it is no announce.
fn announce(request: &str, from: IpAddr, peers: &mut BTreeSet<SocketAddrV4>) -> Option<Vec<u8>> {
    let query = request.strip_prefix("GET /announce?")?.split(' ').next()?;
    let value =
        |key: &str| query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
    let port: u16 = value("port")?.parse().ok()?;
    let IpAddr::V4(ip) = from else { return None };
    let address = SocketAddrV4::new(ip, port);
    peers.remove(&address);
    let mut compact = Vec::new();
    for peer in peers.iter() {
        compact.extend_from_slice(&peer.ip().octets());
        compact.extend_from_slice(&peer.port().to_be_bytes());
    }
    if value("event") != Some("stopped") {
        peers.insert(address);
    }
    let mut body = format!("d8:intervali60e5:peers{}:", compact.len()).into_bytes();
    body.extend_from_slice(&compact);
    body.push(b'e');
    Some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_learn_of_each_other_until_they_stop() {
        let from = IpAddr::from([127, 0, 0, 1]);
        let mut peers = BTreeSet::new();
        let mut ask = |query: &str| {
            let request = format!("GET /announce?info_hash=x&{query} HTTP/1.1\r\n\r\n");
            announce(&request, from, &mut peers).map(|body| body.escape_ascii().to_string())
        };
        let none = "d8:intervali60e5:peers0:e";
        assert_eq!(ask("port=258&event=started").as_deref(), Some(none));
        let one = "d8:intervali60e5:peers6:\\x7f\\x00\\x00\\x01\\x01\\x02e";
        assert_eq!(ask("port=772").as_deref(), Some(one));
        assert_eq!(ask("port=258&event=stopped").map(|body| body.len()), Some(one.len()));
        assert_eq!(ask("port=772").as_deref(), Some(none));
        assert_eq!(ask("port=x"), None);
    }

    #[test]
    fn it_answers_over_http_and_ends_when_dropped() {
        let tracker = Tracker::start().unwrap();
        let mut stream = TcpStream::connect(tracker.address).unwrap();
        stream.write_all(b"GET /announce?port=1 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        let address = tracker.address;
        drop(tracker);
        assert!(TcpStream::connect(address).is_err());
    }
}
