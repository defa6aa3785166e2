//! The rounds of both algorithms (FIPS 180-4, 6.1.2 and 6.2.2) over any vectors. Written out round
//! by round, because only then do the words live in registers.

use crate::base::digest_lanes::operations::Operations;

/// An algorithm over vectors.
pub(crate) trait Rounds {
    /// Words of a state that count; the others are left alone.
    const WORDS: usize;

    /// What the rounds make of a state with a block's words.
    fn run<O: Operations<LANES>, const LANES: usize>(
        operations: O,
        state: [O::Vector; 8],
        schedule: [O::Vector; 16],
    ) -> [O::Vector; 8];
}

/// SHA-1.
pub(crate) struct EightyRounds;
/// SHA-256.
pub(crate) struct SixtyFourRounds;

/// The constants of SHA-1, each for twenty rounds (FIPS 180-4, 4.2.1).
const EIGHTY: [u32; 4] = [0x5a82_7999, 0x6ed9_eba1, 0x8f1b_bcdc, 0xca62_c1d6];

/// The constants of SHA-256 (FIPS 180-4, 4.2.2).
pub(crate) const SIXTY_FOUR: [u32; 64] = [
    0x428a_2f98,
    0x7137_4491,
    0xb5c0_fbcf,
    0xe9b5_dba5,
    0x3956_c25b,
    0x59f1_11f1,
    0x923f_82a4,
    0xab1c_5ed5,
    0xd807_aa98,
    0x1283_5b01,
    0x2431_85be,
    0x550c_7dc3,
    0x72be_5d74,
    0x80de_b1fe,
    0x9bdc_06a7,
    0xc19b_f174,
    0xe49b_69c1,
    0xefbe_4786,
    0x0fc1_9dc6,
    0x240c_a1cc,
    0x2de9_2c6f,
    0x4a74_84aa,
    0x5cb0_a9dc,
    0x76f9_88da,
    0x983e_5152,
    0xa831_c66d,
    0xb003_27c8,
    0xbf59_7fc7,
    0xc6e0_0bf3,
    0xd5a7_9147,
    0x06ca_6351,
    0x1429_2967,
    0x27b7_0a85,
    0x2e1b_2138,
    0x4d2c_6dfc,
    0x5338_0d13,
    0x650a_7354,
    0x766a_0abb,
    0x81c2_c92e,
    0x9272_2c85,
    0xa2bf_e8a1,
    0xa81a_664b,
    0xc24b_8b70,
    0xc76c_51a3,
    0xd192_e819,
    0xd699_0624,
    0xf40e_3585,
    0x106a_a070,
    0x19a4_c116,
    0x1e37_6c08,
    0x2748_774c,
    0x34b0_bcb5,
    0x391c_0cb3,
    0x4ed8_aa4a,
    0x5b9c_ca4f,
    0x682e_6ff3,
    0x748f_82ee,
    0x78a5_636f,
    0x84c8_7814,
    0x8cc7_0208,
    0x90be_fffa,
    0xa450_6ceb,
    0xbef9_a3f7,
    0xc671_78f2,
];

/// `$body` once for each number, which it sees as the constant `$round`.
macro_rules! written_out {
    ($round:ident in $($number:literal)+ => $body:block) => {
        $({
            const $round: usize = $number;
            $body
        })+
    };
}

impl Rounds for EightyRounds {
    const WORDS: usize = 5;

    #[inline(always)]
    fn run<O: Operations<LANES>, const LANES: usize>(
        o: O,
        state: [O::Vector; 8],
        mut schedule: [O::Vector; 16],
    ) -> [O::Vector; 8] {
        let [mut a, mut b, mut c, mut d, mut e, f, g, h] = state;
        written_out!(ROUND in
            0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19
            20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39
            40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59
            60 61 62 63 64 65 66 67 68 69 70 71 72 73 74 75 76 77 78 79
        => {
            if matches!(ROUND, 16..) {
                // The words of 3, 8, 14 and 16 rounds ago.
                let near = o.xor3(schedule[(ROUND + 13) % 16], schedule[(ROUND + 8) % 16],
                    schedule[(ROUND + 2) % 16]);
                schedule[ROUND % 16] = o.rotate::<1, 31>(o.xor(near, schedule[ROUND % 16]));
            }
            let mixed = match ROUND / 20 {
                0 => o.choose(b, c, d),
                2 => o.majority(b, c, d),
                _ => o.xor3(b, c, d),
            };
            let word = o.add(schedule[ROUND % 16], o.splat(EIGHTY[ROUND / 20]));
            // What was known a round ago first: only a rotation and an addition wait for `a`.
            let known = o.add(mixed, o.add(e, word));
            let sum = o.add(known, o.rotate::<5, 27>(a));
            [a, b, c, d, e] = [sum, a, o.rotate::<30, 2>(b), c, d];
        });
        [a, b, c, d, e, f, g, h]
    }
}

impl Rounds for SixtyFourRounds {
    const WORDS: usize = 8;

    #[inline(always)]
    fn run<O: Operations<LANES>, const LANES: usize>(
        o: O,
        state: [O::Vector; 8],
        mut schedule: [O::Vector; 16],
    ) -> [O::Vector; 8] {
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
        written_out!(ROUND in
            0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15
            16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
            32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47
            48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63
        => {
            if matches!(ROUND, 16..) {
                // The words of 2 and 15 rounds ago, and below those of 7 and 16.
                let (near, far) = (schedule[(ROUND + 14) % 16], schedule[(ROUND + 1) % 16]);
                let near = o.xor3(
                    o.rotate::<15, 17>(near), o.rotate::<13, 19>(near), o.shift::<10>(near));
                let far = o.xor3(
                    o.rotate::<25, 7>(far), o.rotate::<14, 18>(far), o.shift::<3>(far));
                let old = o.add(schedule[ROUND % 16], schedule[(ROUND + 9) % 16]);
                schedule[ROUND % 16] = o.add(old, o.add(near, far));
            }
            let word = o.add(schedule[ROUND % 16], o.splat(SIXTY_FOUR[ROUND]));
            // What was known a round ago first, as above.
            let known = o.add(h, word);
            let turned = o.xor3(
                o.rotate::<26, 6>(e), o.rotate::<21, 11>(e), o.rotate::<7, 25>(e));
            let first = o.add(o.add(known, o.choose(e, f, g)), turned);
            let turned = o.xor3(
                o.rotate::<30, 2>(a), o.rotate::<19, 13>(a), o.rotate::<10, 22>(a));
            let second = o.add(turned, o.majority(a, b, c));
            [a, b, c, d, e, f, g, h] = [o.add(first, second), a, b, c, o.add(d, first), e, f, g];
        });
        [a, b, c, d, e, f, g, h]
    }
}
