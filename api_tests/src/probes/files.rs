//! Files: reading and listing what is the host's or another run's, and changing anything but `tmp`.

use crate::probe::Need::Bait;
use crate::probe::{Plan, Probe};

/// Why one layer may guard names, sizes and places of files.
const METADATA: &str = "no content is read: it tells that a file is there, and its size";
/// Why one layer may guard what `/proc` tells a run of itself.
const OF_ITSELF: &str = "it tells a run of its own process, mounts and network; those of others are hidden by \
                         the namespaces and by ownership";
/// Why one layer may guard times of files that are open to all.
const TIMES: &str = "no content is changed: every user of the host may touch such a file; a run may set times \
                     of its own files, and no layer but one that hides the file or mediates paths can tell them apart";
/// Why one layer may guard against what concerns the run's own files alone.
const OWN: &str = "it concerns no file but the run's own";

/// Waits to be found, for less than a second.
const VICTIM: &str = "import time; open('tmp/secret', 'w').close(); time.sleep(0.7); x = 1";

/// The group.
pub const PROBES: &[Probe] = &[
    Probe::harm(
        "deny_listing_the_root_directory",
        "The host's top directories can't be listed.",
        "x = outcome(lambda: os.listdir('/'), FILES)",
    ),
    Probe::harm(
        "deny_listing_etc",
        "The host's configuration files can't be listed.",
        "x = outcome(lambda: os.listdir('/etc'), FILES)",
    ),
    Probe::harm(
        "deny_listing_var",
        "The host's data directories can't be listed.",
        "x = outcome(lambda: os.listdir('/var'), FILES)",
    ),
    Probe::surface(
        "deny_listing_processes",
        "The host's processes can't be listed.",
        OF_ITSELF,
        "x = outcome(lambda: [name for name in os.listdir('/proc') if name.isdigit()], FILES)",
    ),
    Probe::harm(
        "deny_listing_devices",
        "The host's devices can't be listed.",
        "x = outcome(lambda: os.listdir('/dev'), FILES)",
    ),
    Probe::harm(
        "deny_listing_the_kernels_objects",
        "Hardware and kernel settings below /sys can't be listed.",
        "x = outcome(lambda: os.listdir('/sys'), FILES)",
    ),
    Probe::harm(
        "deny_listing_the_hosts_temporary_files",
        "Other users' temporary files can't be listed.",
        "x = outcome(lambda: os.listdir('/tmp'), FILES)",
    ),
    Probe::harm(
        "deny_listing_the_directory_above",
        "The directories of other runs can't be listed by `..`.",
        "x = outcome(lambda: os.listdir('..'), FILES)",
    ),
    Probe::harm(
        "deny_listing_by_descriptor",
        "A directory can't be listed through a descriptor either.",
        "x = outcome(lambda: os.listdir(os.open('/', os.O_RDONLY | os.O_DIRECTORY)), FILES)",
    ),
    Probe::harm(
        "deny_reading_the_user_database",
        "The host's users can't be read.",
        "x = outcome(lambda: b'root' in read('/etc/passwd'), FILES)",
    ),
    Probe::harm(
        "deny_reading_a_file_open_to_all",
        "A file that every user of the host may read can't be read.",
        "x = outcome(lambda: bait['secret'].encode() in read(bait['file']), FILES)",
    )
    .needs(&[Bait("file")]),
    Probe::harm(
        "deny_reading_by_climbing",
        "A relative path leads nowhere that an absolute one does not.",
        "x = outcome(lambda: read('../' * 40 + bait['file']), FILES)",
    )
    .needs(&[Bait("file")]),
    Probe::harm(
        "deny_reading_through_proc_root",
        "/proc/self/root is no way to the host's files.",
        "x = outcome(lambda: read('/proc/self/root' + bait['file']), FILES)",
    )
    .needs(&[Bait("file")]),
    Probe::harm(
        "deny_reading_through_a_symbolic_link",
        "A symbolic link to a file outside can't be read through.",
        "os.symlink(bait['file'], 'tmp/link')\nx = outcome(lambda: read('tmp/link'), FILES)",
    )
    .needs(&[Bait("file")]),
    Probe::harm(
        "deny_listing_through_a_symbolic_link",
        "A symbolic link to a directory outside can't be listed through.",
        "os.symlink('/', 'tmp/link')\nx = outcome(lambda: os.listdir('tmp/link'), FILES)",
    ),
    Probe::harm(
        "deny_hard_links_to_files_outside",
        "A file outside can't be given a name inside.",
        "x = outcome(lambda: os.link(bait['writable'], 'tmp/link'), FILES)",
    )
    .needs(&[Bait("writable")]),
    Probe::harm(
        "deny_reading_below_an_opened_directory",
        "A directory opened as a mere place opens no file below it.",
        "place = os.open(bait['dir'], os.O_PATH) if os.path.isdir(bait['dir']) else -1\n\
         name = os.path.basename(bait['file'])\n\
         x = outcome(lambda: os.read(os.open(name, os.O_RDONLY, dir_fd=place), 99), (*FILES, 'EBADF'))",
    )
    .needs(&[Bait("writable")]),
    Probe::harm(
        "deny_reading_through_a_place_descriptor",
        "A file opened as a mere place can't be opened again to be read.",
        "x = outcome(lambda: read(f\"/proc/self/fd/{os.open(bait['file'], os.O_PATH)}\"), FILES)",
    )
    .needs(&[Bait("file")]),
    Probe::harm(
        "deny_reading_own_environment_from_proc",
        "The environment that the process started with can't be read from /proc.",
        "x = outcome(lambda: read('/proc/self/environ'), FILES)",
    ),
    Probe::surface(
        "deny_reading_own_memory_map",
        "Where things lie in memory can't be read from /proc.",
        OF_ITSELF,
        "x = outcome(lambda: read('/proc/self/maps'), FILES)",
    ),
    Probe::harm(
        "deny_writing_own_memory_through_proc",
        "/proc/self/mem, which ignores page protection, can't be opened.",
        "x = outcome(lambda: os.open('/proc/self/mem', os.O_RDWR), FILES)",
    ),
    Probe::surface(
        "deny_reading_own_descriptors_from_proc",
        "What descriptors lead to can't be read from /proc.",
        OF_ITSELF,
        "x = outcome(lambda: os.listdir('/proc/self/fd'), FILES)",
    ),
    Probe::surface(
        "deny_reading_own_status",
        "Ids, limits and the tracer can't be read from /proc.",
        OF_ITSELF,
        "x = outcome(lambda: read('/proc/self/status'), FILES)",
    ),
    Probe::surface(
        "deny_reading_the_cgroup",
        "Container and unit names can't be read from /proc.",
        OF_ITSELF,
        "x = outcome(lambda: read('/proc/self/cgroup'), FILES)",
    ),
    Probe::harm(
        "deny_reading_the_kernels_command_line",
        "How the host was booted can't be read.",
        "x = outcome(lambda: read('/proc/cmdline'), FILES)",
    ),
    Probe::surface(
        "deny_reading_mounts",
        "Which file systems the host has can't be read.",
        OF_ITSELF,
        "x = outcome(lambda: read('/proc/self/mountinfo'), FILES)",
    ),
    Probe::surface(
        "deny_reading_connections",
        "Connections and listeners can't be read from /proc.",
        OF_ITSELF,
        "x = outcome(lambda: read('/proc/self/net/tcp'), FILES)",
    ),
    Probe::harm(
        "deny_reading_network_interfaces",
        "Interfaces can't be listed below /sys.",
        "x = outcome(lambda: os.listdir('/sys/class/net'), FILES)",
    ),
    Probe::harm(
        "deny_writing_kernel_settings_of_the_process",
        "Own settings below /proc can't be written.",
        "x = outcome(lambda: write('/proc/self/oom_score_adj', 'r+'), FILES, ('EINVAL',))",
    ),
    Probe::harm(
        "deny_changing_the_runner",
        "The script that runs the code can't be written to.",
        "x = outcome(lambda: write('jailed_code'), FILES)",
    ),
    Probe::harm(
        "deny_emptying_the_runner_while_reading",
        "Opening a file to read does not empty it.",
        "x = outcome(lambda: os.open('jailed_code', os.O_RDONLY | os.O_TRUNC), FILES)",
    ),
    Probe::harm(
        "deny_truncating_the_runner",
        "The runner's length can't be changed by its path.",
        "x = outcome(lambda: os.truncate('jailed_code', 0), FILES)",
    ),
    Probe::harm(
        "deny_removing_the_runner",
        "The runner can't be removed.",
        "x = outcome(lambda: os.unlink('jailed_code'), FILES)",
    ),
    Probe::harm(
        "deny_moving_the_runner",
        "The runner can't be moved to where it could be changed.",
        "x = outcome(lambda: os.rename('jailed_code', 'tmp/taken'), FILES)",
    ),
    Probe::harm(
        "deny_replacing_the_runner",
        "Nothing can be put in the runner's place.",
        "open('tmp/new', 'w').close()\n\
         x = outcome(lambda: os.rename('tmp/new', 'jailed_code'), FILES)",
    ),
    Probe::harm(
        "deny_changing_the_runners_mode",
        "The runner's mode can't be changed.",
        "x = outcome(lambda: os.chmod('jailed_code', 0o777), FILES)",
    ),
    Probe::harm(
        "deny_changing_the_runners_times",
        "The runner's times can't be changed.",
        "x = outcome(lambda: os.utime('jailed_code', (1, 1)), FILES)",
    ),
    Probe::harm(
        "deny_changing_the_runners_owner",
        "The runner can't be made one's own.",
        "x = outcome(lambda: os.chown('jailed_code', os.getuid(), os.getgid()), FILES)",
    ),
    Probe::surface(
        "deny_hard_links_to_the_runner",
        "The runner can't be given another name.",
        OWN,
        "x = outcome(lambda: os.link('jailed_code', 'tmp/link'), FILES)",
    ),
    Probe::harm(
        "deny_files_beside_tmp",
        "No file can be made outside of tmp.",
        "x = outcome(lambda: write('beside', 'w'), FILES)",
    ),
    Probe::harm(
        "deny_directories_beside_tmp",
        "No directory can be made outside of tmp.",
        "x = outcome(lambda: os.mkdir('beside'), FILES)",
    ),
    Probe::harm(
        "deny_symbolic_links_beside_tmp",
        "No symbolic link can be made outside of tmp.",
        "x = outcome(lambda: os.symlink('tmp', 'beside'), FILES)",
    ),
    Probe::harm(
        "deny_fifos_beside_tmp",
        "No named pipe can be made outside of tmp.",
        "x = outcome(lambda: os.mkfifo('beside'), FILES)",
    ),
    Probe::harm(
        "deny_moving_tmp",
        "The place to write to can't be moved.",
        "x = outcome(lambda: os.rename('tmp', 'away'), FILES)",
    ),
    Probe::harm(
        "deny_removing_tmp",
        "The place to write to can't be removed.",
        "x = outcome(lambda: os.rmdir('tmp'), FILES)",
    ),
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
    Probe::harm(
        "deny_files_in_a_directory_open_to_all",
        "A directory that every user of the host may write to can't be written to.",
        "x = outcome(lambda: make_and_remove(lambda path: open(path, 'x').close(), new_name(bait['dir'])), FILES)",
    )
    .needs(&[Bait("dir")]),
    Probe::harm(
        "deny_directories_in_a_directory_open_to_all",
        "No directory can be made there.",
        "x = outcome(lambda: make_and_remove(os.mkdir, new_name(bait['dir']), os.rmdir), FILES)",
    )
    .needs(&[Bait("dir")]),
    Probe::harm(
        "deny_symbolic_links_in_a_directory_open_to_all",
        "No symbolic link can be made there.",
        "x = outcome(lambda: make_and_remove(lambda path: os.symlink('/', path), new_name(bait['dir'])), FILES)",
    )
    .needs(&[Bait("dir")]),
    Probe::harm(
        "deny_nameless_files_in_a_directory_open_to_all",
        "No file without a name can be made there.",
        "x = outcome(lambda: os.open(bait['dir'], os.O_TMPFILE | os.O_RDWR), FILES, ('ENOTSUP',))",
    )
    .needs(&[Bait("dir")]),
    Probe::harm(
        "deny_changing_a_file_open_to_all",
        "A file that every user of the host may write to can't be written to.",
        "x = outcome(lambda: write(bait['writable']), FILES)",
    )
    .needs(&[Bait("writable")]),
    Probe::harm(
        "deny_truncating_a_file_open_to_all",
        "Its length can't be changed by its path.",
        "x = outcome(lambda: os.truncate(bait['writable'], 0), FILES)",
    )
    .needs(&[Bait("writable")]),
    Probe::harm(
        "deny_emptying_a_file_open_to_all_while_reading",
        "Opening it to read does not empty it.",
        "x = outcome(lambda: os.open(bait['writable'], os.O_RDONLY | os.O_TRUNC), FILES)",
    )
    .needs(&[Bait("writable")]),
    Probe::surface(
        "deny_changing_times_of_a_file_open_to_all",
        "Its times can't be set to now.",
        TIMES,
        "x = outcome(lambda: os.utime(bait['writable']), FILES)",
    )
    .needs(&[Bait("writable")]),
    Probe::harm(
        "deny_changing_the_mode_of_a_file_outside",
        "Modes of the same user's files can't be changed.",
        "x = outcome(lambda: os.chmod(bait['movable'], 0o644), FILES)",
    )
    .needs(&[Bait("movable")]),
    Probe::harm(
        "deny_attributes_on_a_file_open_to_all",
        "It can't be given an extended attribute.",
        "x = outcome(lambda: os.setxattr(bait['writable'], 'user.probe', b'x'), FILES, ('ENOTSUP',))",
    )
    .needs(&[Bait("writable")]),
    Probe::harm(
        "deny_moving_files_outside",
        "Files outside can't be renamed.",
        "def there_and_back():\n    \
             other = new_name(bait['dir'])\n    \
             os.rename(bait['movable'], other)\n    \
             os.rename(other, bait['movable'])\n\
         x = outcome(there_and_back, FILES)",
    )
    .needs(&[Bait("movable")]),
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
        "No device's file can be made, not even one that leads to no device.",
        "the kernel lets only root make one that leads to a device",
        "x = outcome(lambda: os.mknod('tmp/device', 0o20600, os.makedev(0, 0)), FILES)",
    ),
    Probe::surface(
        "deny_new_terminals",
        "The terminal multiplexer can't be opened.",
        "a terminal of one's own is no way out; it is much kernel code",
        "x = outcome(lambda: os.open('/dev/ptmx', os.O_RDWR | os.O_NOCTTY), FILES, ('ENXIO', 'EIO', 'ENOSPC'))",
    ),
    Probe::surface(
        "deny_opening_needless_devices",
        "A device that no library needs can't be opened.",
        "this one is harmless",
        "x = outcome(lambda: os.open('/dev/full', os.O_RDWR), FILES)",
    ),
    Probe::surface(
        "deny_status_of_files_outside",
        "Sizes, owners and times of files outside can't be asked for.",
        METADATA,
        "x = outcome(lambda: os.stat(bait['file']).st_size, FILES)",
    )
    .needs(&[Bait("file")]),
    Probe::surface(
        "deny_asking_whether_files_exist",
        "It can't be asked whether a file outside is there.",
        METADATA,
        "x = outcome(lambda: os.access(bait['file'], os.F_OK), FILES)",
    )
    .needs(&[Bait("file")]),
    Probe::surface(
        "deny_entering_directories_outside",
        "The current directory can't be moved out.",
        METADATA,
        "x = outcome(lambda: os.chdir(bait['dir']), FILES)",
    )
    .needs(&[Bait("dir")]),
    Probe::surface(
        "deny_reading_links_outside",
        "Where a symbolic link outside leads to can't be read.",
        METADATA,
        "x = outcome(lambda: os.readlink(f\"/proc/{bait['pid']}/exe\"), FILES)",
    )
    .needs(&[Bait("pid")]),
    Probe::surface(
        "deny_attributes_of_files_outside",
        "Extended attributes of files outside can't be listed.",
        METADATA,
        "x = outcome(lambda: os.listxattr(bait['file']) is not None, FILES)",
    )
    .needs(&[Bait("file")]),
    Probe::surface(
        "deny_opening_files_outside_as_places",
        "A file outside can't be opened even as a mere place.",
        METADATA,
        "x = outcome(lambda: os.open(bait['file'], os.O_PATH), FILES)",
    )
    .needs(&[Bait("file")]),
    Probe::surface(
        "deny_locking_shared_files",
        "A file that all runs may read can't be locked against them.",
        "whoever waits for such a lock is another run's author's code",
        "import fcntl\nx = outcome(lambda: fcntl.flock(open(os.__file__), fcntl.LOCK_EX | fcntl.LOCK_NB))",
    ),
    Probe::harm(
        "deny_finding_other_runs",
        "A run beside this one can't be found.",
        "",
    )
    .plan(Plan::Beside {
        victim: VICTIM,
        attack: "x = outcome(other_runs, FILES)",
    }),
    Probe::harm(
        "deny_reading_files_of_other_runs",
        "What a run beside this one has written can't be read.",
        "",
    )
    .plan(Plan::Beside {
        victim: VICTIM,
        attack: "x = outcome(lambda: [open(tmp + '/secret').fileno() for tmp in other_runs()], FILES)",
    }),
    Probe::harm(
        "deny_writing_to_other_runs",
        "Nothing can be put where a run beside this one would find it.",
        "",
    )
    .plan(Plan::Beside {
        victim: VICTIM,
        attack: "x = outcome(lambda: [os.mkdir(tmp + '/planted') or tmp for tmp in other_runs()], FILES)",
    }),
];
