//! Keeps the order of entries while one of them is still being made.
//!
//! A call whose values are not ready holds the gate; whatever the process appends after it waits behind it, and goes on, in order,
//! when the call is released. An open gate costs one read of a flag.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::loss::Kind;

/// Entries behind a held call, in bytes, beyond which callers wait.
const WAITING_BYTES: usize = 16 << 20;

/// An entry and what it takes to append it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) entry: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) now_micros: u64,
}

enum Place {
    Held(u64),
    Ready(Waiting),
}

/// The entries of one stream from the first held call on.
#[derive(Default)]
pub(crate) struct Gate {
    shut: AtomicBool,
    places: Mutex<Places>,
    moved: Condvar,
}

#[derive(Default)]
struct Places {
    queue: VecDeque<Place>,
    bytes: usize,
    next_ticket: u64,
}

impl Gate {
    /// Holds what comes from now on, until the ticket is released.
    pub(crate) fn hold(&self) -> u64 {
        let mut places = self.lock();
        let ticket = places.next_ticket;
        places.next_ticket += 1;
        places.queue.push_back(Place::Held(ticket));
        self.shut.store(true, Ordering::Release);
        ticket
    }

    /// Whether nothing is held.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        !self.shut.load(Ordering::Acquire)
    }

    /// Takes an entry if it has to wait.
    #[cold]
    pub(crate) fn takes(&self, entry: &[u8], kind: Kind, now_micros: u64) -> bool {
        let mut places = self.lock();
        if places.queue.is_empty() {
            return false;
        }
        places.bytes += entry.len();
        places.queue.push_back(Place::Ready(Waiting {
            entry: entry.to_vec(),
            kind,
            now_micros,
        }));
        true
    }

    /// Puts the entry of a held call in its place, if there is one, and appends whatever waits no longer.
    pub(crate) fn release(
        &self,
        ticket: u64,
        made: Option<Waiting>,
        mut append: impl FnMut(&Waiting),
    ) {
        let mut places = self.lock();
        let held = |place: &Place| matches!(place, Place::Held(number) if *number == ticket);
        let Some(at) = places.queue.iter().position(held) else {
            return;
        };
        if let Some(made) = made {
            places.bytes += made.entry.len();
            places.queue[at] = Place::Ready(made);
        } else {
            _ = places.queue.remove(at);
        }
        while let Some(Place::Ready(_)) = places.queue.front() {
            if let Some(Place::Ready(waiting)) = places.queue.pop_front() {
                places.bytes -= waiting.entry.len();
                // Under the lock: who finds the gate open comes after these.
                append(&waiting);
            }
        }
        if places.queue.is_empty() {
            self.shut.store(false, Ordering::Release);
        }
        drop(places);
        self.moved.notify_all();
    }

    /// Whether so much waits that callers should.
    pub(crate) fn is_crowded(&self) -> bool {
        !self.is_open() && self.lock().bytes > WAITING_BYTES
    }

    /// Waits until less does, or the time is up.
    pub(crate) fn wait_for_room(&self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        let mut places = self.lock();
        while places.bytes > WAITING_BYTES {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            places = self
                .moved
                .wait_timeout(places, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn waiting(byte: u8) -> Waiting {
        Waiting {
            entry: vec![byte],
            kind: Kind::History,
            now_micros: byte.into(),
        }
    }

    proptest! {
        /// Calls are held or appended in some order, and held ones are made in another: what comes out is in the first.
        #[test]
        fn entries_come_out_in_the_order_of_their_calls(
            is_held in prop::collection::vec(any::<bool>(), 1..60),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 60),
            is_early in any::<prop::sample::Index>(),
        ) {
            let gate = Gate::default();
            let mut out: Vec<u8> = Vec::new();
            let mut open: Vec<(u64, u8)> = Vec::new();
            let early = is_early.index(is_held.len());
            for (number, &held) in (0_u8..).zip(&is_held) {
                if held {
                    open.push((gate.hold(), number));
                } else if gate.is_open() || !gate.takes(&[number], Kind::History, 0) {
                    out.push(number);
                }
                if usize::from(number) == early && !open.is_empty() {
                    let (ticket, byte) = open.remove(0);
                    gate.release(ticket, Some(waiting(byte)), |one| out.extend(&one.entry));
                }
            }
            for pick in picks {
                if open.is_empty() {
                    break;
                }
                let (ticket, byte) = open.remove(pick.index(open.len()));
                gate.release(ticket, Some(waiting(byte)), |one| out.extend(&one.entry));
            }
            prop_assert!(gate.is_open());
            let expected: Vec<u8> = (0..).take(is_held.len()).collect();
            prop_assert_eq!(out, expected);
        }
    }

    #[test]
    fn a_call_that_comes_to_nothing_lets_the_others_through() {
        let gate = Gate::default();
        let ticket = gate.hold();
        assert!(gate.takes(&[7], Kind::Other, 0));
        let mut out = Vec::new();
        gate.release(ticket, None, |one| out.push(one.entry.clone()));
        assert_eq!(out, [[7]]);
        assert!(gate.is_open() && !gate.takes(&[8], Kind::Other, 0));
    }

    #[test]
    fn much_that_waits_is_a_crowd() {
        let gate = Gate::default();
        let ticket = gate.hold();
        assert!(gate.takes(&vec![0; WAITING_BYTES + 1], Kind::History, 0));
        assert!(gate.is_crowded());
        gate.wait_for_room(Duration::from_millis(1));
        gate.release(ticket, None, |_| {});
        assert!(!gate.is_crowded());
    }
}
