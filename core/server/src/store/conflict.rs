//! Transactions that lose against others. PostgreSQL ends one of two that wait for each other, and two processes may create the same
//! at the same time; done again from its beginning, the transaction goes through.
//!
//! ```ignore
//! let mut retries = Retries::default();
//! let done = loop {
//!     match transaction().await {
//!         Err(error) if retries.again(&error).await => {}
//!         done => break done,
//!     }
//! };
//! ```

use std::time::Duration;

/// Runs a transaction, given as the call that is one, until it goes through, fails for another reason, or has lost too often.
macro_rules! retried {
    ($transaction:expr) => {{
        let mut retries = $crate::store::conflict::Retries::default();
        loop {
            match $transaction.await {
                Err(error) if retries.again(&error).await => {}
                done => break done,
            }
        }
    }};
}

pub(crate) use retried;

use crate::auth::token;

/// How often a transaction is done again.
const RETRIES: u32 = 3;
/// How long at least it is waited before; longer each time.
const WAIT: Duration = Duration::from_millis(10);

/// An error that may mean that a transaction lost against another one.
pub(crate) trait Conflicting {
    /// Whether the transaction may go through if it is done again.
    fn is_conflict(&self) -> bool;
}

/// How often a transaction was done again.
#[derive(Debug, Default)]
pub(crate) struct Retries(u32);

impl Retries {
    /// Whether to do it again after `error`; waits a moment if so.
    pub(crate) async fn again(&mut self, error: &impl Conflicting) -> bool {
        if !error.is_conflict() || self.0 == RETRIES {
            return false;
        }
        let wait = WAIT * 2_u32.pow(self.0);
        self.0 += 1;
        let [random] = token::random_bytes::<1>();
        tracing::debug!(retry = self.0, "a transaction lost against another one");
        tokio::time::sleep(wait + wait * u32::from(random) / 256).await;
        true
    }
}
