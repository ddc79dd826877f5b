//! Names of scratch directories, as processes send them to each other.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The start of every name. Authors' error messages and the LMS's log filters contain it.
pub const PREFIX: &str = "codejail-";
/// Random characters after the prefix, as Python's `tempfile` makes them.
pub const RANDOM_CHARS: usize = 8;
/// How many of the random characters are the same for all directories of one running service. These
/// characters are the service's tag. At the service's end the spawner finds the directories that
/// remain by this tag.
pub const TAG_CHARS: usize = 4;

/// A scratch directory's name below the scratch root: `codejail-` and eight of `[a-z0-9_]`.
///
/// A value of this type holds no `/` and no `..`, so joining it to the root stays below the root.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ScratchName(String);

/// The text is not a scratch directory's name.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a scratch name: {PREFIX} and {RANDOM_CHARS} characters of [a-z0-9_]")]
pub struct NotAScratchName(String);

impl ScratchName {
    /// Makes a name of random bytes. The last four distinguish 37^4 directories of one service; a
    /// clash fails the `mkdir`, and the next try has another name.
    #[must_use]
    pub fn from_random(random: [u8; RANDOM_CHARS]) -> Self {
        const ALPHABET: &[u8; 37] = b"abcdefghijklmnopqrstuvwxyz0123456789_";
        let tail = random
            .iter()
            .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
        Self(PREFIX.chars().chain(tail).collect())
    }

    /// Whether `other` comes from the same running service.
    #[must_use]
    pub fn same_tag(&self, other: &Self) -> bool {
        let tagged = PREFIX.len() + TAG_CHARS;
        self.0[..tagged] == other.0[..tagged]
    }

    /// Whether this is the name of the spawner's own directory, which no worker or sandbox may
    /// have: [`SpawnerConfig::scratch_tag`](crate::spawn::SpawnerConfig::scratch_tag).
    #[must_use]
    pub fn is_tag(&self) -> bool {
        self.0[PREFIX.len() + TAG_CHARS..]
            .bytes()
            .all(|byte| byte == b'a')
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ScratchName {
    type Error = NotAScratchName;

    fn try_from(text: String) -> Result<Self, NotAScratchName> {
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        match text.strip_prefix(PREFIX) {
            Some(tail) if tail.len() == RANDOM_CHARS && tail.bytes().all(legal) => Ok(Self(text)),
            _ => Err(NotAScratchName(text)),
        }
    }
}

impl From<ScratchName> for String {
    fn from(name: ScratchName) -> Self {
        name.0
    }
}

impl fmt::Display for ScratchName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pattern_is_a_name() {
        for good in ["codejail-abcdefgh", "codejail-a_9zzzz0"] {
            assert!(ScratchName::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in [
            "codejail-abcdefg",
            "codejail-abcdefghi",
            "codejail-../../ab",
            "codejail-ABCDEFGH",
            "/codejail-abcdefgh",
            "",
        ] {
            assert!(ScratchName::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_first_random_bytes_are_the_tag() {
        let name = |random| ScratchName::from_random(random);
        assert!(name([1, 2, 3, 4, 5, 6, 7, 8]).same_tag(&name([1, 2, 3, 4, 8, 7, 6, 5])));
        assert!(!name([1, 2, 3, 4, 5, 6, 7, 8]).same_tag(&name([1, 2, 3, 5, 5, 6, 7, 8])));
    }

    #[test]
    fn random_bytes_always_make_a_name() {
        for byte in 0..=255 {
            let name = ScratchName::from_random([byte; RANDOM_CHARS]);
            assert!(ScratchName::try_from(name.as_str().to_owned()).is_ok());
        }
    }
}
