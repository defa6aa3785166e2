//! Bencode as spans: one flat list of tokens over borrowed bytes (BEP 3, bencoding).
//!
//! Every token knows where its next sibling stands, so skipping a value costs one step. Nothing
//! recurses; depth and token count are arguments. Keys may be unsorted (files in the wild have it)
//! and may repeat (see [`Value::duplicate_key`]); integers and lengths must be in their one
//! canonical form.

use std::ops::Range;

/// What a document may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Lists and dictionaries inside each other.
    pub(crate) depth: u32,
    /// Values and keys altogether, containers included.
    pub(crate) tokens: u32,
}

/// Where a document is wrong, in bytes from its start, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("byte {offset} of the bencoded data: {kind}")]
pub struct BencodeError {
    /// Bytes before the fault.
    pub offset: usize,
    /// What is wrong there.
    pub kind: BencodeErrorKind,
}

/// What is wrong with a bencoded document.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BencodeErrorKind {
    /// The document stops in the middle.
    #[error("expected more data, got the end; the data is cut short")]
    Truncated,
    /// A byte that starts no value.
    #[error("expected a value, got another byte")]
    NotAValue,
    /// A dictionary key that is not a byte string.
    #[error("expected a byte string as dictionary key")]
    KeyNotAString,
    /// A dictionary that ends between key and value.
    #[error("expected a value after a dictionary key, got the end of the dictionary")]
    KeyWithoutValue,
    /// An integer with a leading zero, a plus, `-0`, no digits or foreign characters.
    #[error("expected an integer in canonical form")]
    BadInteger,
    /// An integer beyond 64 bits, sign included.
    #[error("expected an integer of at most 64 bits")]
    IntegerTooLarge,
    /// A string length with a leading zero or foreign characters.
    #[error("expected a string length in canonical form")]
    BadLength,
    /// More levels than allowed.
    #[error("expected less nesting")]
    TooDeep,
    /// More values than allowed.
    #[error("expected fewer values")]
    TooManyTokens,
    /// More bytes than a 32-bit offset reaches.
    #[error("expected less than 4 GiB of data")]
    TooLong,
    /// Bytes after the end of the document.
    #[error("expected the end, got more data")]
    TrailingBytes,
}

use BencodeErrorKind as Kind;

/// Kind follows from the byte at `start`. Offsets fit 32 bits because longer input is refused.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// First byte of the value.
    start: u32,
    /// First byte of the payload: of a string after the colon, of everything else after its letter.
    body: u32,
    /// One past the last byte of the value.
    end: u32,
    /// Index of the token after this value and all it contains.
    next: u32,
}

/// A parsed document over the bytes it came from.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    bytes: &'a [u8],
    entries: Vec<Entry>,
}

impl<'a> Document<'a> {
    /// One value and nothing after it.
    pub(crate) fn parse(bytes: &'a [u8], limits: Limits) -> Result<Document<'a>, BencodeError> {
        let (document, used) = Document::parse_prefix(bytes, limits)?;
        if used < bytes.len() {
            return Err(BencodeError { offset: used, kind: Kind::TrailingBytes });
        }
        Ok(document)
    }

    /// One value, and how many bytes it took; what follows is not looked at.
    pub(crate) fn parse_prefix(
        bytes: &'a [u8],
        limits: Limits,
    ) -> Result<(Document<'a>, usize), BencodeError> {
        if u32::try_from(bytes.len()).is_err() {
            return Err(BencodeError { offset: 0, kind: Kind::TooLong });
        }
        let mut parser = Parser { bytes, at: 0, limits, entries: Vec::new(), open: Vec::new() };
        parser.run().map_err(|kind| BencodeError { offset: parser.at, kind })?;
        Ok((Document { bytes, entries: parser.entries }, parser.at))
    }

    pub(crate) fn root(&self) -> Value<'_> {
        Value { bytes: self.bytes, entries: &self.entries, index: 0 }
    }
}

struct Open {
    index: usize,
    /// For dictionaries: whether a key stands next.
    wants_key: Option<bool>,
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    limits: Limits,
    entries: Vec<Entry>,
    open: Vec<Open>,
}

