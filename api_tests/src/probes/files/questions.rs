//! Asking about files outside without reading them.

use crate::probe::Need::Decoy;
use crate::probe::Probe;

/// Why one layer is enough to protect names, sizes and places of files.
const METADATA: &str = "no content is read; it only shows that a file is there, and its size";

/// A question about a decoy: name, what it shows, the decoy, and the code that asks.
macro_rules! question {
    ($name:literal, $shows:literal, $decoy:literal => $code:literal) => {
        Probe::surface($name, $shows, METADATA, $code).needs(&[Decoy($decoy)])
    };
}

/// The probes of this file.
pub const PROBES: &[Probe] = &[
    question! { "deny_status_of_files_outside", "Sizes, owners and times of files outside can't be asked for.",
    "file" => "x = outcome(lambda: os.stat(decoy['file']).st_size, FILES)" },
    question! { "deny_asking_whether_files_exist", "It can't be asked whether a file outside is there.",
    "file" => "x = outcome(lambda: os.access(decoy['file'], os.F_OK), FILES)" },
    question! { "deny_entering_directories_outside", "The current directory can't be moved out.",
    "dir" => "x = outcome(lambda: os.chdir(decoy['dir']), FILES)" },
    question! { "deny_reading_links_outside", "Where a symbolic link outside leads to can't be read.",
    "pid" => "x = outcome(lambda: os.readlink(f\"/proc/{decoy['pid']}/exe\"), FILES)" },
    question! { "deny_attributes_of_files_outside", "Extended attributes of files outside can't be listed.",
    "file" => "x = outcome(lambda: os.listxattr(decoy['file']) is not None, FILES)" },
    question! { "deny_opening_files_outside_as_places", "A file outside can't be opened even as a mere place.",
    "file" => "x = outcome(lambda: os.open(decoy['file'], os.O_PATH), FILES)" },
    Probe::surface(
        "deny_locking_shared_files",
        "A file that all runs may read can't be locked against them.",
        "only code of other runs waits for such a lock",
        "import fcntl\nx = outcome(lambda: fcntl.flock(open(os.__file__), fcntl.LOCK_EX | fcntl.LOCK_NB))",
    ),
];
