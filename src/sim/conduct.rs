//! How a scripted peer behaves: its handshake, what it claims, what it sends back, and how it
//! breaks off.

use std::time::Duration;

/// What a peer does first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum Greeting {
    /// A proper handshake with the fast extension (BEP 6).
    #[default]
    Fast,
    /// A proper handshake without extensions (BEP 3 alone).
    Plain,
    /// A proper handshake for a torrent that nobody has.
    StrangeTorrent,
    /// These bytes instead of a handshake.
    Raw(Vec<u8>),
    /// Nothing at all, ever.
    Silence,
    /// A proper handshake, one byte per this time.
    Dribble(Duration),
}

/// What a peer says that it has.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum Claim {
    #[default]
    All,
    Nothing,
    /// These pieces, in a bitfield.
    Pieces(Vec<u32>),
    /// Not a word; `opening` may say more.
    Unsaid,
}

/// How a peer answers requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Serving {
    #[default]
    Honest,
    /// Never unchokes.
    Choked,
    /// Unchokes and never answers.
    Stall,
    /// One bit of one block in so many is wrong.
    Corrupt { one_in: u64 },
    /// This many bytes at a time.
    Trickle { bytes: usize, every: Duration },
    /// Closes in the middle of a block after so many bytes.
    CutAfter { bytes: usize },
    /// Chokes after so many blocks, drops what was asked and unchokes again later.
    ChokeAfter { blocks: u32, pause: Duration },
    /// Rejects every request (fast peers alone).
    RejectAll,
    /// Sends every block twice.
    Twice,
    /// Sends the block after the one that was asked for.
    Unasked,
    /// Sends half of each block.
    Half,
    /// Answers one request in so many with silence.
    Forget { one_in: u64 },
}

/// By which names a peer knows the torrent, and speaks of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Speaks {
    /// By its first name; it greets without waiting and takes any name in the answer.
    #[default]
    First,
    /// By the v1 hash alone; hangs up on a greeting by any other name.
    V1,
    /// By the v2 hash alone, likewise.
    V2,
}

/// How a peer that speaks v2 answers hash requests (BEP 52).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Hashes {
    #[default]
    Honest,
    /// One bit is wrong.
    Wrong,
    /// Not at all.
    Silence,
    /// It rejects them all.
    Reject,
}

/// What a peer makes of requests for metadata (BEP 9).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Metadata {
    /// It does not speak of metadata at all.
    #[default]
    Unspoken,
    Honest,
    /// Every part is wrong.
    Garbage,
    /// This part is wrong.
    Spoils {
        part: u32,
    },
    /// It claims 32 MiB, and sends what is asked for.
    Huge,
    /// It claims some bytes too many.
    OtherSize,
    Rejects,
    /// It never answers.
    Stalls,
}

/// The whole behaviour; the default is an honest seed with the fast extension.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Conduct {
    pub(crate) greeting: Greeting,
    pub(crate) claim: Claim,
    pub(crate) serving: Serving,
    pub(crate) speaks: Speaks,
    pub(crate) hashes: Hashes,
    pub(crate) metadata: Metadata,
    /// Sent after handshake and claim, as it is.
    pub(crate) opening: Vec<u8>,
    /// Sent again and again at this interval.
    pub(crate) refrain: Option<(Vec<u8>, Duration)>,
    /// Closes after the opening has been sent.
    pub(crate) leaves: bool,
    /// Downloads what the other side has.
    pub(crate) is_leech: bool,
    /// Does not read what arrives, from the opening on.
    pub(crate) is_deaf: bool,
}

impl Conduct {
    /// A leech that is honest and gives back.
    pub(crate) fn leech() -> Conduct {
        Conduct { claim: Claim::Nothing, is_leech: true, ..Conduct::default() }
    }

    /// A peer that claims everything and serves in this manner.
    pub(crate) fn serving(serving: Serving) -> Conduct {
        Conduct { serving, ..Conduct::default() }
    }

    /// An honest seed that answers requests for metadata in this manner.
    pub(crate) fn telling(metadata: Metadata) -> Conduct {
        Conduct { metadata, ..Conduct::default() }
    }

    /// A peer that knows the torrent by this version alone.
    pub(crate) fn speaking(speaks: Speaks) -> Conduct {
        Conduct { speaks, ..Conduct::default() }
    }

    /// A peer that knows the torrent by v2 alone and answers hash requests in this manner.
    pub(crate) fn hashing(hashes: Hashes) -> Conduct {
        Conduct { speaks: Speaks::V2, hashes, ..Conduct::default() }
    }

    /// A peer that shakes hands, claims nothing, never unchokes and says this.
    pub(crate) fn saying(opening: Vec<u8>) -> Conduct {
        let serving = Serving::Choked;
        Conduct { claim: Claim::Unsaid, serving, opening, ..Conduct::default() }
    }

    /// A peer that begins with these bytes.
    pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Conduct {
        let (greeting, claim) = (Greeting::Raw(bytes.into()), Claim::Unsaid);
        Conduct { greeting, claim, serving: Serving::Choked, ..Conduct::default() }
    }
}
