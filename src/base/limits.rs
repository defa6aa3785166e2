//! Every bound of the engine, each with its reason. What is "fixed" cannot be configured.

use std::time::Duration;

/// Request unit in bytes (BEP 3: all current implementations use 2^14). Fixed.
pub(crate) const BLOCK_LEN: u32 = 16 * 1024;
/// Pieces per torrent; fixed. The same as libtorrent, so that no torrent loads in one only.
pub(crate) const PIECE_COUNT_MAX: u32 = 1 << 21;
/// Bytes per piece, smallest: one block.
pub(crate) const PIECE_LEN_MIN: u32 = 16 * 1024;
/// Bytes per piece, largest: what a share of every turn still hashes in seconds.
pub(crate) const PIECE_LEN_MAX: u32 = 256 * 1024 * 1024;

/// Nesting of bencode in messages: real ones need 4.
pub(crate) const BENCODE_DEPTH_MESSAGE_MAX: u32 = 64;
/// Nesting of bencode in .torrent files: v2 file trees nest by folder.
pub(crate) const BENCODE_DEPTH_FILE_MAX: u32 = 100;
/// Tokens in one bencoded document: 3 million is a torrent of some 400,000 files.
pub(crate) const BENCODE_TOKEN_MAX: u32 = 3_000_000;
/// Bytes of a .torrent file.
pub(crate) const TORRENT_FILE_LEN_MAX: u64 = 64 * 1024 * 1024;
/// Time to fetch a .torrent file from the web: the largest at 560 KB/s.
pub(crate) const TORRENT_FETCH_TIMEOUT: Duration = Duration::from_secs(120);

/// Bytes of a magnet link, as given and as we would write it: some hundred trackers with long URLs.
pub(crate) const MAGNET_LEN_MAX: usize = 128 * 1024;
/// Web seeds, sources and peers in a magnet link, each kind for itself; real ones have a few.
pub(crate) const MAGNET_LIST_MAX: usize = 100;
/// Ranges of files in a magnet link (BEP 53); a link full of them has not many more.
pub(crate) const MAGNET_RANGE_MAX: usize = 10_000;
/// Characters of a name in a magnet link: it is shown until the torrent's own name is known.
pub(crate) const MAGNET_NAME_LEN_MAX: usize = 500;

/// Bytes of one path element on disk: ext4 allows 255, `.part` and a collision suffix need room.
pub(crate) const PATH_ELEMENT_LEN_MAX: usize = 240;
/// Folders in folders below the torrent's directory.
pub(crate) const PATH_DEPTH_MAX: usize = 64;
/// Bytes of all paths of a torrent together, written out: what the longest .torrent could spell.
/// In a file tree (BEP 52) a few long directories stand before any number of files. The same for
/// their names before they are cleaned, which takes time for each file.
pub(crate) const PATH_TOTAL_LEN_MAX: usize = 64 * 1024 * 1024;
/// Files whose cleaned paths collide before the torrent is refused.
pub(crate) const PATH_DUPLICATE_MAX: u32 = 500;