impl Parser<'_> {
    /// One value; on error `at` is where it is wrong.
    fn run(&mut self) -> Result<(), Kind> {
        loop {
            let byte = *self.bytes.get(self.at).ok_or(Kind::Truncated)?;
            if byte == b'e' && !self.open.is_empty() {
                self.close()?;
            } else {
                self.value(byte)?;
            }
            if self.open.is_empty() {
                return Ok(());
            }
        }
    }

    fn value(&mut self, byte: u8) -> Result<(), Kind> {
        let depth = self.open.len();
        let is_key = match self.open.last_mut().and_then(|open| open.wants_key.as_mut()) {
            Some(wants_key) => {
                *wants_key = !*wants_key;
                !*wants_key
            }
            None => false,
        };
        if is_key && !byte.is_ascii_digit() {
            return Err(Kind::KeyNotAString);
        }
        if self.entries.len() >= self.limits.tokens as usize {
            return Err(Kind::TooManyTokens);
        }
        let start = self.at;
        let body = match byte {
            b'0'..=b'9' => self.string()?,
            b'i' => self.integer()?,
            b'l' | b'd' if depth >= self.limits.depth as usize => return Err(Kind::TooDeep),
            b'l' | b'd' => {
                let wants_key = (byte == b'd').then_some(true);
                self.open.push(Open { index: self.entries.len(), wants_key });
                self.at += 1;
                self.at
            }
            _ => return Err(Kind::NotAValue),
        };
        let next = self.entries.len() as u32 + 1;
        let entry = Entry { start: start as u32, body: body as u32, end: self.at as u32, next };
        self.entries.push(entry);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Kind> {
        if self.open.last().is_some_and(|open| open.wants_key == Some(false)) {
            return Err(Kind::KeyWithoutValue);
        }
        self.at += 1;
        let next = self.entries.len() as u32;
        if let Some(open) = self.open.pop()
            && let Some(entry) = self.entries.get_mut(open.index)
        {
            entry.end = self.at as u32;
            entry.next = next;
        }
        Ok(())
    }

    /// Steps over a string and answers where its payload starts.
    fn string(&mut self) -> Result<usize, Kind> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        // 4294967295 has ten digits; longer lengths cannot be met.
        let digits = rest.iter().take(11).take_while(|byte| byte.is_ascii_digit()).count();
        match rest.get(digits) {
            Some(b':') => {}
            None => return Err(Kind::Truncated),
            Some(_) => return Err(Kind::BadLength),
        }
        if digits > 1 && rest.first() == Some(&b'0') {
            return Err(Kind::BadLength);
        }
        let number = rest.iter().take(digits);
        let len = number.fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        let body = self.at + digits + 1;
        if len > (self.bytes.len() - body) as u64 {
            return Err(Kind::Truncated);
        }
        self.at = body + len as usize;
        Ok(body)
    }

    /// Steps over an integer and answers where its digits start.
    fn integer(&mut self) -> Result<usize, Kind> {
        let body = self.at + 1;
        let rest = self.bytes.get(body..).unwrap_or_default();
        // i64::MIN has 20 characters; the end stands within 21 or the number is too large.
        let len = match rest.iter().take(21).position(|byte| *byte == b'e') {
            Some(len) => len,
            None if rest.len() < 21 && rest.iter().all(is_number_byte) => {
                return Err(Kind::Truncated);
            }
            None if rest.iter().take(21).all(is_number_byte) => return Err(Kind::IntegerTooLarge),
            None => return Err(Kind::BadInteger),
        };
        let text = rest.get(..len).unwrap_or_default();
        let digits = text.strip_prefix(b"-").unwrap_or(text);
        let is_zero_led = digits.first() == Some(&b'0') && text.len() > 1;
        if digits.is_empty() || is_zero_led || !digits.iter().all(u8::is_ascii_digit) {
            return Err(Kind::BadInteger);
        }
        if parse_integer(text).is_none() {
            return Err(Kind::IntegerTooLarge);
        }
        self.at = body + len + 1;
        Ok(body)
    }
}

fn is_number_byte(byte: &u8) -> bool {
    byte.is_ascii_digit() || *byte == b'-'
}

fn parse_integer(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// One value of a document.
#[derive(Clone, Copy)]
pub(crate) struct Value<'a> {
    bytes: &'a [u8],
    entries: &'a [Entry],
    index: usize,
}

