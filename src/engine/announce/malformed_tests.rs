//! Tracker answers that are wrong in every way we could think of, through the whole announcer.

use std::time::Duration;

use crate::base::digest::Sha1;
use crate::base::info_hashes::InfoHashes;
use crate::base::instant::Instant;
use crate::base::limits::TRACKER_BODY_INFLATED_MAX;
use crate::base::rng::Rng;
use crate::base::status::TrackerErrorClass;
use crate::engine::announce::Announcer;
use crate::engine::announce::ask::Facts;
use crate::engine::announce::event::AnnounceEvent;
use crate::engine::to_ring::HttpAnswer;

const FACTS: Facts = Facts {
    peer_id: *b"-CS0100-abcdefghijkl",
    port: 6881,
    ip: None,
    uploaded: 0,
    downloaded: 0,
    left: 1,
    is_partial_seed: false,
    numwant: 50,
};

/// What an answer comes to: the class of the failure, or how many peers.
fn outcome(status: u16, body: &[u8]) -> Result<u32, TrackerErrorClass> {
    let (now, mut rng) = (Instant::from_millis(1), Rng::new(1));
    let tiers = [vec!["http://t.org/announce".to_owned()]];
    let mut announcer = Announcer::new(InfoHashes::from_v1(Sha1([7; 20])), &tiers, &mut rng);
    announcer.start(now);
    announcer.handle_timeout(now, &FACTS, &mut rng);
    let Some(AnnounceEvent::Http { token, .. }) = announcer.poll_event() else { panic!() };
    let answer = Ok(HttpAnswer { status, body: body.to_vec() });
    announcer.handle_http(now, token, answer, &mut rng);
    let mut peer_count = None;
    let mut error_count = 0;
    while let Some(event) = announcer.poll_event() {
        match event {
            AnnounceEvent::Announced { peer_count: count, .. } => peer_count = Some(count),
            AnnounceEvent::Error { message, .. } => {
                assert!(message.len() <= 1200 && !message.contains(char::is_control));
                error_count += 1;
            }
            _ => {}
        }
    }
    let error = announcer.status(now)[0].error.as_ref().map(|(class, _)| *class);
    // Whatever it was, another announce follows, neither at once nor never.
    let next = announcer.poll_timeout().map(|at| at.since(now)).unwrap();
    assert!(next >= Duration::from_secs(5) && next <= Duration::from_secs(25 * 3600), "{next:?}");
    match (peer_count, error) {
        (Some(count), None) => Ok(count),
        (None, Some(class)) if error_count == 1 => Err(class),
        other => panic!("neither success nor failure: {other:?}"),
    }
}

#[test]
fn every_malformed_answer_has_its_class_and_none_stops_the_announcer() {
    use TrackerErrorClass::Http;
    use TrackerErrorClass::Parse;
    use TrackerErrorClass::Tracker;
    let deep = [vec![b'l'; 5_000], vec![b'e'; 5_000]].concat();
    let huge = vec![b'x'; TRACKER_BODY_INFLATED_MAX + 1];
    let long = [b"d14:failure reason5000:".to_vec(), vec![0x1b; 5_000], b"e".to_vec()].concat();
    let many = [b"d5:peers60000:".to_vec(), vec![1; 60_000], b"e".to_vec()].concat();
    let rows: Vec<(u16, &[u8], Result<u32, TrackerErrorClass>)> = vec![
        // Not bencode, or not all of it.
        (200, b"", Err(Parse)),
        (200, b"<html><body>busy</body></html>", Err(Parse)),
        (200, b"d", Err(Parse)),
        (200, b"d5:peers6:123e", Err(Parse)),
        (200, b"d5:peers99999999999999999999:e", Err(Parse)),
        (200, b"d8:intervali1800", Err(Parse)),
        (200, b"d8:intervali18x0ee", Err(Parse)),
        (200, b"d8:intervali99999999999999999999999ee", Err(Parse)),
        (200, b"di1e5:peerse", Err(Parse)),
        (200, b"\xff\xfe\x00", Err(Parse)),
        (200, &deep, Err(Parse)),
        (200, &huge, Err(Parse)),
        // Not a dictionary.
        (200, b"le", Err(Parse)),
        (200, b"i1e", Err(Parse)),
        (200, b"4:spam", Err(Parse)),
        // Peers of the wrong type or length.
        (200, b"d5:peersi1ee", Err(Parse)),
        (200, b"d5:peersdee", Err(Parse)),
        (200, b"d5:peers5:12345e", Err(Parse)),
        (200, b"d6:peers617:12345678901234567e", Err(Parse)),
        (200, b"d6:peers6lee", Err(Parse)),
        // Refusals, whatever the status; a reason of the wrong type is none.
        (200, b"d14:failure reason3:bade", Err(Tracker)),
        (403, b"d14:failure reason3:bade", Err(Tracker)),
        (200, b"d14:failure reason0:e", Err(Tracker)),
        (200, &long, Err(Tracker)),
        (200, b"d14:failure reasoni1ee", Err(Parse)),
        (200, b"d14:failure reason3:bad8:retry in4:soone", Err(Tracker)),
        // HTTP's own.
        (404, b"nothing here", Err(Http)),
        (500, b"", Err(Http)),
        (503, b"d8:intervali1800e5:peers0:e", Err(Http)),
        (304, b"", Err(Http)),
        (0, b"", Err(Http)),
        // Odd, and yet understood.
        (200, b"de", Ok(0)),
        (200, b"d8:interval3:abc5:peers0:e", Ok(0)),
        (200, b"d8:intervali-1e12:min intervali-1e5:peers0:e", Ok(0)),
        (200, b"d8:intervali9223372036854775807e5:peers0:e", Ok(0)),
        (200, b"d5:peersld2:ip7:1.2.3.44:porti1eed2:ip3:x.y4:porti1eei5eee", Ok(1)),
        (200, b"d5:peersld2:ip7:1.2.3.44:porti70000eeee", Ok(0)),
        (200, b"d5:peers12:\x01\x02\x03\x04\x00\x00\x01\x02\x03\x04\x00\x01e", Ok(1)),
        (200, b"d11:external ip3:abc5:peers0:e", Ok(0)),
        (200, b"d5:peers0:15:warning messagei1ee", Ok(0)),
        (200, b"d5:peers0:etrailing", Ok(0)),
        (200, &many, Ok(2_000)),
    ];
    for (status, body, expected) in rows {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]);
        assert_eq!(outcome(status, body), expected, "status {status}, body {shown}");
    }
}

#[test]
fn an_answer_cut_anywhere_never_panics() {
    let mut whole = b"d8:completei5e8:intervali1800e5:peers6:".to_vec();
    whole.extend_from_slice(&[1, 2, 3, 4, 0x1a, 0xe1]);
    whole.extend_from_slice(b"10:tracker id2:ide");
    assert_eq!(outcome(200, &whole), Ok(1));
    for length in 0..whole.len() {
        assert_eq!(outcome(200, &whole[..length]), Err(TrackerErrorClass::Parse), "{length} bytes");
    }
}

#[test]
fn an_answer_with_one_byte_changed_never_panics() {
    let whole = b"d8:completei5e8:intervali1800e5:peers6:abcdef10:tracker id2:ide";
    for at in 0..whole.len() {
        for byte in [0, b'0', b'9', b':', b'd', b'e', b'i', b'l', b'-', 0xff] {
            let mut body = whole.to_vec();
            body[at] = byte;
            let outcome = outcome(200, &body);
            assert!(matches!(outcome, Ok(0..=1) | Err(TrackerErrorClass::Parse)), "{outcome:?}");
        }
    }
}
