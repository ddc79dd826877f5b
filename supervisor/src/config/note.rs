//! What a source says in vain: it is told in the log.

/// Something that a source says and that does not count, or that none says and that is not the
/// default.
#[derive(Debug, PartialEq, Eq)]
pub enum Note {
    /// It is not needed here.
    Ignored(String),
    /// What follows from this host, since no source says it.
    Chosen(String),
    /// It is a mistake there too, but none that stops the original.
    Mistake(String),
    /// Nothing reads it: most likely a typing error.
    Unknown(String),
    /// What it asks for this host does not give, or not as it seems.
    Warning(String),
}

impl Note {
    /// Says it in the log.
    pub fn log(&self) {
        match self {
            Self::Chosen(text) => tracing::info!(event = "setting_chosen", "{text}"),
            Self::Ignored(text) => tracing::info!(event = "setting_ignored", "{text}"),
            Self::Mistake(text) => tracing::error!(event = "setting_mistaken", "{text}"),
            Self::Unknown(text) => tracing::warn!(event = "setting_unknown", "{text}"),
            Self::Warning(text) => tracing::warn!(event = "setting_warning", "{text}"),
        }
    }

    /// What it says.
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
