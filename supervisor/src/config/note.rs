//! Notes about settings: the log and `check` show them.

/// A note about a setting that does not mean what an operator may expect.
#[derive(Debug, PartialEq, Eq)]
pub enum Note {
    /// The service does not need this setting.
    Ignored(String),
    /// No source sets this key, and its value follows from the host.
    Chosen(String),
    /// The setting is a mistake for the original too, but the original starts all the same.
    Mistake(String),
    /// Nothing reads this setting: most likely it is a typing error.
    Unknown(String),
    /// This host does not give what the setting asks for, or not in the way that one would expect.
    Warning(String),
}

impl Note {
    /// Logs the note.
    pub fn log(&self) {
        match self {
            Self::Chosen(text) => tracing::info!(event = "setting_chosen", "{text}"),
            Self::Ignored(text) => tracing::info!(event = "setting_ignored", "{text}"),
            Self::Mistake(text) => tracing::error!(event = "setting_mistaken", "{text}"),
            Self::Unknown(text) => tracing::warn!(event = "setting_unknown", "{text}"),
            Self::Warning(text) => tracing::warn!(event = "setting_warning", "{text}"),
        }
    }

    /// The text of the note.
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
