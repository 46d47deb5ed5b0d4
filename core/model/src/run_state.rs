//! The states a run can be in, as the server shows them (`reference/wandb/run-semantics.md` §11).

use std::fmt;
use std::str::FromStr;

/// What a run is doing, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunState {
    /// Created by a sweep or queue, not started.
    Pending,
    /// Heartbeats arrive.
    Running,
    /// Ended with exit code 0.
    Finished,
    /// Ended with another exit code.
    Failed,
    /// The process died, or its heartbeats stopped.
    Crashed,
    /// Stopped by a person or a sweep, then ended.
    Killed,
    /// Announced that the machine is being taken away.
    Preempting,
    /// Died after it was `Preempting`.
    Preempted,
}

impl RunState {
    /// The state that the end of a run leads to. A run whose machine is taken away and that does not end well was preempted.
    #[must_use]
    pub fn after_exit(self, exit_code: i64, stop_requested: bool) -> Self {
        match (exit_code, stop_requested) {
            (0, false) => Self::Finished,
            (_, true) => Self::Killed,
            // A repeated report of the end changes nothing.
            (_, false) if matches!(self, Self::Preempting | Self::Preempted) => Self::Preempted,
            (_, false) => Self::Failed,
        }
    }

    /// The state that silence leads to, or the death of the process.
    #[must_use]
    pub fn after_death(self) -> Self {
        match self {
            Self::Preempting => Self::Preempted,
            _ => Self::Crashed,
        }
    }

    /// Whether heartbeats are expected.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Running | Self::Preempting)
    }

    /// The lower-case word that the API uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Crashed => "crashed",
            Self::Killed => "killed",
            Self::Preempting => "preempting",
            Self::Preempted => "preempted",
        }
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A word that is no run state.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown run state `{0}`")]
pub struct UnknownState(String);

impl FromStr for RunState {
    type Err = UnknownState;

    fn from_str(word: &str) -> Result<Self, UnknownState> {
        const ALL: [RunState; 8] = [
            RunState::Pending,
            RunState::Running,
            RunState::Finished,
            RunState::Failed,
            RunState::Crashed,
            RunState::Killed,
            RunState::Preempting,
            RunState::Preempted,
        ];
        ALL.into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| UnknownState(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_and_deaths_lead_to_their_states() {
        let running = RunState::Running;
        assert_eq!(running.after_exit(0, false), RunState::Finished);
        assert_eq!(running.after_exit(3, false), RunState::Failed);
        assert_eq!(running.after_exit(255, true), RunState::Killed);
        let preempting = RunState::Preempting;
        assert_eq!(preempting.after_exit(0, false), RunState::Finished);
        assert_eq!(preempting.after_exit(143, false), RunState::Preempted);
        assert_eq!(preempting.after_exit(255, true), RunState::Killed);
        assert_eq!(
            RunState::Preempted.after_exit(143, false),
            RunState::Preempted
        );
        assert_eq!(RunState::Running.after_death(), RunState::Crashed);
        assert_eq!(RunState::Preempting.after_death(), RunState::Preempted);
    }

    #[test]
    fn words_read_back() {
        assert_eq!("preempted".parse(), Ok(RunState::Preempted));
        assert!("Finished".parse::<RunState>().is_err());
    }
}
