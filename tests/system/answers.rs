//! What authors and clients read when something goes wrong: the texts that several themes compare with.

use codejail_harness::root::is_root;

/// The author's, where the fault is the service's own.
pub const SEE_LOGS: &str = "Couldn't execute sandboxed code: See logs.";

/// The author's, where the run was killed before it printed anything.
pub const KILLED: &str =
    "Couldn't execute jailed code: stdout: b'', stderr: b'' with status code: -9";

/// The exception of code that opens a file of a process of the host below `/proc`. In a root of its own
/// that process is not there; where the harness has left the mounts out, Landlock denies it.
pub fn hidden_process() -> &'static str {
    if is_root() {
        "FileNotFoundError"
    } else {
        "PermissionError"
    }
}

/// The client's, where no worker has passed its checks.
pub const NOT_CONFIGURED: &str = "Codejail service is not correctly configured";
