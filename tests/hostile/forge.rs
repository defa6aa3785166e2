//! A forge for .torrent files, sound or not: keys in the order given, values of any kind.

/// A bencoded value, or bytes that only claim to be one.
#[derive(Clone)]
pub(crate) enum Value {
    Int(i64),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    Dict(Vec<(Vec<u8>, Value)>),
    Raw(Vec<u8>),
}

use Value::Bytes;
use Value::Dict;
use Value::Int;
use Value::List;
use Value::Raw;

pub(crate) fn text(text: impl AsRef<[u8]>) -> Value {
    Bytes(text.as_ref().to_vec())
}

pub(crate) fn list(values: impl IntoIterator<Item = Value>) -> Value {
    List(values.into_iter().collect())
}

pub(crate) fn dict<'k>(pairs: impl IntoIterator<Item = (&'k str, Value)>) -> Value {
    Dict(pairs.into_iter().map(|(key, value)| (key.as_bytes().to_vec(), value)).collect())
}

pub(crate) fn raw(bytes: impl AsRef<[u8]>) -> Value {
    Raw(bytes.as_ref().to_vec())
}

impl Value {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Int(number) => format!("i{number}e").into_bytes(),
            Bytes(bytes) => [format!("{}:", bytes.len()).as_bytes(), bytes].concat(),
            List(values) => {
                let inner: Vec<Vec<u8>> = values.iter().map(Value::encode).collect();
                [b"l".to_vec(), inner.concat(), b"e".to_vec()].concat()
            }
            Dict(pairs) => {
                let pair = |(key, value): &(Vec<u8>, Value)| {
                    [Bytes(key.clone()).encode(), value.encode()].concat()
                };
                let inner: Vec<Vec<u8>> = pairs.iter().map(pair).collect();
                [b"d".to_vec(), inner.concat(), b"e".to_vec()].concat()
            }
            Raw(bytes) => bytes.clone(),
        }
    }
}

/// A torrent under construction: the root's pairs and those of `info`.
#[derive(Clone)]
pub(crate) struct Forge {
    root: Vec<(Vec<u8>, Value)>,
    info: Vec<(Vec<u8>, Value)>,
}

impl Forge {
    /// A torrent with this `info`.
    pub(crate) fn new<'k>(info: impl IntoIterator<Item = (&'k str, Value)>) -> Forge {
        let Dict(info) = dict(info) else { unreachable!("dict makes one") };
        Forge { root: Vec::new(), info }
    }

    /// Sets a key of `info`, or appends it.
    pub(crate) fn with(mut self, key: &str, value: Value) -> Forge {
        set(&mut self.info, key, value);
        self
    }

    pub(crate) fn without(mut self, key: &str) -> Forge {
        self.info.retain(|(found, _)| found != key.as_bytes());
        self
    }

    /// Appends a key of `info` even where it stands already.
    pub(crate) fn again(mut self, key: &str, value: Value) -> Forge {
        self.info.push((key.as_bytes().to_vec(), value));
        self
    }

    /// Sets a key beside `info`.
    pub(crate) fn beside(mut self, key: &str, value: Value) -> Forge {
        set(&mut self.root, key, value);
        self
    }

    /// Turns the order of the keys of `info` around.
    pub(crate) fn reversed(mut self) -> Forge {
        self.info.reverse();
        self
    }

    /// The raw `info` dictionary.
    pub(crate) fn info(&self) -> Vec<u8> {
        Dict(self.info.clone()).encode()
    }

    /// The .torrent file.
    pub(crate) fn file(&self) -> Vec<u8> {
        let mut root = self.root.clone();
        root.push((b"info".to_vec(), Dict(self.info.clone())));
        Dict(root).encode()
    }
}

fn set(pairs: &mut Vec<(Vec<u8>, Value)>, key: &str, value: Value) {
    match pairs.iter_mut().find(|(found, _)| found == key.as_bytes()) {
        Some((_, old)) => *old = value,
        None => pairs.push((key.as_bytes().to_vec(), value)),
    }
}

/// A sound v1 torrent of one file: 40,000 bytes in three pieces.
pub(crate) fn single() -> Forge {
    Forge::new([
        ("length", Int(40_000)),
        ("name", text("a")),
        ("piece length", Int(16_384)),
        ("pieces", text([7; 60])),
    ])
}

/// A sound v1 torrent of two files in a directory: 40,000 bytes in three pieces.
pub(crate) fn multi() -> Forge {
    with_files([file(10_000, &["a"]), file(30_000, &["b", "c"])])
}

/// A v1 torrent of these files, with hashes for 40,000 bytes.
pub(crate) fn with_files(files: impl IntoIterator<Item = Value>) -> Forge {
    Forge::new([
        ("files", list(files)),
        ("name", text("dir")),
        ("piece length", Int(16_384)),
        ("pieces", text([7; 60])),
    ])
}

/// An entry of `files`.
pub(crate) fn file(length: i64, path: &[&str]) -> Value {
    dict([("length", Int(length)), ("path", list(path.iter().map(text)))])
}

/// An entry of `files` for a path of any bytes.
pub(crate) fn file_at(length: i64, path: &[&[u8]]) -> Value {
    dict([("length", Int(length)), ("path", list(path.iter().map(text)))])
}
