//! Announce URLs for eyes: passkeys redacted, nothing that a terminal would obey.

/// What stands where a secret was.
const HIDDEN: &str = "***";
/// Characters shown of anything a tracker or a torrent wrote.
const SHOWN_LEN_MAX: usize = 300;

/// `url` without what only its owner may know: user and password, path segments that look like
/// keys, and all values of the query. Scheme, host, port and plain path words stay.
pub(crate) fn redact(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let rest = rest.split('#').next().unwrap_or("");
    let (before_query, query) = match rest.split_once('?') {
        Some((before, query)) => (before, Some(query)),
        None => (rest, None),
    };
    let mut segments = before_query.split('/');
    let authority = segments.next().unwrap_or("");
    let mut shown = scheme;
    shown.push_str(authority.rsplit('@').next().unwrap_or(""));
    for segment in segments {
        shown.push('/');
        shown.push_str(if is_secret(segment) { HIDDEN } else { segment });
    }
    if let Some(query) = query {
        shown.push('?');
        shown.push_str(&redact_query(query));
    }
    printable(&shown)
}

/// `text` of a stranger, cut and without control or direction-changing characters.
pub(crate) fn printable(text: &str) -> String {
    let harmless = |c: char| match c {
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().take(SHOWN_LEN_MAX).map(harmless).collect()
}

/// Keys keep their names, values go; a query without `=` is a value.
fn redact_query(query: &str) -> String {
    let redact_pair = |pair: &str| match pair.split_once('=') {
        Some((name, _)) => format!("{name}={HIDDEN}"),
        None if pair.is_empty() => String::new(),
        None => HIDDEN.to_owned(),
    };
    query.split('&').map(redact_pair).collect::<Vec<_>>().join("&")
}

/// Passkeys are long and mixed; `announce`, `announce.php`, `scrape`, `tr` and `v2` are not.
fn is_secret(segment: &str) -> bool {
    let has_digit = segment.bytes().any(|b| b.is_ascii_digit());
    let has_upper = segment.bytes().any(|b| b.is_ascii_uppercase());
    let has_escape = segment.contains('%');
    segment.len() >= 20 || segment.len() >= 8 && (has_digit || has_upper || has_escape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passkeys_never_show() {
        let rows = [
            ("http://t.example.org/announce", "http://t.example.org/announce"),
            ("udp://t.example.org:6969/announce", "udp://t.example.org:6969/announce"),
            ("http://t.org/0123456789abcdef0123456789abcdef/announce", "http://t.org/***/announce"),
            ("http://t.org/abcdefghijklmnopqrstuvwxyzab/announce", "http://t.org/***/announce"),
            (
                "http://t.org/announce.php?passkey=s3cret&x=1",
                "http://t.org/announce.php?passkey=***&x=***",
            ),
            ("http://t.org/announce?s3cret", "http://t.org/announce?***"),
            ("https://me:pass@t.org/announce#frag", "https://t.org/announce"),
            ("http://[::1]:6969/announce", "http://[::1]:6969/announce"),
            ("nonsense", "nonsense"),
            ("http://t.org/\u{1b}[m", "http://t.org/\u{fffd}[m"),
            ("", ""),
        ];
        for (url, expected) in rows {
            assert_eq!(redact(url), expected, "{url}");
        }
    }

    #[test]
    fn a_long_reason_is_cut() {
        assert_eq!(printable(&"x".repeat(10_000)).len(), SHOWN_LEN_MAX);
    }
}
