//! Making and changing files of the host.

use super::harm_to;
use crate::probe::Need::Decoy;
use crate::probe::Probe;

/// Why one layer is enough to protect times of files that are open to all.
const TIMES: &str = "no content is changed; every user of the host may touch such a file; a run may set the \
                     times of its own files, and only a layer that hides the file or decides by paths can \
                     tell them apart";

/// The probes of this file.
pub const PROBES: &[Probe] = &[
    Probe::harm(
        "deny_files_in_the_hosts_tmp",
        "No file can be made among the host's temporary files.",
        "x = outcome(lambda: make_and_remove(lambda path: open(path, 'x').close(), new_name('/tmp')), FILES)",
    ),
    Probe::harm(
        "deny_files_in_var_tmp",
        "No file can be made where temporary files survive a reboot.",
        "x = outcome(lambda: make_and_remove(lambda path: open(path, 'x').close(), new_name('/var/tmp')), FILES)",
    ),
    Probe::harm(
        "deny_files_in_shared_memory",
        "No file can be made in /dev/shm.",
        "x = outcome(lambda: make_and_remove(lambda path: open(path, 'x').close(), new_name('/dev/shm')), FILES)",
    ),
    harm_to(
        &[Decoy("dir")],
        "deny_files_in_a_directory_open_to_all",
        "A directory that every user of the host may write to can't be written to.",
        "x = outcome(lambda: make_and_remove(lambda path: open(path, 'x').close(), new_name(decoy['dir'])), FILES)",
    ),
    harm_to(
        &[Decoy("dir")],
        "deny_directories_in_a_directory_open_to_all",
        "No directory can be made where every user of the host may write.",
        "x = outcome(lambda: make_and_remove(os.mkdir, new_name(decoy['dir']), os.rmdir), FILES)",
    ),
    harm_to(
        &[Decoy("dir")],
        "deny_symbolic_links_in_a_directory_open_to_all",
        "No symbolic link can be made where every user of the host may write.",
        "x = outcome(lambda: make_and_remove(lambda path: os.symlink('/', path), new_name(decoy['dir'])), FILES)",
    ),
    harm_to(
        &[Decoy("dir")],
        "deny_nameless_files_in_a_directory_open_to_all",
        "No file without a name can be made where every user of the host may write.",
        "x = outcome(lambda: os.open(decoy['dir'], os.O_TMPFILE | os.O_RDWR), FILES, ('ENOTSUP',))",
    ),
    harm_to(
        &[Decoy("writable")],
        "deny_changing_a_file_open_to_all",
        "A file that every user of the host may write to can't be written to.",
        "x = outcome(lambda: write(decoy['writable']), FILES)",
    ),
    harm_to(
        &[Decoy("writable")],
        "deny_truncating_a_file_open_to_all",
        "The length of a file that every user may write to can't be changed by its path.",
        "x = outcome(lambda: os.truncate(decoy['writable'], 0), FILES)",
    ),
    harm_to(
        &[Decoy("writable")],
        "deny_emptying_a_file_open_to_all_while_reading",
        "A file that every user may write to can't be emptied by opening it for reading (O_TRUNC).",
        "x = outcome(lambda: os.open(decoy['writable'], os.O_RDONLY | os.O_TRUNC), FILES)",
    ),
    Probe::surface(
        "deny_changing_times_of_a_file_open_to_all",
        "The times of a file that every user may write to can't be set to now.",
        TIMES,
        "x = outcome(lambda: os.utime(decoy['writable']), FILES)",
    )
    .needs(&[Decoy("writable")]),
    Probe::harm(
        "deny_changing_the_mode_of_a_file_outside",
        "The mode of a file outside can't be changed, even if the file belongs to the sandbox's user.",
        "x = outcome(lambda: os.chmod(decoy['movable'], 0o644), FILES)",
    )
    .needs(&[Decoy("movable")]),
    harm_to(
        &[Decoy("writable")],
        "deny_attributes_on_a_file_open_to_all",
        "A file outside can't be given an extended attribute.",
        "x = outcome(lambda: os.setxattr(decoy['writable'], 'user.probe', b'x'), FILES, ('ENOTSUP',))",
    ),
    Probe::harm(
        "deny_moving_files_outside",
        "Files outside can't be renamed.",
        "def there_and_back():\n    \
             other = new_name(decoy['dir'])\n    \
             os.rename(decoy['movable'], other)\n    \
             os.rename(other, decoy['movable'])\n\
         x = outcome(there_and_back, FILES)",
    )
    .needs(&[Decoy("movable")]),
    Probe::harm(
        "deny_changing_the_python_installation",
        "The sandbox's Python can't be written to.",
        "x = outcome(lambda: os.close(os.open(os.path.join(sys.prefix, 'pyvenv.cfg'), os.O_WRONLY)), FILES)",
    ),
    Probe::harm(
        "deny_adding_to_the_libraries",
        "No module can be added to the sandbox's libraries.",
        "import sysconfig\n\
         site = sysconfig.get_paths()['purelib']\n\
         x = outcome(lambda: make_and_remove(lambda path: open(path, 'x').close(), new_name(site)), FILES)",
    ),
    Probe::surface(
        "deny_device_files",
        "No device file can be made, not even for a device that does not exist.",
        "only root can make the file of a device that exists: the kernel denies it to all others",
        "x = outcome(lambda: os.mknod('tmp/device', 0o20600, os.makedev(0, 0)), FILES)",
    ),
    Probe::surface(
        "deny_new_terminals",
        "The terminal multiplexer can't be opened.",
        "a new terminal gives no way out of the sandbox, but a run would reach much code of the kernel by it",
        "x = outcome(lambda: os.open('/dev/ptmx', os.O_RDWR | os.O_NOCTTY), FILES, ('ENXIO', 'EIO', 'ENOSPC'))",
    ),
    Probe::surface(
        "deny_opening_needless_devices",
        "A device that no library needs can't be opened.",
        "/dev/full is harmless",
        "x = outcome(lambda: os.open('/dev/full', os.O_RDWR), FILES)",
    ),
];
