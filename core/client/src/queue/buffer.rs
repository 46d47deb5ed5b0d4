//! Where entries lie until they are acknowledged.

use crate::io::shelf::Slot;

/// Bytes of a buffer that is used again.
pub(crate) const BUFFER_BYTES: usize = Slot::CAPACITY;

/// The bytes of one chunk.
#[derive(Debug)]
pub(crate) enum Buffer {
    /// In memory of this process: they have to be handed over within milliseconds.
    Heap(Vec<u8>),
    /// On the shelf: they survive the process.
    Shelf(Slot),
}

impl Buffer {
    /// Whether the entries survive the process.
    pub(crate) fn is_safe(&self) -> bool {
        matches!(self, Self::Shelf(_))
    }

    /// Whether an entry of so many bytes fits without moving what is there.
    #[inline]
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        let capacity = match self {
            Self::Heap(buffer) => buffer.capacity(),
            Self::Shelf(_) => Slot::CAPACITY,
        };
        bytes <= capacity - self.len()
    }

    /// Appends one entry, for which there is room.
    #[inline]
    pub(crate) fn push(&mut self, entry: &[u8]) {
        match self {
            Self::Heap(buffer) => buffer.extend_from_slice(entry),
            Self::Shelf(slot) => slot.push(entry),
        }
    }

    /// Number of bytes.
    pub(crate) fn len(&self) -> usize {
        self.bytes().len()
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Heap(buffer) => buffer,
            Self::Shelf(slot) => slot.bytes(),
        }
    }

    /// The memory, to be used again; a slot goes back to its shelf.
    pub(crate) fn recycled(self) -> Option<Vec<u8>> {
        match self {
            Self::Heap(buffer) => Some(buffer),
            Self::Shelf(_) => None,
        }
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Heap(bytes)
    }
}
