//! The pool against small servers on loopback, each of which misbehaves in its own way.
#![expect(clippy::disallowed_methods, reason = "servers of these tests are threads")]

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crossbeam::channel::bounded;

use crate::base::limits::TRACKER_BODY_MAX;
use crate::base::status::TrackerErrorClass;
use crate::engine::to_ring::HttpAnswer;
use crate::engine::to_ring::QueryError;
use crate::io::trackers::Answer;
use crate::io::trackers::Full;
use crate::io::trackers::HttpPool;
use crate::io::trackers::Job;
use crate::io::trackers::PoolConfig;
use crate::io::trackers::torrent_url::FetchError;
use crate::io::trackers::torrent_url::FetchTorrent;

const LONG: Duration = Duration::from_secs(20);

/// Serves every connection with `serve`, which gets the request line and headers of one request.
fn server(serve: impl Fn(&mut TcpStream, &str) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            while let Some(request) = read_request(&mut stream) {
                serve(&mut stream, &request);
            }
        }
    });
    address
}

fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => seen.push(byte[0]),
            _ => return None,
        }
    }
    String::from_utf8(seen).ok()
}

fn respond(stream: &mut TcpStream, head: &str, body: &[u8]) {
    let length = body.len();
    let head = format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\n\r\n");
    // The client may have had enough.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

fn pool() -> HttpPool {
    HttpPool::start(&PoolConfig::default()).unwrap()
}

fn get(pool: &HttpPool, url: &str, timeout: Duration) -> Result<HttpAnswer, QueryError> {
    match ask(pool, Job::Http { url: url.to_owned(), timeout }) {
        Answer::Http(answer) => answer,
        Answer::Resolved(_) => panic!("an answer of the wrong kind"),
    }
}

fn ask(pool: &HttpPool, job: Job) -> Answer {
    let (sender, receiver) = bounded(1);
    pool.submit(job, Box::new(move |answer| sender.send(answer).unwrap())).unwrap();
    receiver.recv_timeout(LONG).expect("an answer comes")
}

fn class(url: &str) -> TrackerErrorClass {
    let error = get(&pool(), url, LONG).expect_err("the request fails");
    assert!(!error.message.contains("secret"), "{}", error.message);
    error.class
}

/// So many zeros, squeezed a thousandfold.
fn gzip_zeros(megabytes: usize) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let megabyte = vec![0; 1024 * 1024];
    for _ in 0..megabytes {
        encoder.write_all(&megabyte).unwrap();
    }
    encoder.finish().unwrap()
}

#[test]
fn an_answer_has_status_and_body_whatever_the_status() {
    let address = server(|stream, request| match request.contains("GET /ok?x=%01 ") {
        true => respond(stream, "200 OK", b"de"),
        false => respond(stream, "404 Not Found", b"nothing"),
    });
    let pool = pool();
    let answer = get(&pool, &format!("http://{address}/ok?x=%01"), LONG).unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"de".as_slice()));
    let answer = get(&pool, &format!("http://{address}/other"), LONG).unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (404, b"nothing".as_slice()));
}

#[test]
fn the_user_agent_is_ours_and_the_connection_is_kept_alive() {
    let (sender, receiver) = bounded(10);
    let address = server(move |stream, request| {
        sender.send((stream.peer_addr().unwrap(), request.to_ascii_lowercase())).unwrap();
        respond(stream, "200 OK", b"de");
    });
    let pool = pool();
    let url = format!("http://{address}/");
    get(&pool, &url, LONG).unwrap();
    get(&pool, &url, LONG).unwrap();
    let (first, second) = (receiver.recv().unwrap(), receiver.recv().unwrap());
    assert!(first.1.contains("user-agent: coreswarm/"), "{}", first.1);
    assert_eq!(first.0, second.0);
}

#[test]
fn redirects_are_followed_up_to_the_limit() {
    let address = server(|stream, request| {
        let hops: u32 = request[5..].split(' ').next().unwrap().parse().unwrap();
        match hops {
            0 => respond(stream, "200 OK", b"de"),
            hops => respond(stream, &format!("302 Found\r\nLocation: /{}", hops - 1), b""),
        }
    });
    assert_eq!(get(&pool(), &format!("http://{address}/5"), LONG).unwrap().status, 200);
    assert_eq!(class(&format!("http://{address}/6")), TrackerErrorClass::Http);
}

