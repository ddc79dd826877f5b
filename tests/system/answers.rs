//! The texts that authors and clients read when something goes wrong. Tests of several themes
//! compare them.

/// The author reads this where the fault is the service's own.
pub const SEE_LOGS: &str = "Couldn't execute sandboxed code: See logs.";

/// The author reads this where the run was killed before it printed anything.
pub const KILLED: &str =
    "Couldn't execute jailed code: stdout: b'', stderr: b'' with status code: -9";

/// The client reads this where no worker has passed its checks.
pub const NOT_CONFIGURED: &str = "Codejail service is not correctly configured";
