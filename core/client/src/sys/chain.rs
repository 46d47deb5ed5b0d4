//! A list that only grows, without locks.
//!
//! A child of `fork` inherits the memory of its parent but none of its threads: a lock that another thread held at
//! that moment stays locked in the child forever. What a child has to look at therefore lives in such lists.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A list that only grows; every element lives as long as the list.
pub(crate) struct Chain<T> {
    newest: AtomicPtr<Link<T>>,
}

struct Link<T> {
    value: T,
    older: *mut Link<T>,
}

impl<T> Chain<T> {
    /// An empty list.
    pub(crate) const fn new() -> Self {
        Self {
            newest: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// The element that was added last.
    #[inline]
    pub(crate) fn newest(&self) -> Option<&T> {
        // SAFETY: the pointer is null or came from `Box::into_raw` in `push`; links are freed only by `drop`, which has
        // the list exclusively, so the link outlives the borrow of `self`. Acquire pairs with the release in `push`.
        unsafe { self.newest.load(Ordering::Acquire).as_ref() }.map(|link| &link.value)
    }

    /// Adds an element unless `newest` satisfies `enough`; returns the newest element that does.
    pub(crate) fn push_unless(&self, value: T, enough: impl Fn(&T) -> bool) -> &T {
        let mut head = self.newest.load(Ordering::Acquire);
        let link = Box::into_raw(Box::new(Link { value, older: head }));
        loop {
            // SAFETY: as in `newest`.
            if let Some(found) = unsafe { head.as_ref() }.filter(|found| enough(&found.value)) {
                // SAFETY: `link` was never published, this thread is its only owner.
                drop(unsafe { Box::from_raw(link) });
                return &found.value;
            }
            // SAFETY: as above; nobody else sees `link` before the exchange succeeds.
            unsafe { (*link).older = head };
            match self
                .newest
                .compare_exchange(head, link, Ordering::AcqRel, Ordering::Acquire)
            {
                // SAFETY: the link is published now and lives as long as the list.
                Ok(_) => return unsafe { &(*link).value },
                Err(current) => head = current,
            }
        }
    }
}

impl<T> Default for Chain<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for Chain<T> {
    fn drop(&mut self) {
        let mut link = *self.newest.get_mut();
        while !link.is_null() {
            // SAFETY: exclusive access; every link was made by `Box::into_raw` and is freed once.
            let owned = unsafe { Box::from_raw(link) };
            link = owned.older;
        }
    }
}

// SAFETY: the list hands out `&T` to any thread and drops `T` wherever it is dropped itself.
unsafe impl<T: Send + Sync> Sync for Chain<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Send for Chain<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_wins_and_enough_stops_growth() {
        let chain = Chain::new();
        assert!(chain.newest().is_none());
        assert_eq!(*chain.push_unless(1, |_| false), 1);
        assert_eq!(*chain.push_unless(2, |newest| *newest == 1), 1);
        assert_eq!(*chain.push_unless(3, |newest| *newest == 2), 3);
        assert_eq!(chain.newest(), Some(&3));
    }

    #[test]
    fn threads_agree_on_one_element() {
        let chain = Chain::new();
        std::thread::scope(|scope| {
            let found: Vec<_> = (0..4)
                .map(|number| {
                    scope.spawn({
                        let chain = &chain;
                        move || *chain.push_unless(number, |_| true)
                    })
                })
                .collect();
            let found: Vec<i32> = found
                .into_iter()
                .map(|it| it.join().expect("no panic"))
                .collect();
            assert!(found.iter().all(|it| it == &found[0]), "{found:?}");
        });
    }
}
