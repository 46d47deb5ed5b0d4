//! The gates of the hosts that a process talks to, shared by all its uploads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use runlane_model::backoff::{Admission, HostGate, Verdict};
use tokio::sync::Notify;

use super::http::{CallError, HttpAnswer, check};
use crate::clock::Clock;

/// Hosts that are kept in mind; beyond, idle ones are forgotten.
const HOSTS: usize = 64;

/// All hosts.
#[derive(Debug)]
pub(crate) struct Hosts {
    clock: Arc<dyn Clock>,
    known: Mutex<HashMap<String, Arc<Host>>>,
}

/// One host, by scheme, name and port.
#[derive(Debug)]
pub(crate) struct Host {
    clock: Arc<dyn Clock>,
    gate: Mutex<HostGate>,
    /// Whoever waits at the gate holds it: tokio's mutex serves in order of arrival.
    turn: tokio::sync::Mutex<()>,
    ended: Notify,
}

/// The right to send one request.
#[derive(Debug)]
pub(crate) struct Pass {
    host: Arc<Host>,
    began: Instant,
    told: bool,
}

impl Hosts {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            clock,
            known: Mutex::default(),
        })
    }

    /// The host of a URL; a URL that is none has one of its own.
    pub(crate) fn of(&self, url: &str) -> Arc<Host> {
        let name = url::Url::parse(url).map_or_else(
            |_invalid| String::new(),
            |url| url.origin().ascii_serialization(),
        );
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = known.get(&name) {
            return Arc::clone(host);
        }
        if known.len() >= HOSTS {
            let now = self.clock.now();
            known.retain(|_, host| Arc::strong_count(host) > 1 || !host.gate().is_idle(now));
        }
        let host = Arc::new(Host {
            clock: Arc::clone(&self.clock),
            gate: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            ended: Notify::new(),
        });
        known.insert(name, Arc::clone(&host));
        host
    }
}

impl Host {
    fn gate(&self) -> MutexGuard<'_, HostGate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn; at once while the host answers.
    pub(crate) async fn enter(self: Arc<Self>) -> Pass {
        let turn = self.turn.lock().await;
        loop {
            let ended = self.ended.notified();
            let now = self.clock.now();
            let admission = self.gate().enter(now, rand::random());
            match admission {
                Admission::Go => break,
                Admission::At(at) => self.clock.sleep_until(at).await,
                Admission::AfterAnother => ended.await,
            }
        }
        drop(turn);
        let began = self.clock.now();
        Pass {
            host: self,
            began,
            told: false,
        }
    }
}

impl Pass {
    /// Tells the gate how it went, and judges the answer.
    pub(crate) fn end(
        mut self,
        outcome: Result<HttpAnswer, CallError>,
    ) -> Result<HttpAnswer, CallError> {
        self.told = true;
        let now = self.host.clock.now();
        let outcome = outcome.and_then(check);
        let mut gate = self.host.gate();
        let outcome = match outcome {
            Err(mut error) if error.verdict == Verdict::Retry => {
                gate.failed(now);
                // A host that names a time, or asks for less, is not asked sooner.
                if error.retry_after.is_none() && error.status != 429 {
                    error.hope = gate.hope(now);
                }
                Err(error)
            }
            other => {
                let took: Duration = now.saturating_duration_since(self.began);
                gate.succeeded(now, took);
                other
            }
        };
        drop(gate);
        self.host.ended.notify_one();
        outcome
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if !self.told {
            self.host.gate().abandoned();
            self.host.ended.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn runs_share_the_gate_of_a_host_and_a_given_up_request_leaves_it() {
        let hosts = Hosts::new(Arc::new(SystemClock));
        let host = hosts.of("http://a:1/graphql");
        assert!(Arc::ptr_eq(
            &host,
            &hosts.of("http://a:1/files/e/p/r/file_stream")
        ));
        assert!(!Arc::ptr_eq(&host, &hosts.of("http://a:2/")));
        for _ in 0..3 {
            let pass = Arc::clone(&host).enter().await;
            let error = pass.end(Err(CallError::retry("no"))).expect_err("failed");
            assert_eq!(error.hope, None);
        }
        // The first is let through, the second has to wait a second.
        drop(Arc::clone(&hosts.of("http://a:1")).enter().await);
        let second = tokio::time::timeout(Duration::from_millis(200), Arc::clone(&host).enter());
        second.await.expect_err("spaced");
        assert!(!host.gate().is_idle(Instant::now()));
        let pass = tokio::time::timeout(Duration::from_secs(10), Arc::clone(&host).enter());
        let pass = pass.await.expect("its turn");
        let answer = pass.end(Ok(HttpAnswer {
            status: 404,
            ..HttpAnswer::default()
        }));
        assert_eq!(answer.expect_err("refused").verdict, Verdict::Refused);
        // A refusal is a sensible answer: the host is there.
        let hope = Arc::clone(&host)
            .enter()
            .await
            .end(Err(CallError::retry("no")));
        assert!(hope.expect_err("failed").hope.is_some());
    }
}
