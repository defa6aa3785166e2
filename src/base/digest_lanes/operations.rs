//! What the rounds ask of vectors whose every element belongs to an input of its own.

/// Operations on `LANES` words at once. A value is proof that the CPU has what they need.
///
/// Everything is to be inlined into one function that has the CPU's features enabled: outside of
/// that each operation would be a call.
pub(crate) trait Operations<const LANES: usize>: Copy {
    /// A word of every input.
    type Vector: Copy;

    /// The same word for all.
    fn splat(self, word: u32) -> Self::Vector;

    /// Word i for input i.
    fn gather(self, words: [u32; LANES]) -> Self::Vector;

    /// The reverse of `gather`.
    fn scatter(self, vector: Self::Vector) -> [u32; LANES];

    /// A block of every input: vector i holds the i-th word of all, read as big-endian.
    fn load(self, blocks: [&[u8; 64]; LANES]) -> [Self::Vector; 16];

    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    fn xor(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    fn xor3(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;

    /// The bits of `b` where `a` has ones, those of `c` where it has zeros.
    fn choose(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;

    /// Each bit as most of the three have it.
    fn majority(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;

    /// To the left by `LEFT`; `RIGHT` is what is missing to 32.
    fn rotate<const LEFT: i32, const RIGHT: i32>(self, a: Self::Vector) -> Self::Vector;

    /// To the right by `BITS`, with zeros from the left.
    fn shift<const BITS: u32>(self, a: Self::Vector) -> Self::Vector;
}
