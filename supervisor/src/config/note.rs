//! Remarks on what the sources say, for the log.

/// A part of a source that does not count, or a value that no source has set and that is not the
/// default.
#[derive(Debug, PartialEq, Eq)]
pub enum Note {
    /// It is not needed here.
    Ignored(String),
    /// A value that follows from this host, since no source sets it.
    Chosen(String),
    /// A mistake for the original too, but one that does not stop it.
    Mistake(String),
    /// Nothing reads it. Most likely it is a typing error.
    Unknown(String),
    /// This host does not give what it asks for, or not as it seems.
    Warning(String),
}

impl Note {
    /// Writes it to the log.
    pub fn log(&self) {
        match self {
            Self::Chosen(text) => tracing::info!(event = "setting_chosen", "{text}"),
            Self::Ignored(text) => tracing::info!(event = "setting_ignored", "{text}"),
            Self::Mistake(text) => tracing::error!(event = "setting_mistaken", "{text}"),
            Self::Unknown(text) => tracing::warn!(event = "setting_unknown", "{text}"),
            Self::Warning(text) => tracing::warn!(event = "setting_warning", "{text}"),
        }
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Chosen(text)
            | Self::Ignored(text)
            | Self::Mistake(text)
            | Self::Unknown(text)
            | Self::Warning(text) => text,
        }
    }
}
