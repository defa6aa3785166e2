//! Links in torrents and magnet links: which text can be one.

use crate::base::limits::TRACKER_URL_LEN_MAX;

/// Whether a URL can look like this: one word of 1 to `TRACKER_URL_LEN_MAX` bytes. Schemes are for
/// whoever follows it.
pub(crate) fn is_link(text: &str) -> bool {
    text.len() <= TRACKER_URL_LEN_MAX && is_word(text)
}

/// Text without white space and control characters, and not without any.
pub(crate) fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(|c| c.is_control() || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_one_word_that_is_not_too_long() {
        let longest = "x".repeat(TRACKER_URL_LEN_MAX);
        for link in ["udp://a", "\u{e4}", &longest] {
            assert!(is_link(link), "{link}");
        }
        let longer = "x".repeat(TRACKER_URL_LEN_MAX + 1);
        for text in ["", " ", "a b", "a\n", "a\u{a0}b", "\u{7f}", &longer] {
            assert!(!is_link(text), "{text:?}");
        }
    }
}
