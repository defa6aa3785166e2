//! A scripted peer's side of BEP 52: by which name it knows the torrent, what it says of its tree.

use crate::base::digest::Sha1;
use crate::codec::hash_request::HashRequest;
use crate::codec::message::Message;
use crate::sim::bundle::Bundle;
use crate::sim::conduct::Hashes;
use crate::sim::conduct::Speaks;

/// The name that it says.
pub(crate) fn own_name(bundle: &Bundle, speaks: Speaks) -> Sha1 {
    let names = bundle.torrent.info_hashes();
    match speaks {
        Speaks::First => Some(names.primary()),
        Speaks::V1 => names.v1(),
        Speaks::V2 => names.v2().map(|v2| v2.truncated()),
    }
    .expect("a scripted peer speaks a version that its torrent has")
}

/// Whether it takes this name in a handshake.
pub(crate) fn takes(bundle: &Bundle, speaks: Speaks, name: &Sha1) -> bool {
    match speaks {
        Speaks::First => bundle.is_called(name),
        Speaks::V1 | Speaks::V2 => own_name(bundle, speaks) == *name,
    }
}

/// The wire bytes of its answer to a hash request.
pub(crate) fn answer(bundle: &Bundle, request: HashRequest, manner: Hashes) -> Vec<u8> {
    let proof = bundle.hashes(&request).filter(|_| manner != Hashes::Reject);
    let mut wire = Vec::new();
    let Some(proof) = proof else {
        Message::HashReject(request).encode(&mut wire);
        return wire;
    };
    let mut hashes: Vec<u8> = proof.iter().flat_map(|hash| *hash.as_bytes()).collect();
    match manner {
        Hashes::Silence => return wire,
        Hashes::Wrong => hashes[7] ^= 1,
        Hashes::Honest | Hashes::Reject => {}
    }
    Message::Hashes { request, hashes: &hashes }.encode(&mut wire);
    wire
}
