//! What authors and clients read when something goes wrong: the texts that several themes compare
//! with.

/// The author's, where the fault is the service's own.
pub const SEE_LOGS: &str = "Couldn't execute sandboxed code: See logs.";

/// The author's, where the run was killed before it printed anything.
pub const KILLED: &str =
    "Couldn't execute jailed code: stdout: b'', stderr: b'' with status code: -9";

/// The client's, where no worker has passed its checks.
pub const NOT_CONFIGURED: &str = "Codejail service is not correctly configured";
