//! Reading and listing files of the host.

use super::harm_to;
use crate::probe::Need::Decoy;
use crate::probe::Probe;

/// Why one layer is enough to protect what `/proc` tells a run of itself.
const OF_ITSELF: &str = "it shows a run its own process, mounts and network; the namespaces and ownership \
                         hide those of others";

/// The probes of this file.
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
    harm_to(
        &[Decoy("file")],
        "deny_reading_a_file_open_to_all",
        "A file that every user of the host may read can't be read.",
        "x = outcome(lambda: decoy['secret'].encode() in read(decoy['file']), FILES)",
    ),
    harm_to(
        &[Decoy("file")],
        "deny_reading_by_climbing",
        "A relative path leads nowhere that an absolute one does not.",
        "x = outcome(lambda: read('../' * 40 + decoy['file']), FILES)",
    ),
    harm_to(
        &[Decoy("file")],
        "deny_reading_through_proc_root",
        "/proc/self/root is no way to the host's files.",
        "x = outcome(lambda: read('/proc/self/root' + decoy['file']), FILES)",
    ),
    harm_to(
        &[Decoy("file")],
        "deny_reading_through_a_symbolic_link",
        "A symbolic link to a file outside can't be read through.",
        "os.symlink(decoy['file'], 'tmp/link')\nx = outcome(lambda: read('tmp/link'), FILES)",
    ),
    Probe::harm(
        "deny_listing_through_a_symbolic_link",
        "A symbolic link to a directory outside can't be listed through.",
        "os.symlink('/', 'tmp/link')\nx = outcome(lambda: os.listdir('tmp/link'), FILES)",
    ),
    Probe::harm(
        "deny_hard_links_to_files_outside",
        "A file outside can't be given a name inside.",
        "x = outcome(lambda: os.link(decoy['writable'], 'tmp/link'), FILES)",
    )
    .needs(&[Decoy("writable")]),
    Probe::harm(
        "deny_reading_below_an_opened_directory",
        "A directory opened as a mere place opens no file below it.",
        "place = os.open(decoy['dir'], os.O_PATH) if os.path.isdir(decoy['dir']) else -1\n\
         name = os.path.basename(decoy['file'])\n\
         x = outcome(lambda: os.read(os.open(name, os.O_RDONLY, dir_fd=place), 99), (*FILES, 'EBADF'))",
    )
    .needs(&[Decoy("writable")]),
    harm_to(
        &[Decoy("file")],
        "deny_reading_through_a_place_descriptor",
        "A file opened as a mere place can't be opened again to be read.",
        "x = outcome(lambda: read(f\"/proc/self/fd/{os.open(decoy['file'], os.O_PATH)}\"), FILES)",
    ),
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
];