/// Bytes of a message whose id we do not know; it is skipped, not buffered.
pub(crate) const UNKNOWN_MESSAGE_LEN_MAX: u32 = 64 * 1024;
/// Bytes of a request or piece block that we accept from a peer.
pub(crate) const REQUEST_LEN_MAX: u32 = 16 * 1024;
/// Hashes asked for in one hash request (BEP 52 says no more should be; libtorrent asks for as
/// many): 16 KiB of answer, one block's worth.
pub(crate) const HASH_REQUEST_LEN_MAX: u32 = 512;
/// Layers above the leaves of a v2 file's hash tree: 2^21 pieces of 2^14 blocks are 2^35 leaves.
pub(crate) const HASH_TREE_HEIGHT_MAX: u32 = 35;
/// Hash requests queued per peer before we reject: other engines have two under way.
pub(crate) const HASH_QUEUE_MAX: usize = 64;
/// Bytes that may wait for a peer when the next answer to a hash request of its is added.
pub(crate) const HASH_BACKLOG_MAX: usize = 64 * 1024;
/// Bytes of a piece whose leaves we hash anew for a peer: 64 blocks, below 1 ms.
pub(crate) const LEAVES_PIECE_LEN_MAX: u32 = 1024 * 1024;
/// Times that we do so per connection: who asks more often has not so many failed pieces.
pub(crate) const LEAVES_SERVED_MAX: u32 = 64;
/// Times that a shard does so in one burst, whoever asks: strangers can come again and again.
pub(crate) const LEAVES_BURST_MAX: u32 = 128;
/// Time after which a shard may do so once more: at most 10 MiB/s of reading and hashing.
pub(crate) const LEAVES_INTERVAL: Duration = Duration::from_millis(100);
/// Our hash requests under way per peer: one is answered while the next one travels.
pub(crate) const HASH_FLIGHT_PEER_MAX: usize = 2;
/// Our hash requests under way per torrent: 1 MiB of answers.
pub(crate) const HASH_FLIGHT_MAX: usize = 64;
/// Time until a hash request is asked of somebody else: its 16 KiB come at 1 KB/s.
pub(crate) const HASH_TIMEOUT: Duration = Duration::from_secs(16);
/// Time until a second peer is asked for the same hashes: pieces wait for them, and peers for work.
pub(crate) const HASH_PATIENCE: Duration = Duration::from_secs(2);
/// Time until a peer that refused a hash request, or let it pass, is asked for the same again.
pub(crate) const HASH_RETRY: Duration = Duration::from_secs(60);
/// Refusals of hash requests remembered per torrent.
pub(crate) const HASH_REFUSAL_MAX: usize = 4_096;
/// Failed pieces whose leaves are fetched at once: at most 512 KiB each.
pub(crate) const LEAVES_MAX: usize = 8;
/// Time until the leaves of a failed piece are given up: others than the liar may have left.
pub(crate) const LEAVES_TIMEOUT: Duration = Duration::from_secs(60);
/// Requests queued per peer before we reject: also our advertised `reqq` (BEP 10).
pub(crate) const REQUEST_QUEUE_MAX: usize = 500;
/// Requests rejected for a full queue or while choked before the peer is disconnected.
pub(crate) const REJECT_MAX: u32 = 50;
/// Bytes of an extension handshake (BEP 10).
pub(crate) const EXTENSION_HANDSHAKE_LEN_MAX: u32 = 64 * 1024;
/// Names in an extension handshake.
pub(crate) const EXTENSION_NAME_MAX: usize = 64;
/// Bytes of one part of the metadata; the last one may be shorter (BEP 9). Fixed.
pub(crate) const METADATA_PART_LEN: u32 = 16 * 1024;
/// Bytes of metadata fetched from peers: a torrent of 2^20 pieces has 20 MiB of them.
pub(crate) const METADATA_LEN_MAX: u32 = 32 * 1024 * 1024;
/// Bytes of metadata in memory while one magnet is fetched: the largest, and another's beginnings.
pub(crate) const METADATA_HELD_MAX: usize = 40 * 1024 * 1024;
/// Bytes of bitfields and haves kept per torrent while its piece count is not known: those of 32
/// peers of the largest torrent.
pub(crate) const EARLY_HELD_MAX: usize = 8 * 1024 * 1024;
/// Copies of our metadata that a peer gets per connection: one, and what was lost or asked twice.
pub(crate) const METADATA_COPIES_MAX: u32 = 3;
/// Requests for metadata queued per peer before we reject; clients ask for a few at a time.
pub(crate) const METADATA_QUEUE_MAX: usize = 64;
/// Bytes waiting for a peer above which no metadata is added: four parts.
pub(crate) const METADATA_BACKLOG_MAX: usize = 64 * 1024;
/// Extension handshakes per connection: the first and a few updates.
pub(crate) const EXTENSION_HANDSHAKE_MAX: u32 = 4;
/// Control messages a peer may send per second, on average and at once.
pub(crate) const CONTROL_RATE_MAX: u32 = 200;
/// Control messages a peer may send in one burst.
pub(crate) const CONTROL_BURST_MAX: u32 = 2_000;
/// Suggested and allowed-fast pieces remembered per peer (BEP 6).
pub(crate) const SUGGEST_MAX: usize = 16;
/// Bytes of control messages waiting for a peer that does not read; beyond, it is disconnected.
/// Two million have messages would be 18 MB: have messages to such a peer are dropped first.
pub(crate) const CONTROL_BACKLOG_MAX: usize = 1024 * 1024;

/// Candidates remembered per torrent.
pub(crate) const CANDIDATE_MAX: usize = 2_000;
/// Time until a connection must have finished its handshake.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time until a TCP connect must have succeeded.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Silence after which a peer is disconnected (BEP 3: two minutes).
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// Time in which a peer must have read one batch of at most 512 KiB: 2.2 KB/s at least. Without it
/// peers that never read would hold the read budget for good.
pub(crate) const SEND_TIMEOUT: Duration = Duration::from_secs(240);
/// Silence of our own after which we send a keep-alive: below the peer's idle time-out.
pub(crate) const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(90);
/// Inbound connections per /24 or /64 that have not finished the handshake.
pub(crate) const HALF_OPEN_PER_NET_MAX: u32 = 8;

/// Blocks gathered into one send: 512 KiB is where the cost per byte stops falling.
pub(crate) const SEND_BLOCK_MAX: usize = 32;
/// Bytes of payload read ahead of the socket for one peer: one batch in flight, one being read.
pub(crate) const SEND_AHEAD_MAX: usize = 2 * SEND_BLOCK_MAX * BLOCK_LEN as usize;

/// Work per turn, submission included and waiting excluded. What is under way when it is over takes
/// half as long again at times: with 500 us, one turn in a thousand was above a millisecond.
pub(crate) const TURN_BUDGET: Duration = Duration::from_micros(400);
/// Completions drained per turn.
pub(crate) const COMPLETION_MAX: usize = 256;
/// Bytes hashed between two looks at the clock: 60 us at 2.2 GB/s, and twice that where they come
/// from memory and not from the cache.
pub(crate) const HASH_SLICE: usize = 128 * 1024;

