//! Strangers' strings on their way to a terminal: nothing in them may steer it.

/// `text` with control characters and those that reorder text replaced by `\u{..}`.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\\' || c.is_control() || is_reordering(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// Bidirectional marks, embeddings and isolates, line and paragraph separators, the invisible.
fn is_reordering(c: char) -> bool {
    matches!(c,
        '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_clear_the_screen_or_turn_text_around() {
        assert_eq!(escape("a\x1b[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(escape("exe.\u{202e}txt\n"), "exe.\\u{202e}txt\\u{a}");
        assert_eq!(escape("\\u{1b}"), "\\u{5c}u{1b}", "an escape cannot be forged");
        assert_eq!(escape("für 日本 [x]"), "für 日本 [x]");
    }
}
