//! A dictionary taken apart into raw values, to be put together again with some of them changed.

use std::borrow::Cow;

use bendy::encoding::Error;
use bendy::encoding::ToBencode;

use crate::codec::bencode::Value;

/// Keys with their raw values, in the order of the file until they are written.
#[derive(Default)]
pub(crate) struct Pairs<'a>(Vec<(&'a [u8], Cow<'a, [u8]>)>);

impl<'a> Pairs<'a> {
    /// Of a dictionary; of anything else, none.
    pub(crate) fn read(dict: Value<'a>) -> Pairs<'a> {
        let pairs = dict.as_dict().into_iter().flatten();
        Pairs(pairs.map(|(key, value)| (key, Cow::Borrowed(value.raw()))).collect())
    }

    /// The value of `key`, encoded, instead of whatever there was.
    pub(crate) fn set(
        &mut self,
        key: &'static [u8],
        value: Option<impl ToBencode>,
    ) -> Result<(), Error> {
        self.put(key, value.map(|value| value.to_bencode()).transpose()?);
        Ok(())
    }

    /// The one value of `key`, or none, whatever there was.
    pub(crate) fn put(&mut self, key: &'static [u8], raw: Option<Vec<u8>>) {
        self.0.retain(|(found, _)| *found != key);
        self.0.extend(raw.map(|raw| (key, Cow::Owned(raw))));
    }

    pub(crate) fn write(mut self) -> Vec<u8> {
        self.0.sort_by_key(|(key, _)| *key);
        let mut bytes = vec![b'd'];
        for (key, raw) in &self.0 {
            bytes.extend_from_slice(format!("{}:", key.len()).as_bytes());
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(raw);
        }
        bytes.push(b'e');
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::bencode::Document;
    use crate::codec::metainfo::LIMITS;

    #[test]
    fn what_is_not_named_keeps_its_bytes_and_what_is_stands_once_in_its_place() {
        let odd = b"d1:zd1:bi1e1:ai2ee1:m1:x1:m1:ye";
        let document = Document::parse(odd, LIMITS).unwrap();
        let mut pairs = Pairs::read(document.root());
        pairs.set(b"m", Some("new")).unwrap();
        pairs.set(b"a", Some(1)).unwrap();
        pairs.set(b"absent", None::<i64>).unwrap();
        assert_eq!(pairs.write(), b"d1:ai1e1:m3:new1:zd1:bi1e1:ai2eee");
    }
}
