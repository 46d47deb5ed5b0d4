//! Texts of a table, each kept once, however many runs have it.

use std::collections::HashMap;
use std::sync::Arc;

/// Memory of a text beside its bytes: slot, map entry, counters.
const OVERHEAD_BYTES: usize = 72;

/// Counted texts; an id stays valid until it has been released as often as it was taken.
#[derive(Debug, Default)]
pub(super) struct Texts {
    slots: Vec<Slot>,
    free: Vec<u32>,
    ids: HashMap<Arc<str>, u32>,
    bytes: usize,
}

#[derive(Debug)]
struct Slot {
    text: Arc<str>,
    uses: u32,
}

impl Texts {
    /// The id of a text, which is used once more from now on.
    pub(super) fn take(&mut self, text: &str) -> u32 {
        if let Some(id) = self.ids.get(text) {
            self.slots[*id as usize].uses += 1;
            return *id;
        }
        let text: Arc<str> = text.into();
        self.bytes += text.len() + OVERHEAD_BYTES;
        let slot = Slot {
            text: Arc::clone(&text),
            uses: 1,
        };
        let id = if let Some(id) = self.free.pop() {
            self.slots[id as usize] = slot;
            id
        } else {
            self.slots.push(slot);
            u32::try_from(self.slots.len() - 1).expect("texts are bounded in bytes")
        };
        self.ids.insert(text, id);
        id
    }

    /// Ends one use of a text.
    pub(super) fn release(&mut self, id: u32) {
        let slot = &mut self.slots[id as usize];
        slot.uses -= 1;
        if slot.uses == 0 {
            let text = std::mem::replace(&mut slot.text, "".into());
            self.bytes -= text.len() + OVERHEAD_BYTES;
            self.ids.remove(&text);
            self.free.push(id);
        }
    }

    /// A text.
    pub(super) fn get(&self, id: u32) -> &str {
        &self.slots[id as usize].text
    }

    /// The id of a text that some run has.
    pub(super) fn find(&self, text: &str) -> Option<u32> {
        self.ids.get(text).copied()
    }

    /// Memory, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_as_long_as_it_is_used() {
        let mut texts = Texts::default();
        let a = texts.take("a");
        assert_eq!(texts.take("a"), a);
        let b = texts.take("b");
        texts.release(a);
        assert_eq!(texts.get(a), "a");
        texts.release(a);
        assert_eq!(texts.find("a"), None);
        let c = texts.take("c");
        assert_eq!((c, texts.get(b), texts.get(c)), (a, "b", "c"));
        texts.release(b);
        texts.release(c);
        assert_eq!(texts.bytes(), 0);
    }
}
