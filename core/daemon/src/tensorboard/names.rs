//! Which files of a log directory are event files of the run.

/// What a name must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NameRule {
    /// The host's name, as Python's `socket.gethostname` gives it; any host if `None`.
    pub(crate) host: Option<String>,
    /// Unix seconds; files that were begun before are another run's. Any if `None`.
    pub(crate) since: Option<u64>,
}

/// Suffixes of files that stand beside event files and hold no summaries.
const NO_EVENTS: [&str; 2] = [".profile-empty", ".sagemaker-uploaded"];

impl NameRule {
    /// Whether a file `….tfevents.<unix seconds>.<host>[.<more>]` is one of the run's.
    pub(crate) fn admits(&self, name: &str) -> bool {
        let Some((_, rest)) = name.split_once("tfevents.") else {
            return false;
        };
        if NO_EVENTS.iter().any(|suffix| rest.ends_with(suffix)) {
            return false;
        }
        let (seconds, host) = rest.split_once('.').unwrap_or((rest, ""));
        let since = self
            .since
            .is_none_or(|since| seconds.parse::<u64>().is_ok_and(|begun| begun >= since));
        since
            && self.host.as_ref().is_none_or(|wanted| {
                host.strip_prefix(wanted.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_this_run_and_host_are_read() {
        let rule = NameRule {
            host: Some("node1".to_owned()),
            since: Some(1_000),
        };
        for name in [
            "events.out.tfevents.1000.node1",
            "events.out.tfevents.1001.node1.77.0.v2",
            "my.tfevents.2000.node1",
        ] {
            assert!(rule.admits(name), "{name}");
        }
        for name in [
            "events.out.tfevents.999.node1",
            "events.out.tfevents.1000.node10",
            "events.out.tfevents.1000.other",
            "events.out.tfevents.1000",
            "events.out.tfevents.soon.node1",
            "events.out.tfevents.1000.node1.profile-empty",
            "events.out.tfevents.1000.node1.sagemaker-uploaded",
            "checkpoint.1000.node1",
            "",
        ] {
            assert!(!rule.admits(name), "{name}");
        }
        let any = NameRule {
            host: None,
            since: None,
        };
        assert!(any.admits("events.out.tfevents.1.elsewhere"));
        assert!(any.admits("events.out.tfevents.x"));
        assert!(!any.admits("events.out.tfevents.1.vm.profile-empty"));
    }
}