#[test]
fn a_body_above_the_limit_is_refused_on_the_wire_and_inflated() {
    let plain = server(|stream, _| respond(stream, "200 OK", &vec![b'x'; TRACKER_BODY_MAX + 1]));
    assert_eq!(class(&format!("http://{plain}/secret")), TrackerErrorClass::Parse);
    let full = server(|stream, _| respond(stream, "200 OK", &vec![b'x'; TRACKER_BODY_MAX]));
    assert!(get(&pool(), &format!("http://{full}/"), LONG).is_ok());
    let bomb = gzip_zeros(100);
    assert!(bomb.len() < TRACKER_BODY_MAX);
    let squeezed =
        server(move |stream, _| respond(stream, "200 OK\r\nContent-Encoding: gzip", &bomb));
    assert_eq!(class(&format!("http://{squeezed}/secret")), TrackerErrorClass::Parse);
}

#[test]
fn a_squeezed_answer_is_inflated() {
    let body = gzip_zeros(1);
    let address =
        server(move |stream, _| respond(stream, "200 OK\r\nContent-Encoding: gzip", &body));
    let answer = get(&pool(), &format!("http://{address}/"), LONG).unwrap();
    assert_eq!(answer.body.len(), 1024 * 1024);
}

#[test]
fn a_server_that_dribbles_hits_the_total_deadline() {
    let (_hold, held) = bounded::<()>(0);
    let address = server(move |stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            let _ = held.recv_timeout(Duration::from_millis(50));
        }
    });
    let url = format!("http://{address}/");
    let error = get(&pool(), &url, Duration::from_millis(400)).unwrap_err();
    assert_eq!(error.class, TrackerErrorClass::Timeout);
}

