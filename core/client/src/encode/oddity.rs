//! Odd input that is accepted, and what the user is told of it.

/// Something odd that was accepted; the user hears of each kind once per run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Oddity {
    /// A key that the tracker fills in itself; the value was dropped.
    ReservedKey(&'static str),
    /// `_timestamp` was given and used.
    GivenTimestamp,
    /// Text that is not Unicode.
    Surrogates,
    /// A control character in a key.
    ControlCharacters,
    /// An integer beyond 64 bits.
    BigInteger,
    /// A list that takes very much text.
    LargeText {
        /// The key, dotted.
        key: String,
        /// Length of the text.
        bytes: usize,
    },
}

impl Oddity {
    /// The bit by which a run remembers that its user was told.
    pub(crate) fn bit(&self) -> u32 {
        match self {
            Self::ReservedKey("_runtime") => 1,
            Self::ReservedKey("_step") => 2,
            Self::GivenTimestamp | Self::ReservedKey("_timestamp") => 4,
            Self::ReservedKey(_) => 8,
            Self::Surrogates => 16,
            Self::ControlCharacters => 32,
            Self::BigInteger => 64,
            Self::LargeText { .. } => 128,
        }
    }

    /// The warning.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::ReservedKey(name) => format!(
                "key `{name}` is filled in by runlane itself; the value given to log does not replace it"
            ),
            Self::GivenTimestamp => {
                "key `_timestamp` is usually filled in by runlane; the given value is used".into()
            }
            Self::Surrogates => {
                "text with characters that are no Unicode was logged; they are stored as U+FFFD"
                    .into()
            }
            Self::ControlCharacters => {
                "a key with control characters was logged; they are shown escaped".into()
            }
            Self::BigInteger => "an integer beyond 64 bits was logged; it is stored as decimal text and not drawn\nhint: \
                 log `float(value)` to draw it"
                .into(),
            Self::LargeText { key, bytes } => format!(
                "the value of key `{}` takes {bytes} bytes of text in a row\nhint: log many numbers as a numpy array, which \
                 becomes a histogram, or as a file",
                key.escape_debug()
            ),
        }
    }
}
