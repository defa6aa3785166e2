//! Bad input: scripts that break the protocol, each costing its own connection at most.

use std::time::Duration;

use super::MINUTE;
use crate::base::bitfield::Bitfield;
use crate::base::digest::Sha1;
use crate::base::limits::CONNECT_TIMEOUT;
use crate::base::limits::HANDSHAKE_TIMEOUT;
use crate::codec::handshake::Handshake;
use crate::codec::message::Message;
use crate::codec::message::piece_header;
use crate::engine::add::PieceOrder;
use crate::engine::settings::Settings;
use crate::sim::bundle::Bundle;
use crate::sim::conduct::Claim;
use crate::sim::conduct::Conduct;
use crate::sim::conduct::Greeting;
use crate::sim::conduct::Serving;
use crate::sim::net::Weather;
use crate::sim::world::core::LINE;
use crate::sim::world::core::World;

/// What must become of the connection on which a script played.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// The engine closes it.
    Closed,
    /// It is borne.
    Kept,
    /// Either is right.
    Any,
}

use Fate::Any;
use Fate::Closed;
use Fate::Kept;

struct Script {
    name: &'static str,
    conduct: Conduct,
    fate: Fate,
}

fn script(name: &'static str, fate: Fate, conduct: Conduct) -> Script {
    Script { name, conduct, fate }
}

/// A message of this id and body, its length told truly.
fn message(id: u8, body: &[u8]) -> Vec<u8> {
    let mut wire = (body.len() as u32 + 1).to_be_bytes().to_vec();
    wire.push(id);
    wire.extend_from_slice(body);
    wire
}

/// A message whose length is a lie, with nothing behind its id.
fn claim(length: u32, id: u8) -> Vec<u8> {
    let mut wire = length.to_be_bytes().to_vec();
    wire.push(id);
    wire
}

