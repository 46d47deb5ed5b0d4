//! The values of a tensor that lives in this process's memory.

use std::slice;

use crate::histogram::Numbers;

/// Where the values of a tensor lie, as the tensor's owner in Python tells it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    address: usize,
    count: usize,
    kind: Kind,
}

/// How the values are stored.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Single,
    Double,
    Half,
    Brain,
}

impl Memory {
    /// `dtype` is `float32`, `float64`, `float16` or `bfloat16`. `None` for another one, and for what cannot be the address of so many.
    pub(crate) fn new(address: usize, count: usize, dtype: &str) -> Option<Self> {
        let (kind, size) = match dtype {
            "float32" => (Kind::Single, 4),
            "float64" => (Kind::Double, 8),
            "float16" => (Kind::Half, 2),
            "bfloat16" => (Kind::Brain, 2),
            _ => return None,
        };
        let fits = count
            .checked_mul(size)
            .is_some_and(|bytes| isize::try_from(bytes).is_ok());
        let sound = count == 0 || (address != 0 && address.is_multiple_of(size));
        (fits && sound).then_some(Self {
            address,
            count,
            kind,
        })
    }

    /// Calls `read` with the values.
    ///
    /// The caller in Python holds the tensor while this runs, and the tensor the memory; whoever resizes a tensor that another thread
    /// reads breaks every operation on it alike. Values that change meanwhile are numbers all the same.
    pub(crate) fn read<R>(self, read: impl FnOnce(Numbers<'_>) -> R) -> R {
        // SAFETY: aligned and within one allocation by `new` and the contract above; any bits are a valid number.
        unsafe {
            read(match self.kind {
                Kind::Single => Numbers::Single(self.slice()),
                Kind::Double => Numbers::Double(self.slice()),
                Kind::Half => Numbers::Half(self.slice()),
                Kind::Brain => Numbers::Brain(self.slice()),
            })
        }
    }

    unsafe fn slice<'a, T>(self) -> &'a [T] {
        if self.count == 0 {
            return &[];
        }
        // SAFETY: as the caller says.
        unsafe { slice::from_raw_parts(self.address as *const T, self.count) }
    }
}

/// Calls `read` with `count` bytes at `address`; `None` for what cannot be the address of so many. The contract is that of [`Memory::read`].
pub(crate) fn bytes_at<R>(
    address: usize,
    count: usize,
    read: impl FnOnce(&[u8]) -> R,
) -> Option<R> {
    if address == 0 || isize::try_from(count).is_err() {
        return None;
    }
    // SAFETY: within one allocation that the caller in Python holds; any bits are valid bytes.
    Some(read(unsafe {
        slice::from_raw_parts(address as *const u8, count)
    }))
}
