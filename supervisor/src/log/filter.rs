//! Which events are logged: `info`, or `warn,codejail::exec=info`.

use tracing_subscriber::EnvFilter;

/// Longest filter: some dozens of modules.
const BYTES_MAX: usize = 4096;
/// As tracing names them.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Why a text is no filter.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FilterError {
    /// A part of it is neither a level nor a module's.
    #[error("{0:?} is neither a level ({levels}) nor MODULE=LEVEL", levels = LEVELS.join(", "))]
    Part(String),
    /// It is longer than anybody would write.
    #[error("a filter has at most {BYTES_MAX} bytes")]
    Long,
}

/// Reads a filter: parts with commas between them, each a level, or `MODULE=LEVEL`. Unlike
/// `EnvFilter` it takes no other word for a module: a misspelt level would silence everything.
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
