//! Whether executing is safe: what the startup checks found. Unsafe until every one has passed.

use parking_lot::RwLock;

/// One check and what it found.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Check {
    /// The original's name for it.
    pub id: &'static str,
    /// Nothing, or what is wrong.
    pub failure: Option<String>,
}

/// The results so far.
#[derive(Debug, Default)]
pub struct Health(RwLock<Option<Vec<Check>>>);

impl Health {
    /// Whether all checks have run and passed.
    #[must_use]
    pub fn is_safe(&self) -> bool {
        let checks = self.0.read();
        checks
            .as_ref()
            .is_some_and(|checks| checks.iter().all(|check| check.failure.is_none()))
    }

    /// Replaces the results.
    pub fn set(&self, checks: Vec<Check>) {
        *self.0.write() = Some(checks);
    }

    /// The results so far.
    #[must_use]
    pub fn checks(&self) -> Vec<Check> {
        self.0.read().clone().unwrap_or_default()
    }

    /// Body of `/health/`: the original's key first.
    #[must_use]
    pub fn body(&self) -> String {
        let status = if self.is_safe() { "OK" } else { "UNAVAILABLE" };
        let checks = self.0.read();
        serde_json::json!({ "status": status, "checks": *checks }).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(failure: Option<&str>) -> Check {
        Check {
            id: "disk",
            failure: failure.map(str::to_owned),
        }
    }

    #[test]
    fn nothing_is_safe_until_every_check_has_passed() {
        let health = Health::default();
        assert!(!health.is_safe());
        health.set(vec![check(None), check(Some("listed /"))]);
        assert!(!health.is_safe());
        health.set(vec![check(None)]);
        assert!(health.is_safe());
    }
}
