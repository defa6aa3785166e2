//! The eighty rounds of SHA-1 (FIPS 180-4, 6.1.2) over vectors: every element is a block of its
//! own, and the operations are those of whoever uses it.

/// The constant of a round.
pub(crate) const fn constant(round: usize) -> i32 {
    let constant: u32 = match round / 20 {
        0 => 0x5a82_7999,
        1 => 0x6ed9_eba1,
        2 => 0x8f1b_bcdc,
        _ => 0xca62_c1d6,
    };
    constant.cast_signed()
}

/// Runs all rounds over the five words of `$state` with the sixteen of `$schedule`, which it uses
/// up. In scope where it stands: `splat(i32)`, `add(a, b)`, `xor3(a, b, c)`, `choose(b, c, d)`,
/// `majority(b, c, d)`, `rotate::<BITS, REST>(a)`. Written out round by round, because only then do
/// the words live in registers.
macro_rules! eighty_rounds {
    ($state:ident, $schedule:ident) => {
        eighty_rounds!($state, $schedule;
            0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19
            20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39
            40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59
            60 61 62 63 64 65 66 67 68 69 70 71 72 73 74 75 76 77 78 79)
    };
    ($state:ident, $schedule:ident; $($round:literal)+) => {
        $({
            use crate::base::digest_lanes::eighty_rounds::constant;
            let [a, b, c, d, e] = $state;
            if $round >= 16 {
                let near = xor3($schedule[($round + 13) % 16], $schedule[($round + 8) % 16],
                    $schedule[($round + 2) % 16]);
                let word = xor($schedule[$round % 16], near);
                $schedule[$round % 16] = rotate::<1, 31>(word);
            }
            let mixed = match $round / 20 {
                0 => choose(b, c, d),
                2 => majority(b, c, d),
                _ => xor3(b, c, d),
            };
            let word = add($schedule[$round % 16], splat(const { constant($round) }));
            // What was known a round ago first: only a rotation and an addition wait for `a`.
            let known = add(mixed, add(e, word));
            let sum = add(known, rotate::<5, 27>(a));
            $state = [sum, a, rotate::<30, 2>(b), c, d];
        })+
    };
}
pub(crate) use eighty_rounds;
