//! Asking about files outside without reading them.

use crate::probe::Need::Decoy;
use crate::probe::Probe;

/// Why one layer may guard names, sizes and places of files.
const METADATA: &str = "no content is read: it tells that a file is there, and its size";

/// The part.
pub const PROBES: &[Probe] = &[
    Probe::surface(
        "deny_status_of_files_outside",
        "Sizes, owners and times of files outside can't be asked for.",
        METADATA,
        "x = outcome(lambda: os.stat(decoy['file']).st_size, FILES)",
    )
    .needs(&[Decoy("file")]),
    Probe::surface(
        "deny_asking_whether_files_exist",
        "It can't be asked whether a file outside is there.",
        METADATA,
        "x = outcome(lambda: os.access(decoy['file'], os.F_OK), FILES)",
    )
    .needs(&[Decoy("file")]),
    Probe::surface(
        "deny_entering_directories_outside",
        "The current directory can't be moved out.",
        METADATA,
        "x = outcome(lambda: os.chdir(decoy['dir']), FILES)",
    )
    .needs(&[Decoy("dir")]),
    Probe::surface(
        "deny_reading_links_outside",
        "Where a symbolic link outside leads to can't be read.",
        METADATA,
        "x = outcome(lambda: os.readlink(f\"/proc/{decoy['pid']}/exe\"), FILES)",
    )
    .needs(&[Decoy("pid")]),
    Probe::surface(
        "deny_attributes_of_files_outside",
        "Extended attributes of files outside can't be listed.",
        METADATA,
        "x = outcome(lambda: os.listxattr(decoy['file']) is not None, FILES)",
    )
    .needs(&[Decoy("file")]),
    Probe::surface(
        "deny_opening_files_outside_as_places",
        "A file outside can't be opened even as a mere place.",
        METADATA,
        "x = outcome(lambda: os.open(decoy['file'], os.O_PATH), FILES)",
    )
    .needs(&[Decoy("file")]),
    Probe::surface(
        "deny_locking_shared_files",
        "A file that all runs may read can't be locked against them.",
        "whoever waits for such a lock is another run's author's code",
        "import fcntl\nx = outcome(lambda: fcntl.flock(open(os.__file__), fcntl.LOCK_EX | fcntl.LOCK_NB))",
    ),
];
