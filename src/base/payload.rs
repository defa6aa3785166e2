//! Payload on its way to a peer: bytes in memory, or bytes of a file that only the kernel touches.

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;

use crate::base::buffer::SharedBuf;

/// What a block is sent from. Cheap to clone, alive as long as somebody holds it.
#[derive(Clone, Debug)]
pub(crate) enum Payload {
    Memory(SharedBuf),
    Mapped(Mapped),
}

/// Bytes of a mapped file. Nobody but the kernel may read them: where the file has shrunk, a system
/// call fails and an access would be a signal. So there is no way from here to a slice; whoever has
/// to see bytes has them read into memory.
#[derive(Clone)]
pub(crate) struct Mapped {
    /// Keeps the mapping where it is.
    keeper: Rc<dyn Any>,
    address: usize,
    len: usize,
}

impl Payload {
    pub(crate) fn len(&self) -> usize {
        match self {
            Payload::Memory(bytes) => bytes.len(),
            Payload::Mapped(mapped) => mapped.len,
        }
    }

    /// The same bytes, narrowed to `range`; `None` if it reaches outside.
    pub(crate) fn slice(&self, range: Range<usize>) -> Option<Payload> {
        Some(match self {
            Payload::Memory(bytes) => Payload::Memory(bytes.slice(range)?),
            Payload::Mapped(mapped) => Payload::Mapped(mapped.slice(range)?),
        })
    }
}

impl From<SharedBuf> for Payload {
    fn from(bytes: SharedBuf) -> Payload {
        Payload::Memory(bytes)
    }
}

impl Mapped {
    /// `len` bytes at `address`, which stay mapped while `keeper` lives.
    pub(crate) fn new(keeper: Rc<dyn Any>, address: usize, len: usize) -> Mapped {
        Mapped { keeper, address, len }
    }

    /// For the kernel alone.
    pub(crate) fn address(&self) -> usize {
        self.address
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// What keeps the bytes mapped, if it is a `T`.
    pub(crate) fn keeper<T: 'static>(&self) -> Option<&T> {
        self.keeper.downcast_ref()
    }

    fn slice(&self, range: Range<usize>) -> Option<Mapped> {
        let is_inside = range.start <= range.end && range.end <= self.len;
        is_inside.then(|| Mapped {
            keeper: Rc::clone(&self.keeper),
            address: self.address + range.start,
            len: range.len(),
        })
    }
}

impl fmt::Debug for Mapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mapped({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::buffer::PageBuf;

    #[test]
    fn a_slice_of_mapped_bytes_keeps_the_whole_mapping() {
        let keeper: Rc<u32> = Rc::new(7);
        let whole = Payload::Mapped(Mapped::new(keeper.clone(), 1 << 20, 100));
        let part = whole.slice(30..50).unwrap();
        drop(whole);
        let Payload::Mapped(mapped) = &part else { panic!("{part:?}") };
        assert_eq!((mapped.address(), part.len()), ((1 << 20) + 30, 20));
        assert_eq!((mapped.keeper(), Rc::strong_count(&keeper)), (Some(&7_u32), 2));
        assert!(mapped.keeper::<u64>().is_none(), "it is another's");
        drop(part);
        assert_eq!(Rc::strong_count(&keeper), 1);
    }

    #[test]
    fn no_slice_reaches_outside() {
        let memory = Payload::from(PageBuf::zeroed(100).freeze());
        let mapped = Payload::Mapped(Mapped::new(Rc::new(()), 4096, 100));
        for payload in [memory, mapped] {
            assert_eq!(payload.slice(99..100).map(|part| part.len()), Some(1));
            assert_eq!(payload.slice(100..100).map(|part| part.len()), Some(0));
            assert!(payload.slice(99..101).is_none());
            assert!(payload.slice(0..50).is_some_and(|half| half.slice(0..51).is_none()));
        }
    }
}
