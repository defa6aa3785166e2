//! Percent-encoding (RFC 3986, 2.1): bytes in the query of a URL and back.

use std::fmt;

/// Writes `bytes` with everything but unreserved characters as `%XX`.
pub(crate) fn write_escaped(out: &mut impl fmt::Write, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            out.write_char(char::from(*byte))
        }
        _ => write!(out, "%{byte:02X}"),
    })
}

/// The bytes that `text` stands for. A `%` without two hex digits stands for itself, as browsers
/// have it.
pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let escaped = if *first == b'%' { more.split_first_chunk() } else { None };
        match escaped.and_then(|(digits, more)| Some((hex_pair(*digits)?, more))) {
            Some((byte, more)) => {
                bytes.push(byte);
                rest = more;
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    bytes
}

fn hex_pair([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_the_way_there_and_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut text = String::new();
        write_escaped(&mut text, &bytes).unwrap();
        assert!(text.contains("%2C-.%2F0123456789%3A") && text.ends_with("%FF"), "{text}");
        assert_eq!(unescape(&text), bytes);
        assert_eq!(unescape(&text.to_lowercase()), bytes.to_ascii_lowercase());
    }

    #[test]
    fn a_percent_sign_alone_is_one() {
        assert_eq!(unescape("100%"), b"100%");
        assert_eq!(unescape("%4"), b"%4");
        assert_eq!(unescape("%zz%41%%41"), b"%zzA%A");
        assert_eq!(unescape("%+1é"), "%+1é".as_bytes());
    }
}