fn encoded(messages: &[Message<'_>]) -> Vec<u8> {
    let mut wire = Vec::new();
    messages.iter().for_each(|message| message.encode(&mut wire));
    wire
}

fn triple(piece: u32, begin: u32, length: u32) -> [u8; 12] {
    let words = [piece.to_be_bytes(), begin.to_be_bytes(), length.to_be_bytes()];
    words.concat().try_into().unwrap()
}

/// A `piece` message that nobody asked for.
fn block(piece: u32, begin: u32, length: u32) -> Vec<u8> {
    let mut wire = piece_header(piece, begin, length).to_vec();
    wire.resize(wire.len() + length as usize, 0);
    wire
}

fn extended(id: u8, payload: &[u8]) -> Vec<u8> {
    encoded(&[Message::Extended { id, payload }])
}

/// Says this after a proper handshake.
fn says(name: &'static str, fate: Fate, opening: impl Into<Vec<u8>>) -> Script {
    script(name, fate, Conduct::saying(opening.into()))
}

/// Says this after a handshake without the fast extension.
fn plainly(name: &'static str, fate: Fate, opening: impl Into<Vec<u8>>) -> Script {
    let conduct = Conduct { greeting: Greeting::Plain, ..Conduct::saying(opening.into()) };
    script(name, fate, conduct)
}

fn greetings(bundle: &Bundle) -> Vec<Script> {
    let proper = Handshake::ours(bundle.info_hash(), [9; 20]).encode();
    let mut wrong_name = proper;
    wrong_name[5] ^= 1;
    let mut long_name = proper;
    long_name[0] = 20;
    let mut all_reserved = proper;
    all_reserved[20..28].fill(0xff);
    let strange = Handshake::ours(Sha1::of(b"elsewhere"), [9; 20]).encode();
    let dribble = |every| Conduct { greeting: Greeting::Dribble(every), ..Conduct::default() };
    let leaves = |conduct: Conduct| Conduct { leaves: true, ..conduct };
    vec![
        script("an HTTP request", Closed, Conduct::raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")),
        script("a TLS hello", Closed, Conduct::raw([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3])),
        script("zeros", Closed, Conduct::raw([0; 200])),
        script(
            "noise",
            Closed,
            Conduct::raw((0..2_000u32).map(|n| ((n * 7919) >> 3) as u8).collect::<Vec<_>>()),
        ),
        script("a wrong protocol name", Closed, Conduct::raw(wrong_name)),
        script("a wrong length of the name", Closed, Conduct::raw(long_name)),
        script("another torrent", Closed, Conduct::raw(strange)),
        script("all reserved bits", Any, Conduct::raw(all_reserved)),
        script("half a handshake, then silence", Closed, Conduct::raw(&proper[..30])),
        script("a handshake without a peer id", Closed, Conduct::raw(&proper[..48])),
        script("half a handshake, then gone", Closed, leaves(Conduct::raw(&proper[..40]))),
        script("a handshake, then gone", Closed, leaves(Conduct::saying(Vec::new()))),
        script("silence", Closed, Conduct { greeting: Greeting::Silence, ..Conduct::default() }),
        script("a handshake of a byte a second", Closed, dribble(Duration::from_secs(1))),
        script("two handshakes", Closed, Conduct::raw([proper, proper].concat())),
    ]
}

fn lengths() -> Vec<Script> {
    vec![
        says("a length of 4 GiB", Closed, claim(u32::MAX, 4)),
        says("an unknown message of 100 MB", Closed, claim(100_000_000, 99)),
        says("an unknown message", Kept, message(99, &[1; 1000])),
        says("a piece of 1 MiB", Closed, claim(1 << 20, 7)),
        says("a piece without payload", Closed, message(7, &triple(0, 0, 0)[..8])),
        says("a choke with a body", Closed, message(0, &[1])),
        says("a have of three bytes", Closed, message(4, &[0; 3])),
        says("a have of five bytes", Closed, message(4, &[0; 5])),
        says("a request of eleven bytes", Closed, message(6, &[0; 11])),
        says("a cancel of thirteen bytes", Closed, message(8, &[0; 13])),
        says("a port of one byte", Closed, message(9, &[0])),
        says("an extended message without id", Closed, message(20, &[])),
        says("an extension handshake of 1 MiB", Closed, claim(1 << 20, 20)),
    ]
}

fn claims(bundle: &Bundle) -> Vec<Script> {
    let count = bundle.piece_count();
    let full = Bitfield::ones(count);
    let mut spare = full.as_wire().to_vec();
    *spare.last_mut().unwrap() |= 1;
    let twice = encoded(&[Message::Bitfield(full.as_wire()), Message::Bitfield(full.as_wire())]);
    let late = encoded(&[Message::Have(0), Message::Bitfield(full.as_wire())]);
    let both = encoded(&[Message::HaveAll, Message::HaveNone]);
    let haves: Vec<Message<'_>> = (0..500).map(|n| Message::Have(n % count)).collect();
    vec![
        says("a bitfield that is too short", Closed, message(5, &full.as_wire()[1..])),
        says("a bitfield that is too long", Closed, message(5, &[full.as_wire(), &[0]].concat())),
        says("a bitfield with spare bits", Closed, message(5, &spare)),
        says("two bitfields", Closed, twice),
        says("a bitfield after a have", Closed, late),
        says("have all, then have none", Closed, both),
        says("a have beyond the end", Closed, encoded(&[Message::Have(count)])),
        says("a have far beyond the end", Closed, encoded(&[Message::Have(u32::MAX)])),
        says("the same haves again and again", Any, encoded(&haves)),
        plainly("have all without the fast extension", Closed, encoded(&[Message::HaveAll])),
        plainly("a reject without the fast extension", Closed, message(16, &triple(0, 0, 16_384))),
    ]
}

fn requests(bundle: &Bundle) -> Vec<Script> {
    let count = bundle.piece_count();
    let ask = |piece, begin, length| {
        encoded(&[Message::Interested, Message::Request { piece, begin, length }])
    };
    let flood: Vec<Message<'_>> = (0..5_000)
        .map(|n| Message::Request { piece: n % count, begin: 0, length: 16_384 })
        .collect();
    let cancels: Vec<Message<'_>> = (0..5_000)
        .map(|n| Message::Cancel { piece: n % count, begin: 0, length: 16_384 })
        .collect();
    let turns: Vec<Message<'_>> = (0..10_000)
        .map(|n| if n % 2 == 0 { Message::Interested } else { Message::NotInterested })
        .collect();
    let chokes: Vec<Message<'_>> =
        (0..10_000).map(|n| if n % 2 == 0 { Message::Unchoke } else { Message::Choke }).collect();
    vec![
        says("a request beyond the last piece", Closed, ask(count, 0, 16_384)),
        says("a request beyond its piece", Closed, ask(0, 32_768, 16_384)),
        says("a request that wraps around", Closed, ask(0, u32::MAX, 16_384)),
        says("a request for nothing", Closed, ask(0, 0, 0)),
        says("a request for 128 KiB", Closed, ask(0, 0, 131_072)),
        says("a request for 4 GiB", Closed, ask(0, 0, u32::MAX)),
        says(
            "a request while choked",
            Kept,
            encoded(&[Message::Request { piece: 0, begin: 0, length: 16_384 }]),
        ),
        says("a flood of requests", Any, encoded(&flood)),
        says("a flood of cancels", Any, encoded(&cancels)),
        says("a flood of changes of mind", Closed, encoded(&turns)),
        says("a flood of chokes", Closed, encoded(&chokes)),
        says("a keep-alive flood", Any, vec![0; 40_000]),
    ]
}

fn blocks(bundle: &Bundle) -> Vec<Script> {
    let count = bundle.piece_count();
    vec![
        says("a block that nobody asked for", Any, block(0, 0, 16_384)),
        says("a block beyond the last piece", Closed, block(count, 0, 16_384)),
        says("a block beyond its piece", Closed, block(0, 65_536, 16_384)),
        says("a block off the grid", Closed, block(0, 5, 100)),
        says("a hundred blocks that nobody asked for", Any, block(1, 0, 16_384).repeat(100)),
        says("a reject of nothing", Any, message(16, &triple(0, 0, 16_384))),
        says("a reject beyond the end", Closed, message(16, &triple(u32::MAX, 0, 16_384))),
        says("a suggestion beyond the end", Closed, encoded(&[Message::Suggest(count)])),
        says("allowed fast beyond the end", Closed, encoded(&[Message::AllowedFast(count)])),
        script("the next block for each request", Any, Conduct::serving(Serving::Unasked)),
        script("half of each block", Closed, Conduct::serving(Serving::Half)),
        script(
            "a cut in the middle of a block",
            Closed,
            Conduct::serving(Serving::CutAfter { bytes: 1 }),
        ),
        script("a rejection of everything", Any, Conduct::serving(Serving::RejectAll)),
    ]
}

fn extensions() -> Vec<Script> {
    let deep = [b"l".repeat(5_000), b"e".repeat(5_000)].concat();
    let names: String = (0..500).map(|n| format!("4:n{n:03}i{n}e")).collect();
    let names = format!("d1:md{names}ee");
    let dict = b"d1:md11:ut_metadatai3eee".to_vec();
    let many = extended(0, &dict).repeat(50);
    let pieces: Vec<u32> = Vec::new();
    let deaf = Conduct {
        is_deaf: true,
        claim: Claim::Pieces(pieces),
        opening: encoded(&[Message::Interested]),
        refrain: Some((message(6, &triple(0, 0, 16_384)), Duration::from_millis(10))),
        serving: Serving::Choked,
        ..Conduct::default()
    };
    vec![
        says("an extension handshake that is no dictionary", Any, extended(0, b"i5e")),
        says("an extension handshake that ends early", Any, extended(0, b"d1:md")),
        says("an extension handshake of depth 5,000", Closed, extended(0, &deep)),
        says("an extension handshake of 500 names", Any, extended(0, names.as_bytes())),
        says("fifty extension handshakes", Closed, many),
        says("an extension that we did not announce", Any, extended(77, b"xyz")),
        says("a reqq of zero", Any, extended(0, b"d4:reqqi0ee")),
        says("a negative reqq", Any, extended(0, b"d4:reqqi-5ee")),
        script("a reader who does not read", Any, deaf),
    ]
}

/// Every script.
fn scripts(bundle: &Bundle) -> Vec<Script> {
    let parts = [greetings(bundle), lengths(), claims(bundle), requests(bundle), blocks(bundle)];
    parts.into_iter().flatten().chain(extensions()).collect()
}

/// Plays a script against a download; the script dials, or is dialled.
fn play(seed: u64, bundle: &Bundle, script: &Script, dials: bool) -> Option<String> {
    World::tell(seed, Weather::default(), |world| {
        world.know(bundle);
        let honest = world.add_honest(Conduct::default(), bundle);
        let bad = world.add_stranger(script.conduct.clone(), bundle);
        let mut peers = vec![world.strangers[honest].address()];
        if !dials {
            peers.push(world.strangers[bad].address());
        }
        let site = world.add_site(Settings::default(), 1, LINE);
        let now = world.now;
        let id = world.sites[site].add(now, bundle, 0, PieceOrder::RarestFirst, peers);
        if dials {
            let target = world.sites[site].address();
            world.strangers[bad].dial(now, target, None);
        }
        let what = format!("the download ends in spite of: {}", script.name);
        world.run_until(2 * MINUTE, &what, |world| world.sites[site].is_complete(id));
        world.run_for(CONNECT_TIMEOUT + HANDSHAKE_TIMEOUT + MINUTE / 30);
        let wrong = wrong_fate(world, script, bad, dials);
        for facts in world.strangers[honest].facts() {
            assert_eq!(facts.complaint, None, "an engine broke the protocol");
        }
        assert!(world.strangers[honest].facts().count() == 1, "the honest peer was closed");
        world.shut_down();
        wrong
    })
}

fn wrong_fate(world: &World, script: &Script, bad: usize, dials: bool) -> Option<String> {
    let facts = world.strangers[bad].facts().next().expect("there was a connection");
    let is_right = script.fate == Any || facts.is_closed == (script.fate == Closed);
    let (name, expected, closed) = (script.name, script.fate, facts.is_closed);
    (!is_right).then(|| format!("{name} (dials: {dials}): expected {expected:?}, closed: {closed}"))
}

#[test]
fn each_bad_script_costs_one_connection_at_most_and_the_download_ends() {
    let bundle = Bundle::single(1, 300_000);
    let scripts = scripts(&bundle);
    assert!(scripts.len() >= 60, "{} scripts", scripts.len());
    let numbered = (0u64..).zip(&scripts);
    let both = numbered.flat_map(|(n, script)| [(n, script, true), (n, script, false)]);
    let wrong: Vec<String> =
        both.filter_map(|(n, script, dials)| play(n, &bundle, script, dials)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn all_bad_scripts_at_once_do_not_stop_a_swarm() {
    World::tell(5, Weather::default(), |world| {
        let bundle = Bundle::single(2, 1_000_000);
        let seed = super::add_seed(world, &bundle);
        let address = world.sites[seed].address();
        let leech = super::add_leech(world, &bundle, &[address]);
        let now = world.now;
        for (n, script) in scripts(&bundle).into_iter().enumerate() {
            let bad = world.add_stranger(script.conduct, &bundle);
            let target = world.sites[[seed, leech][n % 2]].address();
            world.strangers[bad].dial(now, target, Some(Duration::from_secs(1)));
        }
        world.run_until_complete(5 * MINUTE);
        world.run_for(MINUTE / 2);
        world.shut_down();
    });
}
