//! Base32 (RFC 4648): how old magnet links spell info hashes.

/// Five bytes for each eight digits, of either case and without padding; `None` when a digit is
/// none or the length does not fit.
pub(crate) fn decode<const N: usize>(digits: &str) -> Option<[u8; N]> {
    if digits.len() * 5 != N * 8 {
        return None;
    }
    let mut bytes = [0; N];
    for (group, out) in digits.as_bytes().chunks(8).zip(bytes.chunks_mut(5)) {
        let mut bits = 0u64;
        for digit in group {
            bits = bits << 5 | u64::from(value(*digit)?);
        }
        out.copy_from_slice(&bits.to_be_bytes()[3..]);
    }
    Some(bytes)
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a'),
        b'2'..=b'7' => Some(digit - b'2' + 26),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_standard_decode_in_either_case() {
        assert_eq!(decode(""), Some([]));
        assert_eq!(decode("MZXW6YTB"), Some(*b"fooba"));
        assert_eq!(decode("mzxw6ytbMZXW6YTB"), Some(*b"foobafooba"));
        assert_eq!(decode("AAAAAAAB77777777"), Some([0, 0, 0, 0, 1, 255, 255, 255, 255, 255]));
    }

    #[test]
    fn wrong_digits_and_lengths_are_refused() {
        for digits in
            ["MZXW6YT1", "MZXW6YT8", "MZXW6YT0", "MZXW6YT=", "MZXW6Yé", "MZXW6YT", "MZXW6YTBA"]
        {
            assert_eq!(decode::<5>(digits), None, "{digits}");
        }
        assert_eq!(decode::<20>(&"A".repeat(31)), None);
    }
}
