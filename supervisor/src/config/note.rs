//! What a source says in vain: it is told in the log.

/// Something that a source says and that does not count.
#[derive(Debug, PartialEq, Eq)]
pub enum Note {
    /// It is not needed here.
    Ignored(String),
    /// It is a mistake there too, but none that stops the original.
    Mistake(String),
}

impl Note {
    /// Says it in the log.
    pub fn log(&self) {
        match self {
            Self::Ignored(text) => tracing::info!(event = "setting_ignored", "{text}"),
            Self::Mistake(text) => tracing::error!(event = "setting_mistaken", "{text}"),
        }
    }
}
