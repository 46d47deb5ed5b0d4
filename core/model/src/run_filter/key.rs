//! The keys of filters and orders: what of a run they name, in all spellings that are in use.

/// Longer names are no key of any run.
const MAX_KEY_BYTES: usize = 4_096;

/// A known key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// A member of the run itself.
    Field(Field),
    /// Whether the run has this tag: true, or missing.
    HasTag(String),
    /// A config value by its dotted path ([`super::path::in_config`]).
    Config(String),
    /// A summary value by its dotted path ([`super::path::in_object`]).
    Summary(String),
    /// A value of the machine metadata by its dotted path ([`super::path::in_object`]).
    Metadata(String),
    /// Whether the metric was logged: true, or missing.
    Logged(String),
}

/// Members of the run itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// The run's id, a text.
    Name,
    /// A text.
    DisplayName,
    /// A text.
    State,
    /// A time.
    CreatedAt,
    /// The last sign of life, a time.
    HeartbeatAt,
    /// A list of texts.
    Tags,
    /// A text, or missing.
    Group,
    /// A text, or missing.
    JobType,
    /// User name of who made the run.
    Username,
    /// Name of the entity of its project.
    Entity,
    /// Name of the machine, or missing.
    Host,
    /// Name of its sweep, or missing.
    Sweep,
    /// Seconds it has been running.
    Duration,
    /// A text, or missing.
    Description,
    /// A text, or missing.
    Notes,
    /// A text, or missing.
    Commit,
    /// Names of artifacts that it used, a list of texts.
    InputArtifacts,
    /// Names of artifacts that it logged, a list of texts.
    OutputArtifacts,
}

impl Field {
    /// All fields; [`Field::index`] is the place in here.
    pub const ALL: [Self; 18] = [
        Self::Name,
        Self::DisplayName,
        Self::State,
        Self::CreatedAt,
        Self::HeartbeatAt,
        Self::Tags,
        Self::Group,
        Self::JobType,
        Self::Username,
        Self::Entity,
        Self::Host,
        Self::Sweep,
        Self::Duration,
        Self::Description,
        Self::Notes,
        Self::Commit,
        Self::InputArtifacts,
        Self::OutputArtifacts,
    ];

    fn parse(key: &str) -> Option<Self> {
        Some(match key {
            "name" => Self::Name,
            "displayName" | "display_name" => Self::DisplayName,
            "state" => Self::State,
            "createdAt" | "created_at" => Self::CreatedAt,
            "heartbeatAt" | "heartbeat_at" | "updatedAt" | "updated_at" => Self::HeartbeatAt,
            "tags" => Self::Tags,
            "group" | "groupName" => Self::Group,
            "jobType" | "job_type" => Self::JobType,
            "username" => Self::Username,
            "entity" => Self::Entity,
            "host" => Self::Host,
            "sweep" => Self::Sweep,
            "duration" => Self::Duration,
            "description" => Self::Description,
            "notes" => Self::Notes,
            "commit" => Self::Commit,
            "inputArtifacts" => Self::InputArtifacts,
            "outputArtifacts" => Self::OutputArtifacts,
            _ => return None,
        })
    }

    /// Whether its values are times.
    pub fn is_time(self) -> bool {
        matches!(self, Self::CreatedAt | Self::HeartbeatAt)
    }

    /// Whether its values are lists, of which an empty one equals null.
    pub(super) fn is_list(self) -> bool {
        matches!(
            self,
            Self::Tags | Self::InputArtifacts | Self::OutputArtifacts
        )
    }
}

impl Key {
    /// Reads a key; the error says what is wrong with it.
    pub fn parse(key: &str) -> Result<Self, String> {
        if key.len() > MAX_KEY_BYTES {
            return Err(format!("a key of more than {MAX_KEY_BYTES} bytes"));
        }
        if key.contains('\0') {
            return Err("a key with a NUL character".to_owned());
        }
        if let Some(field) = Field::parse(key) {
            return Ok(Self::Field(field));
        }
        if matches!(
            key,
            "_step" | "_runtime" | "_timestamp" | "_absolute_runtime"
        ) {
            return Ok(Self::Summary(key.to_owned()));
        }
        let path = |prefix: &str| {
            key.strip_prefix(prefix)
                .filter(|rest| !rest.is_empty())
                .map(str::to_owned)
        };
        path("config.")
            .map(Self::Config)
            .or_else(|| path("summary_metrics.").map(Self::Summary))
            .or_else(|| path("summary.").map(Self::Summary))
            .or_else(|| path("metadata.").map(Self::Metadata))
            .or_else(|| path("tags.").map(Self::HasTag))
            .or_else(|| path("keys_info.keys.").map(Self::Logged))
            .ok_or_else(|| {
                format!(
                    "`{}` is no key of runs; metrics are `summary_metrics.<key>`, settings `config.<key>`",
                    shortened(key)
                )
            })
    }
}

/// The beginning of a text that is shown in a message.
pub(super) fn shortened(text: &str) -> String {
    const SHOWN: usize = 80;
    match text.char_indices().nth(SHOWN) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
