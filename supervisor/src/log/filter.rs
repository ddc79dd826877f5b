//! Which events are logged: `info`, or `warn,codejail::exec=info`.

use tracing_subscriber::EnvFilter;

/// Most bytes of a filter: it has room for some dozens of modules.
const BYTES_MAX: usize = 4096;
/// The names of levels in tracing.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Why a text is not a filter.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FilterError {
    /// A part of it is neither a level nor a level for a module.
    #[error("{0:?} is neither a level ({levels}) nor MODULE=LEVEL", levels = LEVELS.join(", "))]
    Part(String),
    /// It is longer than any real filter.
    #[error("a filter has at most {BYTES_MAX} bytes")]
    Long,
}

/// Reads a filter: parts with commas between them, each a level or `MODULE=LEVEL`. `EnvFilter`
/// would take any other word as a module, so a misspelt level would silence everything. Here it is
/// an error.
///
/// # Errors
/// The first part that is wrong.
pub fn parse(text: &str) -> Result<EnvFilter, FilterError> {
    if text.len() > BYTES_MAX {
        return Err(FilterError::Long);
    }
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    for part in &parts {
        let level = part.rsplit_once('=').map_or(*part, |(_, level)| level);
        let known = LEVELS.iter().any(|known| level.eq_ignore_ascii_case(known));
        if !known {
            return Err(FilterError::Part((*part).to_owned()));
        }
    }
    EnvFilter::try_new(parts.join(",")).map_err(|_| FilterError::Part(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_modules_with_levels_are_filters_and_other_words_are_none() {
        for right in [
            "info",
            "WARN",
            "off",
            "warn,codejail::exec=info",
            "info, hyper=off",
        ] {
            assert!(parse(right).is_ok(), "{right}");
        }
        for wrong in ["verbose", "", "info,", "codejail", "codejail=loud", "="] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse(&"info,".repeat(1000)).unwrap_err(), FilterError::Long);
    }
}
