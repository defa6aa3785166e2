//! Slots with generations: a slab whose ids name nothing once their value has left.

/// Values in numbered slots; a slot's generation rises each time it is emptied.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
    len: usize,
}

#[derive(Debug)]
struct Entry<T> {
    generation: u32,
    value: Option<T>,
}

/// Where a value stands, and in which generation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct SlotId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl<T> Default for Slots<T> {
    fn default() -> Slots<T> {
        Slots { entries: Vec::new(), free: Vec::new(), len: 0 }
    }
}

impl<T> Slots<T> {
    pub(crate) fn insert(&mut self, value: T) -> SlotId {
        self.len += 1;
        if let Some(slot) = self.free.pop() {
            let entry = &mut self.entries[slot as usize];
            entry.value = Some(value);
            return SlotId { slot, generation: entry.generation };
        }
        let slot = u32::try_from(self.entries.len()).expect("fewer than 2^32 slots fit in memory");
        self.entries.push(Entry { generation: 0, value: Some(value) });
        SlotId { slot, generation: 0 }
    }

    /// Inserts a value that knows its own id.
    pub(crate) fn insert_with(&mut self, make: impl FnOnce(SlotId) -> T) -> SlotId {
        let slot = self.free.last().copied().unwrap_or(self.entries.len() as u32);
        let generation = self.entries.get(slot as usize).map_or(0, |entry| entry.generation);
        let id = self.insert(make(SlotId { slot, generation }));
        debug_assert_eq!((id.slot, id.generation), (slot, generation), "the id was foretold");
        id
    }

    pub(crate) fn remove(&mut self, id: SlotId) -> Option<T> {
        let entry = self.entries.get_mut(id.slot as usize)?;
        if entry.generation != id.generation {
            return None;
        }
        let value = entry.value.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(id.slot);
        self.len -= 1;
        Some(value)
    }

    /// Takes a value out of its slot, which stays its own until it is put back.
    pub(crate) fn take(&mut self, id: SlotId) -> Option<T> {
        let entry = self.entries.get_mut(id.slot as usize)?;
        if entry.generation == id.generation { entry.value.take() } else { None }
    }

    /// Puts a value back that was taken, or what became of it.
    pub(crate) fn put(&mut self, id: SlotId, value: T) {
        if let Some(entry) = self.entries.get_mut(id.slot as usize)
            && entry.generation == id.generation
        {
            entry.value = Some(value);
        }
    }

    pub(crate) fn get(&self, id: SlotId) -> Option<&T> {
        let entry = self.entries.get(id.slot as usize)?;
        if entry.generation == id.generation { entry.value.as_ref() } else { None }
    }

    pub(crate) fn get_mut(&mut self, id: SlotId) -> Option<&mut T> {
        let entry = self.entries.get_mut(id.slot as usize)?;
        if entry.generation == id.generation { entry.value.as_mut() } else { None }
    }

    /// Whether there ever was a value.
    pub(crate) fn was_used(&self) -> bool {
        !self.entries.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The id of whatever stands in `slot` now.
    pub(crate) fn id_at(&self, slot: u32) -> Option<SlotId> {
        let entry = self.entries.get(slot as usize)?;
        entry.value.as_ref().map(|_| SlotId { slot, generation: entry.generation })
    }

    /// Every slot that was ever used is below this one.
    pub(crate) fn bound(&self) -> u32 {
        self.entries.len() as u32
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (SlotId, &T)> {
        self.entries.iter().enumerate().filter_map(|(slot, entry)| {
            let id = SlotId { slot: slot as u32, generation: entry.generation };
            entry.value.as_ref().map(|value| (id, value))
        })
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (SlotId, &mut T)> {
        self.entries.iter_mut().enumerate().filter_map(|(slot, entry)| {
            let id = SlotId { slot: slot as u32, generation: entry.generation };
            entry.value.as_mut().map(|value| (id, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_outlived_its_value_names_nothing() {
        let mut slots = Slots::default();
        let first = slots.insert("a");
        assert_eq!(slots.remove(first), Some("a"));
        let second = slots.insert("b");
        assert_eq!(first.slot, second.slot, "slots are used again");
        assert_eq!(slots.get(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get(second), Some(&"b"));
        assert_eq!(slots.iter().count(), slots.len());
    }
}