impl<'a> Value<'a> {
    /// The integer, if it is one.
    pub(crate) fn as_int(&self) -> Option<i64> {
        if self.first() != b'i' {
            return None;
        }
        let entry = self.entry();
        parse_integer(self.bytes.get(entry.body as usize..entry.end as usize - 1)?)
    }

    /// The integer, if it is one and not negative.
    pub(crate) fn as_u64(&self) -> Option<u64> {
        u64::try_from(self.as_int()?).ok()
    }

    /// The byte string, if it is one.
    pub(crate) fn as_bytes(&self) -> Option<&'a [u8]> {
        let entry = self.entry();
        if !self.first().is_ascii_digit() {
            return None;
        }
        self.bytes.get(entry.body as usize..entry.end as usize)
    }

    /// The byte string, if it is one and UTF-8.
    pub(crate) fn as_str(&self) -> Option<&'a str> {
        std::str::from_utf8(self.as_bytes()?).ok()
    }

    /// The values of a list, if it is one.
    pub(crate) fn as_list(&self) -> Option<List<'a>> {
        (self.first() == b'l').then(|| List(self.children()))
    }

    /// The pairs of a dictionary, if it is one, in the order of the document.
    pub(crate) fn as_dict(&self) -> Option<Dict<'a>> {
        (self.first() == b'd').then(|| Dict(self.children()))
    }

    pub(crate) fn is_dict(&self) -> bool {
        self.first() == b'd'
    }

    /// The value of the first pair with `key`; `None` also where this is no dictionary.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Value<'a>> {
        self.as_dict()?.find(|(found, _)| *found == key).map(|(_, value)| value)
    }

    /// Where the value stands in the document.
    pub(crate) fn span(&self) -> Range<usize> {
        let entry = self.entry();
        entry.start as usize..entry.end as usize
    }

    /// The value as it stands in the document.
    pub(crate) fn raw(&self) -> &'a [u8] {
        self.bytes.get(self.span()).unwrap_or_default()
    }

    /// A key that stands twice in one dictionary, here or anywhere below. Sorted dictionaries,
    /// which nearly all are, cost one comparison per key.
    pub(crate) fn duplicate_key(&self) -> Option<&'a [u8]> {
        (self.index..self.entry().next as usize)
            .filter_map(|index| Value { index, ..*self }.as_dict())
            .find_map(|dict| dict.duplicate_key())
    }

    fn entry(&self) -> Entry {
        // `index` was made by the parser or by `Siblings`, which stays inside.
        self.entries[self.index]
    }

    fn first(&self) -> u8 {
        self.bytes.get(self.entry().start as usize).copied().unwrap_or_default()
    }

    fn children(&self) -> Siblings<'a> {
        Siblings { at: Value { index: self.index + 1, ..*self }, end: self.entry().next as usize }
    }
}

impl std::fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Value({})", self.raw().escape_ascii())
    }
}

#[derive(Clone)]
struct Siblings<'a> {
    at: Value<'a>,
    end: usize,
}

impl<'a> Iterator for Siblings<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        if self.at.index >= self.end {
            return None;
        }
        let value = self.at;
        self.at.index = value.entry().next as usize;
        Some(value)
    }
}

/// The values of a list.
#[derive(Clone)]
pub(crate) struct List<'a>(Siblings<'a>);

impl<'a> Iterator for List<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        self.0.next()
    }
}

/// The pairs of a dictionary.
#[derive(Clone)]
pub(crate) struct Dict<'a>(Siblings<'a>);

impl<'a> Iterator for Dict<'a> {
    type Item = (&'a [u8], Value<'a>);

    fn next(&mut self) -> Option<(&'a [u8], Value<'a>)> {
        let key = self.0.next()?.as_bytes()?;
        Some((key, self.0.next()?))
    }
}

impl<'a> Dict<'a> {
    fn duplicate_key(self) -> Option<&'a [u8]> {
        let keys = self.map(|(key, _)| key);
        if keys.clone().is_sorted_by(|a, b| a < b) {
            return None;
        }
        // Not strictly rising: sort a copy, bounded by the token limit.
        let mut sorted: Vec<&[u8]> = keys.collect();
        sorted.sort_unstable();
        sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
    }
}

#[cfg(test)]
mod tests;
