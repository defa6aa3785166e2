//! How a tracker's answer is understood: codec faults and refusals become failures with a class
//! (G7).

use crate::base::digest::Sha1;
use crate::base::status::TrackerErrorClass;
use crate::codec::announce::AnnounceReply;
use crate::codec::announce::Answer;
use crate::codec::announce::ScrapeCounts;
use crate::codec::tracker_http::TrackerFault;
use crate::codec::tracker_http::decode_announce;
use crate::codec::tracker_http::decode_scrape;
use crate::codec::tracker_udp::Family;
use crate::codec::tracker_udp::UdpReply;
use crate::codec::tracker_udp::UdpRequest;
use crate::engine::announce::ask::Failure;
use crate::engine::announce::event::UdpAnswer;
use crate::engine::announce::event::UdpAsk;
use crate::engine::announce::event::UdpWhat;
use crate::engine::to_ring::HttpAnswer;

/// The answer to an HTTP announce. A `failure reason` counts whatever the status: some trackers
/// send it with 4xx.
pub(crate) fn read_http(answer: &HttpAnswer) -> Result<AnnounceReply, Failure> {
    read(answer, decode_announce(&answer.body))
}

/// The counts of one swarm; a tracker that leaves it out knows nothing of it.
pub(crate) fn read_http_scrape(
    answer: &HttpAnswer,
    info_hash: Sha1,
) -> Result<ScrapeCounts, Failure> {
    let swarms = read(answer, decode_scrape(&answer.body))?;
    let ours = swarms.into_iter().find(|(hash, _)| *hash == info_hash);
    let missing = || Failure::new(TrackerErrorClass::Parse, "our swarm is not in it".to_owned());
    ours.map(|(_, counts)| counts).ok_or_else(missing)
}

/// The datagram that asks; `connection` is the id that the tracker gave us.
pub(crate) fn udp_ask(transaction: u32, connection: u64, ask: &UdpAsk) -> Vec<u8> {
    let request = match &ask.what {
        UdpWhat::Announce(request) => UdpRequest::Announce {
            connection,
            request: request.clone(),
            url: ask.url_data.clone().into_bytes(),
        },
        UdpWhat::Scrape(info_hash) => UdpRequest::Scrape { connection, hashes: vec![*info_hash] },
    };
    request.encode(transaction)
}

/// The transaction of any answer: its second word (BEP 15).
pub(crate) fn udp_transaction(bytes: &[u8]) -> Option<u32> {
    let (word, _) = bytes.get(4..)?.split_first_chunk()?;
    Some(u32::from_be_bytes(*word))
}

/// The connection id.
pub(crate) fn udp_read_connect(bytes: &[u8]) -> Result<u64, Failure> {
    match udp_reply(bytes, Family::V4)? {
        UdpReply::Connect { connection } => Ok(connection),
        other => Err(unexpected("a connection id", &other)),
    }
}

/// The answer to [`udp_ask`].
pub(crate) fn udp_read(bytes: &[u8], is_ipv6: bool, what: &UdpWhat) -> Result<UdpAnswer, Failure> {
    let family = if is_ipv6 { Family::V6 } else { Family::V4 };
    match (what, udp_reply(bytes, family)?) {
        (UdpWhat::Announce(_), UdpReply::Announce(reply)) => Ok(UdpAnswer::Announced(reply)),
        (UdpWhat::Scrape(_), UdpReply::Scrape(counts)) => match counts.first() {
            Some(counts) => Ok(UdpAnswer::Scraped(*counts)),
            None => Err(Failure::new(TrackerErrorClass::Parse, "a scrape of nothing".to_owned())),
        },
        (UdpWhat::Announce(_), other) => Err(unexpected("an announce", &other)),
        (UdpWhat::Scrape(_), other) => Err(unexpected("a scrape", &other)),
    }
}

fn read<T>(answer: &HttpAnswer, decoded: Result<Answer<T>, TrackerFault>) -> Result<T, Failure> {
    let is_success = (200..300).contains(&answer.status);
    match decoded {
        Ok(Answer::Refused(refusal)) => Err(refusal.into()),
        Ok(Answer::Reply(reply)) if is_success => Ok(reply),
        Err(fault) if is_success => Err(Failure::new(TrackerErrorClass::Parse, fault.to_string())),
        _ => {
            let message = format!("expected HTTP status 200, got {}", answer.status);
            Err(Failure::new(TrackerErrorClass::Http, message))
        }
    }
}

fn udp_reply(bytes: &[u8], family: Family) -> Result<UdpReply, Failure> {
    match UdpReply::decode(bytes, family) {
        Ok((_, UdpReply::Error(reason))) => Err(Failure::new(TrackerErrorClass::Tracker, reason)),
        Ok((_, reply)) => Ok(reply),
        Err(fault) => Err(Failure::new(TrackerErrorClass::Parse, fault.to_string())),
    }
}

fn unexpected(expected: &str, got: &UdpReply) -> Failure {
    let got = match got {
        UdpReply::Connect { .. } => "a connection id",
        UdpReply::Announce(_) => "an announce",
        UdpReply::Scrape(_) => "a scrape",
        UdpReply::Error(_) => "an error",
    };
    Failure::new(TrackerErrorClass::Parse, format!("expected the answer to {expected}, got {got}"))
}
