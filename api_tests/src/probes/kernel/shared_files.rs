//! Files that a run can only read, and that all runs read: Python's and its libraries'.

use crate::probe::Probe;

/// Why one layer is enough to protect the page cache and the disk.
const COSTS: &str = "no file is changed, and a run may read these files; it only costs others \
                     time, or shows what they read";
/// Why one layer is enough against exchange between two runs that both want it.
const MEETING: &str = "it shows nothing that a run did not want to show";

/// A call that a layer may deny, or answer as if it were done. Its arguments are such that the
/// kernel shows whether it got the call.
macro_rules! unseen {
    ($($name:literal, $shows:literal, $reached:literal, $code:literal;)*) => {
        &[$(Probe::surface($name, $shows, COSTS, concat!(
            "def ask():\n    return [] if ", $code, " == 0 else None\n",
            "x = outcome(ask, CALLS, ", $reached, ")"
        ))),*]
    };
}

/// Calls that ask for something.
pub const UNSEEN: &[Probe] = unseen![
    "deny_advice_about_cached_pages", "What the page cache holds of a library can't be dropped.", "('EBADF',)",
    "call('fadvise64', -1, 0, 0, os.POSIX_FADV_DONTNEED)";
    "deny_flushing_shared_files", "A library's file can't be flushed to the disk.", "('EBADF',)",
    "call('fsync', -1)";
    "deny_flushing_contents_of_shared_files", "The contents of a library's file can't be flushed to the disk.", "('EBADF',)",
    "call('fdatasync', -1)";
    "deny_flushing_ranges_of_shared_files", "A part of a library's file can't be flushed to the disk.", "('EBADF', 'EINVAL')",
    "call('sync_file_range', -1, 0, 0, 0)";
    "deny_flushing_file_systems_of_shared_files", "The file system of a library's file can't be flushed to the disk.", "('EBADF',)",
    "call('syncfs', -1)";
    "deny_flushing_mapped_shared_files", "A library's file can't be flushed to the disk by its pages in memory.", "('ENOMEM', 'EINVAL')",
    "call('msync', 0, 4096, 4)";
];

/// What can be seen of a file.
pub const SEEN: &[Probe] = &[
    Probe::surface(
        "deny_reading_past_the_page_cache",
        "A library's file can't be read from the disk itself.",
        COSTS,
        "import json\nx = outcome(lambda: os.open(json.__file__, os.O_RDONLY | os.O_DIRECT), CALLS, ('EINVAL',))",
    ),
    Probe::surface(
        "deny_turning_to_the_disk_itself",
        "A library's file that was opened before can't be read from the disk itself.",
        COSTS,
        "import fcntl, json\nshared = os.open(json.__file__, os.O_RDONLY)\n\
         def turn():\n    \
             fcntl.fcntl(shared, fcntl.F_SETFL, os.O_DIRECT)\n    \
             return fcntl.fcntl(shared, fcntl.F_GETFL) & os.O_DIRECT\n\
         x = outcome(turn, CALLS, ('EINVAL',))",
    ),
    Probe::surface(
        "deny_locks_on_shared_files",
        "No record of a library's file can be locked so that others see it.",
        MEETING,
        "import fcntl, json\n\
         F_OFD_GETLK, FORM = 36, 'hhqqi4x'\n\
         mine, other = (os.open(json.__file__, os.O_RDONLY) for _ in range(2))\n\
         def held():\n    \
             fcntl.lockf(mine, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, 1000)\n    \
             question = struct.pack(FORM, fcntl.F_WRLCK, 0, 1000, 1, 0)\n    \
             answer = struct.unpack(FORM, fcntl.fcntl(other, F_OFD_GETLK, question))\n    \
             return answer[0] != fcntl.F_UNLCK and ['a record is locked']\n\
         x = outcome(held)",
    ),
    Probe::surface(
        "deny_locks_of_descriptions_on_shared_files",
        "No record of a library's file can be locked by the newer kind of lock so that others see it.",
        MEETING,
        "import fcntl, json\n\
         F_OFD_GETLK, F_OFD_SETLK, FORM = 36, 37, 'hhqqi4x'\n\
         mine, other = (os.open(json.__file__, os.O_RDONLY) for _ in range(2))\n\
         def held():\n    \
             fcntl.fcntl(mine, F_OFD_SETLK, struct.pack(FORM, fcntl.F_RDLCK, 0, 1000, 1, 0))\n    \
             question = struct.pack(FORM, fcntl.F_WRLCK, 0, 1000, 1, 0)\n    \
             answer = struct.unpack(FORM, fcntl.fcntl(other, F_OFD_GETLK, question))\n    \
             return answer[0] != fcntl.F_UNLCK and ['a record is locked']\n\
         x = outcome(held)",
    ),
];
