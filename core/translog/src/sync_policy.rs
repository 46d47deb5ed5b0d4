//! When the log must be synced: a state machine without clock or I/O.

use std::time::{Duration, Instant};

/// The oldest unsynced byte waits no longer than this.
pub const MAX_UNSYNCED_DELAY: Duration = Duration::from_millis(500);

/// No more than this many bytes wait.
pub const MAX_UNSYNCED_BYTES: u64 = 1024 * 1024;

/// How eagerly a run's records are made durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Sync only on request: finish, flush, alert, run header, preemption.
    Relaxed,
    /// Within [`MAX_UNSYNCED_DELAY`] or [`MAX_UNSYNCED_BYTES`], whichever comes first.
    #[default]
    Default,
    /// As soon as possible; appends during a running sync share the next one.
    Strict,
}

/// Tracks unsynced bytes and says when the next sync is due.
///
/// At most one sync runs at a time. What is appended meanwhile is covered by the next one, and its
/// age counts from its own append.
#[derive(Clone, Debug)]
pub struct SyncPolicy {
    durability: Durability,
    waiting: Waiting,
    in_flight: Option<Waiting>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Waiting {
    bytes: u64,
    oldest: Option<Instant>,
    urgent: bool,
}

impl SyncPolicy {
    /// A policy with nothing waiting.
    pub fn new(durability: Durability) -> Self {
        Self {
            durability,
            waiting: Waiting::default(),
            in_flight: None,
        }
    }

    /// `bytes` were appended at `now`.
    pub fn appended(&mut self, bytes: u64, now: Instant) {
        self.waiting.bytes += bytes;
        self.waiting.oldest.get_or_insert(now);
    }

    /// What has been appended so far must be durable at once.
    pub fn request(&mut self, now: Instant) {
        self.waiting.urgent = true;
        self.waiting.oldest.get_or_insert(now);
    }

    /// The instant from which [`SyncPolicy::is_due`] holds if nothing else happens; `None` while
    /// nothing waits or a sync is running.
    pub fn deadline(&self) -> Option<Instant> {
        let oldest = self.waiting.oldest?;
        if self.in_flight.is_some() {
            return None;
        }
        if self.waiting.urgent {
            return Some(oldest);
        }
        match self.durability {
            Durability::Relaxed => None,
            Durability::Strict => Some(oldest),
            Durability::Default if self.waiting.bytes >= MAX_UNSYNCED_BYTES => Some(oldest),
            Durability::Default => Some(oldest + MAX_UNSYNCED_DELAY),
        }
    }

    /// Whether a sync should start now.
    pub fn is_due(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now)
    }

    /// A sync of everything appended so far has started.
    pub fn started(&mut self) {
        debug_assert!(self.in_flight.is_none(), "one sync at a time");
        self.in_flight = Some(std::mem::take(&mut self.waiting));
    }

    /// The running sync has ended. After a failure its bytes wait again, for the sync of the file
    /// that replaces the log.
    pub fn finished(&mut self, succeeded: bool) {
        let Some(flight) = self.in_flight.take() else {
            return;
        };
        if !succeeded {
            self.waiting.bytes += flight.bytes;
            self.waiting.oldest = flight.oldest.or(self.waiting.oldest);
            self.waiting.urgent = true;
        }
    }

    /// Bytes that are not known to be durable.
    pub fn unsynced_bytes(&self) -> u64 {
        self.waiting.bytes + self.in_flight.map_or(0, |flight| flight.bytes)
    }

    /// When the oldest byte that is not known to be durable was appended.
    pub fn oldest_unsynced(&self) -> Option<Instant> {
        self.in_flight
            .and_then(|flight| flight.oldest)
            .or(self.waiting.oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn oldest_byte_waits_half_a_second() {
        let start = Instant::now();
        let mut policy = SyncPolicy::new(Durability::Default);
        assert_eq!(policy.deadline(), None);
        policy.appended(10, start);
        policy.appended(10, ms(start, 499));
        assert!(!policy.is_due(ms(start, 499)));
        assert!(policy.is_due(ms(start, 500)));
        assert_eq!(policy.deadline(), Some(ms(start, 500)));
    }

    #[test]
    fn a_mebibyte_or_a_request_is_due_at_once() {
        let start = Instant::now();
        let mut policy = SyncPolicy::new(Durability::Default);
        policy.appended(MAX_UNSYNCED_BYTES - 1, start);
        assert!(!policy.is_due(start));
        policy.appended(1, start);
        assert!(policy.is_due(start));

        for durability in [Durability::Default, Durability::Relaxed] {
            let mut policy = SyncPolicy::new(durability);
            policy.appended(1, start);
            policy.request(start);
            assert!(policy.is_due(start));
        }
    }

    #[test]
    fn bytes_appended_during_a_sync_wait_for_the_next() {
        let start = Instant::now();
        let mut policy = SyncPolicy::new(Durability::Default);
        policy.appended(5, start);
        policy.started();
        policy.appended(7, ms(start, 100));
        assert_eq!(policy.deadline(), None);
        assert_eq!(policy.unsynced_bytes(), 12);
        assert_eq!(policy.oldest_unsynced(), Some(start));
        policy.finished(true);
        assert_eq!(policy.unsynced_bytes(), 7);
        assert_eq!(policy.deadline(), Some(ms(start, 600)));
    }

    #[test]
    fn a_failed_sync_leaves_its_bytes_waiting() {
        let start = Instant::now();
        let mut policy = SyncPolicy::new(Durability::Relaxed);
        policy.appended(5, start);
        assert_eq!(policy.deadline(), None);
        policy.started();
        policy.finished(false);
        assert_eq!(policy.unsynced_bytes(), 5);
        assert!(policy.is_due(start));
    }

    #[test]
    fn strict_is_due_with_every_append() {
        let start = Instant::now();
        let mut policy = SyncPolicy::new(Durability::Strict);
        policy.appended(1, start);
        assert!(policy.is_due(start));
    }
}
