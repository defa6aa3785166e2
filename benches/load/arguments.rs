//! Command-line words: positional ones in order, options by name.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::str::FromStr;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;

/// Options that take no value.
const FLAGS: &[&str] = &["--verify"];

/// What is left of the command line.
pub(crate) struct Arguments {
    words: VecDeque<String>,
    options: Vec<(String, String)>,
}

impl Arguments {
    /// Sorts words from options; every option but the flags has a value behind it.
    pub(crate) fn new(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut sorted = Self { words: VecDeque::new(), options: Vec::new() };
        while let Some(word) = words.next() {
            if FLAGS.contains(&word.as_str()) {
                sorted.options.push((word, String::new()));
            } else if word.starts_with("--") {
                let value = words.next().with_context(|| format!("{word} needs a value"))?;
                sorted.options.push((word, value));
            } else {
                sorted.words.push_back(word);
            }
        }
        Ok(sorted)
    }

    /// The next positional word.
    pub(crate) fn word(&mut self) -> Option<String> {
        self.words.pop_front()
    }

    /// The next positional word, or an error that names it.
    pub(crate) fn required(&mut self, name: &str) -> Result<String> {
        self.word()
            .with_context(|| format!("expected {name}; without arguments the usage is shown"))
    }

    /// The next positional word as a socket address.
    pub(crate) fn address(&mut self) -> Result<SocketAddr> {
        let text = self.required("ADDRESS")?;
        text.parse().with_context(|| format!("expected IP:PORT, got {text:?}"))
    }

    /// The value of an option.
    pub(crate) fn take(&mut self, name: &str) -> Result<Option<String>> {
        let at = self.options.iter().position(|(option, _)| option == name);
        Ok(at.map(|at| self.options.remove(at).1))
    }

    /// The value of an option as a number.
    pub(crate) fn number<T: FromStr>(&mut self, name: &str) -> Result<Option<T>>
    where
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        let Some(text) = self.take(name)? else { return Ok(None) };
        Ok(Some(text.parse().with_context(|| format!("{name}: expected a number, got {text:?}"))?))
    }

    /// Whether a flag was given.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        matches!(self.take(name), Ok(Some(_)))
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Result<()> {
        let left: Vec<&str> = self
            .words
            .iter()
            .chain(self.options.iter().map(|(name, _)| name))
            .map(String::as_str)
            .collect();
        ensure!(left.is_empty(), "not understood: {}", left.join(" "));
        Ok(())
    }
}

/// A number of bytes with an optional suffix K, M or G (powers of 1024).
pub(crate) fn bytes(text: &str) -> Result<u64> {
    let (digits, unit) = match text.chars().last() {
        Some('K') => (&text[..text.len() - 1], 1 << 10),
        Some('M') => (&text[..text.len() - 1], 1 << 20),
        Some('G') => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    let number: u64 = digits.parse().with_context(|| format!("expected bytes, got {text:?}"))?;
    number.checked_mul(unit).with_context(|| format!("{text} is more than 64 bits"))
}