#[test]
fn each_failure_has_its_class() {
    let unused = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = unused.local_addr().unwrap();
    drop(unused);
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let not_tls = plain.local_addr().unwrap();
    thread::spawn(move || {
        for stream in plain.incoming() {
            let _ = stream.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let nonsense = server(|stream, _| {
        let _ = stream.write_all(b"220 mail.example.org ESMTP\r\n\r\n");
    });
    let rows = [
        (format!("http://{closed}/secret"), TrackerErrorClass::Connect),
        (format!("https://{not_tls}/secret"), TrackerErrorClass::Tls),
        (format!("http://{nonsense}/secret"), TrackerErrorClass::Parse),
        ("http://nonexistent.invalid/secret".to_owned(), TrackerErrorClass::Dns),
        ("http://secret host/".to_owned(), TrackerErrorClass::Parse),
    ];
    for (url, expected) in rows {
        assert_eq!(class(&url), expected, "{url}");
    }
}

#[test]
fn a_global_host_never_leads_home_even_by_redirect() {
    use crate::io::trackers::guard::Reach;
    let rows = [
        ("127.0.0.1:80", false, true),
        ("192.168.0.1:80", false, true),
        ("169.254.169.254:80", false, true),
        ("[::1]:80", false, true),
        ("1.1.1.1:80", true, true),
        ("0.0.0.0:80", false, false),
    ];
    for (address, global, anywhere) in rows {
        let address = address.parse().unwrap();
        assert_eq!(Reach::Global.allows(address), global, "{address}");
        assert_eq!(Reach::Anywhere.allows(address), anywhere, "{address}");
    }
}

#[test]
fn names_are_resolved_or_fail_as_dns() {
    let resolve = |host: &str| match ask(&pool(), Job::Resolve { host: host.to_owned(), port: 80 })
    {
        Answer::Resolved(answer) => answer,
        Answer::Http(_) => panic!("an answer of the wrong kind"),
    };
    assert_eq!(resolve("127.0.0.2"), Ok(vec!["127.0.0.2:80".parse().unwrap()]));
    let error = resolve("nonexistent.invalid").unwrap_err();
    assert_eq!(error.class, TrackerErrorClass::Dns);
}

#[test]
fn a_full_queue_refuses_and_a_shut_pool_answers_what_waits() {
    let (release, held) = bounded::<()>(0);
    let (arrived, taken_up) = bounded(10);
    let address = server(move |stream, _| {
        arrived.send(()).unwrap();
        let _ = held.recv_timeout(LONG);
        respond(stream, "200 OK", b"de");
    });
    let config = PoolConfig { thread_count_max: 1, queue_max: 1, ..PoolConfig::default() };
    let pool = HttpPool::start(&config).unwrap();
    let (sender, answers) = bounded(10);
    let job = || Job::Http { url: format!("http://{address}/"), timeout: LONG };
    let submit = || {
        let sender = sender.clone();
        pool.submit(job(), Box::new(move |answer| sender.send(answer).unwrap()))
    };
    submit().unwrap();
    taken_up.recv_timeout(LONG).unwrap();
    // The only thread is busy, one job waits, and there is no room for another.
    assert_eq!((submit(), submit()), (Ok(()), Err(Full)));
    assert!(!pool.shutdown(Duration::from_millis(50)));
    assert_eq!(submit(), Err(Full));
    drop(release);
    assert!(pool.shutdown(LONG));
    let mut ended: Vec<bool> =
        answers.try_iter().map(|answer| matches!(answer, Answer::Http(Ok(_)))).collect();
    ended.sort_unstable();
    assert_eq!(ended, [false, true]);
}

#[test]
fn a_panic_in_the_reply_leaves_the_thread_alive() {
    let config = PoolConfig { thread_count_max: 1, ..PoolConfig::default() };
    let pool = HttpPool::start(&config).unwrap();
    let job = || Job::Resolve { host: "127.0.0.1".to_owned(), port: 1 };
    pool.submit(job(), Box::new(|_| panic!("the test's own"))).unwrap();
    assert!(matches!(ask(&pool, job()), Answer::Resolved(Ok(_))));
    assert!(pool.shutdown(LONG));
}

#[test]
fn a_torrent_is_fetched_whatever_way_it_goes_and_refused_with_a_reason() {
    let address = server(|stream, request| match request.split(' ').nth(1).unwrap() {
        "/found" => respond(stream, "200 OK", b"d4:infodee"),
        "/moved" => respond(stream, "302 Found\r\nLocation: /found", b""),
        "/circle" => respond(stream, "302 Found\r\nLocation: /circle", b""),
        "/large" => respond(stream, "200 OK", &[b'x'; 1001]),
        _ => respond(stream, "403 Forbidden", b"<html>"),
    });
    let fetch =
        |path: &str| FetchTorrent::new(format!("http://{address}{path}")).len_max(1000).fetch();
    assert_eq!(fetch("/found").unwrap(), b"d4:infodee");
    assert_eq!(fetch("/moved").unwrap(), b"d4:infodee");
    let reason = |path: &str| fetch(path).unwrap_err().to_string();
    let of_a_key = "/download?passkey=secret";
    assert!(reason(of_a_key).contains("200 from http://") && reason(of_a_key).contains("403"));
    assert!(!reason(of_a_key).contains("secret"));
    assert!(reason("/circle").contains("at most 5 redirects"), "{}", reason("/circle"));
    assert!(reason("/large").contains("at most 1000 bytes"), "{}", reason("/large"));
    let wrong = FetchTorrent::new("ftp://me:secret@host/x").fetch().unwrap_err().to_string();
    assert!(wrong.contains("http:// or https://, got `ftp://host/x`"), "{wrong}");
    let roots = FetchTorrent::new("https://host/").tracker_ca("/nowhere").fetch();
    assert!(matches!(roots, Err(FetchError::Roots { .. })), "{roots:?}");
}

#[test]
fn a_password_goes_to_the_server_that_it_is_for_and_not_on() {
    let (sender, seen) = bounded(10);
    let other = sender.clone();
    let target = server(move |stream, request| {
        other.send(request.to_ascii_lowercase()).unwrap();
        respond(stream, "200 OK", b"de");
    });
    let address = server(move |stream, request| {
        sender.send(request.to_ascii_lowercase()).unwrap();
        respond(stream, &format!("302 Found\r\nLocation: http://{target}/x"), b"");
    });
    let url = format!("http://me:secret@{address}/");
    assert_eq!(FetchTorrent::new(url).fetch().unwrap(), b"de");
    let (first, second) = (seen.recv().unwrap(), seen.recv().unwrap());
    assert!(first.contains("\r\nauthorization: basic "), "{first}");
    assert!(!second.contains("authorization") && !second.contains("secret"), "{second}");
}
