//! One probe: code to run, and what must come of it.

use crate::client::Client;
use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};

/// What must come of a probe.
#[derive(Debug, Clone, Copy)]
pub enum Expected {
    /// It runs to its end and the global `x` is this.
    X(&'static str),
    /// It fails with this in its error.
    Error(&'static str),
}

/// Code to run, and what must come of it.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// `deny_…`, `allow_…` or `support_…`.
    pub name: &'static str,
    /// The code, which is harmless also where it succeeds against the expectation.
    pub code: &'static str,
    /// What must come of it.
    pub expected: Expected,
}

impl Probe {
    /// Runs it.
    ///
    /// # Errors
    /// The service did not answer, or not as expected.
    pub fn run(&self, client: &mut Client) -> Result<()> {
        let payload = json!({ "code": self.code, "globals_dict": {} }).to_string();
        let answer: Value = serde_json::from_str(&client.execute(&payload)?)?;
        let emsg = answer["emsg"].as_str();
        match (self.expected, emsg) {
            (Expected::X(x), None) => {
                let found = answer["globals_dict"]["x"].to_string();
                ensure!(found == x, "expected x = {x}, got {found}");
            }
            (Expected::X(x), Some(emsg)) => bail!("expected x = {x}, got {emsg}"),
            (Expected::Error(error), Some(emsg)) => {
                ensure!(emsg.contains(error), "expected {error}, got {emsg}");
            }
            (Expected::Error(error), None) => bail!("expected {error}, got {answer}"),
        }
        Ok(())
    }
}