/// Bytes of an HTTP tracker's answer on the wire.
pub(crate) const TRACKER_BODY_MAX: usize = 1024 * 1024;
/// Bytes of an HTTP tracker's answer inflated.
pub(crate) const TRACKER_BODY_INFLATED_MAX: usize = 4 * 1024 * 1024;
/// Time for a whole HTTP announce.
pub(crate) const TRACKER_TIMEOUT: Duration = Duration::from_secs(30);
/// Redirects followed per announce.
pub(crate) const TRACKER_REDIRECT_MAX: u32 = 5;
/// Shortest time between two announces, whatever the tracker says.
pub(crate) const ANNOUNCE_INTERVAL_MIN: Duration = Duration::from_secs(60);
/// Longest time between two announces, whatever the tracker says.
pub(crate) const ANNOUNCE_INTERVAL_MAX: Duration = Duration::from_secs(24 * 3600);
/// Trackers per torrent over all tiers.
pub(crate) const TRACKER_MAX: usize = 200;
/// Time until a failed tracker is asked again the first time; doubles with each failure.
pub(crate) const ANNOUNCE_RETRY_MIN: Duration = Duration::from_secs(60);
/// Longest time until a failed tracker is asked again: an hour, so that one that comes back is
/// noticed.
pub(crate) const ANNOUNCE_RETRY_MAX: Duration = Duration::from_secs(3600);
/// Time for telling trackers that we leave (G9).
pub(crate) const ANNOUNCE_STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// Time until an announce that nobody answered is given up, whatever the ring does: its own
/// time-out plus the wait in its queue.
pub(crate) const ANNOUNCE_TIMEOUT: Duration = Duration::from_secs(120);
/// Bytes of the URL of a tracker, a web seed or another source: passkeys and BEP 41 data need a few
/// hundred. Longer ones are left out.
pub(crate) const TRACKER_URL_LEN_MAX: usize = 2_048;
/// Bytes of a host name (RFC 1035, 2.3.4, without the last dot).
pub(crate) const HOST_LEN_MAX: usize = 253;
/// Web seeds kept per torrent (BEP 19); further ones are left out.
pub(crate) const WEB_SEED_MAX: usize = 100;
/// UDP announces under way per shard: 10,000 torrents over two shards, each asking one tracker.
pub(crate) const UDP_ANNOUNCE_MAX: usize = 8_192;
/// Questions to the outside (HTTP, DNS) that wait for a thread, per session.
pub(crate) const QUERY_QUEUE_MAX: usize = 4_096;
/// Time that such a question may wait for a thread; with its own time-out it stays below
/// `ANNOUNCE_TIMEOUT`.
pub(crate) const QUERY_WAIT_MAX: Duration = Duration::from_secs(60);

/// How often a shard and those that help it tell each other how a shared torrent is doing.
pub(crate) const ANNEX_INTERVAL: Duration = Duration::from_millis(200);
/// Silence after which either side gives the other up: 25 times that, and far above any turn.
pub(crate) const ANNEX_TIMEOUT: Duration = Duration::from_secs(5);
/// Time until a shard that could not help is asked again for the same torrent.
pub(crate) const ANNEX_RETRY: Duration = Duration::from_secs(60);
/// Time in which a peer that changes shards must have read the batch in flight; one that does not
/// stays where it is.
pub(crate) const TRAVEL_TIMEOUT: Duration = Duration::from_secs(2);
/// Peers sent to one shard per second: each leaves its blocks behind, which are read again there.
pub(crate) const TRAVEL_MAX: u32 = 128;
/// Torrents of others that one shard helps with at once: it is called when it is idle, so a few
/// fill it.
pub(crate) const ANNEX_MAX: usize = 16;
/// Batches of hash jobs that one shard does for another at once: one is hashed, one is on its way.
pub(crate) const OUTWORK_BATCH_MAX: u32 = 2;
/// Bytes of a batch that are worth the way to another shard and back: half a millisecond of
/// hashing, beside some 20 us for two letters and the waking.
pub(crate) const OUTWORK_LEN_MIN: usize = 2 * 1024 * 1024;
/// Bytes of a batch from which on no job is added: sixteen pieces of 1 MiB go together best.
pub(crate) const OUTWORK_LEN_MAX: usize = 16 * 1024 * 1024;
/// Jobs in a batch: more are only there when pieces are small, and what they lead to is done in one
/// turn.
pub(crate) const OUTWORK_JOB_MAX: usize = 64;
/// Time until a batch that is not back is hashed where it came from: its shard may have ended.
pub(crate) const OUTWORK_TIMEOUT: Duration = Duration::from_secs(2);
/// Time until a shard that had no time is given a batch again.
pub(crate) const OUTWORK_RETRY: Duration = Duration::from_secs(1);
/// Batches of others that wait on a shard: each of 16 is some 3 ms of work.
pub(crate) const SPARE_TIME_BATCH_MAX: usize = 8;
/// Time that a batch of another shard may be here: who gave it has time for it by then.
pub(crate) const SPARE_TIME_MAX: Duration = Duration::from_millis(500);
