//! What is to be uploaded, and under which names.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use runlane_proto::local;
use runlane_proto::wandb_internal as pb;
use runlane_translog::LiveLog;

/// One log on its way to one server.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) settings: local::RunSettings,
    pub(crate) log: PathBuf,
    /// The log through its writer, if that is in this process.
    pub(crate) live: Option<LiveLog>,
    pub(crate) files_dir: PathBuf,
    /// The run was opened just now by a training process; a log that lay on disk is never fresh.
    pub(crate) is_fresh: bool,
    /// Names that `sync` was told to use instead of the log's.
    pub(crate) overrides: Overrides,
    /// The log is looked at for growth this often, until its exit record; otherwise its writer says when it has grown.
    pub(crate) poll: Option<Duration>,
    /// What the server did not take earlier is sent again, when everything else is stored.
    pub(crate) retry_quarantined: bool,
}

/// Names to use instead of those in the log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overrides {
    pub(crate) entity: Option<String>,
    pub(crate) project: Option<String>,
    pub(crate) run_id: Option<String>,
    pub(crate) job_type: Option<String>,
    pub(crate) replace_tags: BTreeMap<String, String>,
}

impl Job {
    /// Puts the names that hold in place.
    pub(crate) fn rename(&self, run: &mut pb::RunRecord) {
        let put = |field: &mut String, value: Option<&String>| {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                field.clone_from(value);
            }
        };
        if run.entity.is_empty() {
            run.entity.clone_from(&self.settings.entity);
        }
        if run.project.is_empty() {
            run.project.clone_from(&self.settings.project);
        }
        put(&mut run.entity, self.overrides.entity.as_ref());
        put(&mut run.project, self.overrides.project.as_ref());
        put(&mut run.run_id, self.overrides.run_id.as_ref());
        put(&mut run.job_type, self.overrides.job_type.as_ref());
        run.tags = self.tags(&run.tags);
    }

    /// Tags with their replacements.
    pub(crate) fn tags(&self, tags: &[String]) -> Vec<String> {
        tags.iter()
            .map(|tag| self.overrides.replace_tags.get(tag).unwrap_or(tag).clone())
            .collect()
    }

    /// How the run is to be resumed: as the process said, or, for a log on disk, `allow` if it was asked for at all.
    pub(crate) fn resume_mode(&self, run: &pb::RunRecord) -> Option<&str> {
        match self.settings.resume.as_str() {
            "" => (!self.is_fresh && run.resume && !run.resumed).then_some("allow"),
            mode => Some(mode),
        }
    }

    /// What names this upload in the cursor file.
    pub(crate) fn cursor_key<'a>(&'a self, run: &'a pb::RunRecord) -> [&'a str; 4] {
        [
            self.settings.base_url.trim_end_matches('/'),
            &run.entity,
            &run.project,
            &run.run_id,
        ]
    }
}
