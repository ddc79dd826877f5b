//! Kernel surface: calls that no course needs. If such a call reaches the kernel, the kernel
//! refuses its arguments or the missing capability, with another error than that of a layer.

mod shared_files;

use crate::probe::{Denial, Probe, ProbePlan};

/// Why one layer is enough against calls that the kernel allows only to root.
const ROOTS: &str = "the kernel itself asks for a capability, which no sandbox has";
/// Why one layer is enough against calls that are only more kernel code, which can have bugs.
const CODE: &str = "it reaches no other process; it is only more kernel code that can have bugs";
/// Why one layer is enough against namespaces.
const NAMESPACE: &str = "a process in a new namespace is under the same layers";
/// Why one layer is enough against calls whose effect stays inside the process.
const ITSELF: &str = "it concerns only the run's own process";

macro_rules! calls {
    ($($name:literal, $shows:literal, $reason:expr, $code:literal;)*) => {
        &[$(Probe::surface($name, $shows, $reason, $code)),*]
    };
}

/// The probes of the group, in parts.
pub const PARTS: &[&[Probe]] = &[CALLS, OTHERS, shared_files::UNSEEN, shared_files::SEEN];

/// Probes of one system call each.
const CALLS: &[Probe] = calls![
    "deny_mount", "Nothing can be mounted.", ROOTS,
    "x = outcome(lambda: call('mount', None, None, None, 0, None), ('EACCES',), ('EFAULT', 'EPERM'))";
    "deny_unmount", "Nothing can be unmounted.", ROOTS,
    "x = outcome(lambda: call('umount2', b'/', -1), ('EACCES',), ('EINVAL',))";
    "deny_new_mounts", "No file system can be opened for mounting by the newer calls.", ROOTS,
    "x = outcome(lambda: call('fsopen', None, 0), ('EACCES',), ('EPERM', 'EFAULT'))";
    "deny_picking_mounts", "No mounted file system can be picked up.", ROOTS,
    "x = outcome(lambda: call('fspick', -1, None, 0), ('EACCES',), ('EPERM', 'EFAULT'))";
    "deny_moving_mounts", "No mount can be moved.", ROOTS,
    "x = outcome(lambda: call('move_mount', -1, None, -1, None, 0), ('EACCES',), ('EPERM', 'EFAULT'))";
    "deny_copying_mounts", "No mount can be copied.", ROOTS,
    "x = outcome(lambda: call('open_tree', -1, None, -1), ('EACCES',), ('EINVAL',))";
    "deny_mount_attributes", "No mount can be changed.", ROOTS,
    "x = outcome(lambda: call('mount_setattr', -1, None, -1, None, 0), ('EACCES',), ('EINVAL',))";
    "deny_listing_mounts", "Mounts can't be listed by system call.", CODE,
    "x = outcome(lambda: call('listmount', None, None, 0, -1), ('EACCES',), ('EINVAL', 'ENOSYS'))";
    "deny_status_of_mounts", "Mounts can't be asked about by system call.", CODE,
    "x = outcome(lambda: call('statmount', None, None, 0, -1), ('EACCES',), ('EINVAL', 'ENOSYS'))";
    "deny_chroot", "The root directory can't be changed.", ROOTS,
    "x = outcome(lambda: call('chroot', None), ('EACCES',), ('EFAULT',))";
    "deny_pivot_root", "The root directory can't be exchanged.", ROOTS,
    "x = outcome(lambda: call('pivot_root', None, None), ('EACCES',), ('EPERM', 'EFAULT'))";
    "deny_new_namespaces", "No new namespace can be entered.", NAMESPACE,
    "x = outcome(lambda: call('unshare', 1), CALLS, ('EINVAL',))";
    "deny_user_namespaces", "No user namespace, in which the process would be root, can be entered.", NAMESPACE,
    "CLONE_NEWUSER = 0x10000000\nx = outcome(lambda: call('unshare', CLONE_NEWUSER), ('EACCES', 'EPERM'), ('EUSERS', 'ENOSPC'))";
    "deny_entering_namespaces", "No other process's namespace can be entered.", NAMESPACE,
    "x = outcome(lambda: call('setns', -1, 0), CALLS, ('EBADF',))";
    "deny_processes_in_new_namespaces", "No process can be made in a new namespace.", NAMESPACE,
    "CLONE_NEWNS, CLONE_FS = 0x20000, 0x200\n\
     x = outcome(lambda: call('clone', CLONE_NEWNS | CLONE_FS, 0, 0, 0, 0), FORKS, ('EINVAL',))";
    "deny_clone3_at_all", "The newest call for processes and namespaces is not there.", CODE,
    "x = outcome(lambda: call('clone3', None, 0), CALLS, ('EINVAL',))";
    "deny_bpf", "No program can be loaded into the kernel.", CODE,
    "x = outcome(lambda: call('bpf', 0, None, 1 << 20), ('EACCES',), ('E2BIG', 'EPERM', 'EFAULT', 'EINVAL'))";
    "deny_performance_counters", "The processor's counters can't be opened.", CODE,
    "x = outcome(lambda: call('perf_event_open', None, 0, -1, -1, -1), ('EACCES',), ('EINVAL', 'EFAULT'))";
    "deny_keys", "The kernel's keys can't be worked with.", CODE,
    "x = outcome(lambda: call('keyctl', -1, 0, 0, 0, 0), CALLS, ('ENOTSUP',))";
    "deny_adding_keys", "No key can be added to the kernel's.", CODE,
    "x = outcome(lambda: call('add_key', None, None, None, 1 << 30, 0), CALLS, ('EINVAL',))";
    "deny_requesting_keys", "No key can be requested, which would start a program.", CODE,
    "x = outcome(lambda: call('request_key', None, None, None, 0), CALLS, ('EFAULT',))";
    "deny_openings_whose_mode_no_filter_sees", "The call that opens files by a structure in memory is not there.", CODE,
    "x = outcome(lambda: call('openat2', -1, None, None, 0), CALLS, ('EINVAL',))";
    "deny_barriers_on_other_processors", "Other processes can't be interrupted to order their memory accesses.",
    "it only costs time",
    "GLOBAL_EXPEDITED = 2\nx = outcome(lambda: call('membarrier', GLOBAL_EXPEDITED, 0, 0))";
    "deny_merging_memory_with_others", "The kernel can't be told to look for equal pages in other processes.",
    "the others would have to ask for it too",
    "import mmap\nMERGEABLE = 12\n\
     x = outcome(lambda: mmap.mmap(-1, 4096).madvise(MERGEABLE) or 'it was advised', CALLS, ('EINVAL',))";
    "deny_taking_memory_out", "Pages can't be taken out of memory.", "the kernel leaves pages that others use",
    "import mmap\nPAGEOUT = 21\n\
     x = outcome(lambda: mmap.mmap(-1, 4096).madvise(PAGEOUT) or 'it was advised', CALLS, ('EINVAL',))";
    "deny_asking_whether_a_file_is_in_memory", "A read can't tell whether a library's file is in memory.",
    "the time of an ordinary read shows it too",
    "library = os.open(os.__file__, os.O_RDONLY)\n\
     x = outcome(lambda: os.preadv(library, [bytearray(1)], 0, os.RWF_NOWAIT), CALLS, ('EAGAIN', 'ENOTSUP'))";
    "deny_reads_that_take_a_file_out_of_memory", "A read can't take a library's file out of memory for others.", "it only costs time",
    "DONTCACHE = 0x80\nlibrary = os.open(os.__file__, os.O_RDONLY)\n\
     x = outcome(lambda: os.preadv(library, [bytearray(1)], 0, DONTCACHE), CALLS, ('ENOTSUP',))";
    "deny_writes_that_wait_for_the_disk", "A write can't make the disk flush what it holds.",
    "there is something to wait for only if a run's files are on a disk",
    "file = os.open('tmp/file', os.O_RDWR | os.O_CREAT)\n\
     x = outcome(lambda: os.pwritev(file, [b'x'], 0, os.RWF_SYNC), CALLS, ('ENOTSUP', 'EFBIG'))";
    "deny_rings", "No ring for input and output can be made, past all filters of calls.", CODE,
    "x = outcome(lambda: call('io_uring_setup', 1, None), CALLS, ('EFAULT',))";
    "deny_using_rings", "No ring for input and output can be used.", CODE,
    "x = outcome(lambda: call('io_uring_enter', -1, 0, 0, 0, None, 0), CALLS, ('EBADF',))";
    "deny_registering_with_rings", "Nothing can be registered with a ring for input and output.", CODE,
    "x = outcome(lambda: call('io_uring_register', -1, 0, None, 0), CALLS, ('EBADF', 'EINVAL'))";
    "deny_old_asynchronous_input_and_output", "The older calls for asynchronous input and output can't be used.", CODE,
    "x = outcome(lambda: call('io_setup', 1, None), CALLS, ('EFAULT',))";
    "deny_handling_page_faults", "Page faults can't be handled by the process.", CODE,
    "USER_MODE_ONLY, UNKNOWN = 1, 4\n\
     x = outcome(lambda: call('userfaultfd', USER_MODE_ONLY | UNKNOWN), CALLS, ('EINVAL',))";
    "deny_files_in_memory", "No file without a file system can be made.", "to run it is denied too",
    "x = outcome(lambda: call('memfd_create', b'probe', 0))";
    "deny_loading_modules", "No kernel module can be loaded.", ROOTS,
    "x = outcome(lambda: call('init_module', None, 0, None), ('EACCES',), ('EPERM', 'ENOSYS'))";
    "deny_loading_modules_from_files", "No kernel module can be loaded from a file.", ROOTS,
    "x = outcome(lambda: call('finit_module', -1, None, 0), ('EACCES',), ('EPERM', 'ENOSYS'))";
    "deny_removing_modules", "No kernel module can be removed.", ROOTS,
    "x = outcome(lambda: call('delete_module', None, 0), ('EACCES',), ('EPERM', 'ENOSYS'))";
    "deny_loading_another_kernel", "No other kernel can be loaded.", ROOTS,
    "x = outcome(lambda: call('kexec_load', 0, 0, None, 0), ('EACCES',), ('EPERM', 'ENOSYS'))";
    "deny_loading_another_kernel_from_a_file", "No other kernel can be loaded from a file.", ROOTS,
    "x = outcome(lambda: call('kexec_file_load', -1, -1, 0, None, 0), ('EACCES',), ('EPERM', 'ENOSYS'))";
    "deny_reboot", "The host can't be rebooted.", ROOTS,
    "x = outcome(lambda: call('reboot', 0, 0, 0, None), ('EACCES',), ('EPERM', 'EINVAL'))";
    "deny_swapping", "No swap space can be added.", ROOTS,
    "x = outcome(lambda: call('swapon', None, -1), ('EACCES',), ('EINVAL', 'EPERM'))";
    "deny_accounting", "Process accounting can't be switched.", ROOTS,
    "x = outcome(lambda: call('acct', None), ('EACCES',), ('EPERM', 'ENOSYS'))";
    "deny_quotas", "Disk quotas can't be worked with.", ROOTS,
    "x = outcome(lambda: call('quotactl', -1, None, 0, None), ('EACCES',), ('EINVAL', 'ENOSYS'))";
    "deny_the_kernels_log", "The kernel's messages can't be asked for.", CODE,
    "READ_ALL = 3\nx = outcome(lambda: call('syslog', READ_ALL, None, -1), ('EACCES',), ('EPERM', 'EINVAL'))";
    "deny_naming_the_host", "The host can't be renamed.", ROOTS,
    "x = outcome(lambda: call('sethostname', None, 1), ('EACCES',), ('EPERM',))";
    "deny_naming_the_domain", "The host's domain can't be renamed.", ROOTS,
    "x = outcome(lambda: call('setdomainname', None, 1), ('EACCES',), ('EPERM',))";
    "deny_setting_the_time", "The clock can't be set.", ROOTS,
    "x = outcome(lambda: call('settimeofday', 8, None), ('EACCES',), ('EFAULT',))";
    "deny_setting_clocks", "No other clock can be set.", ROOTS,
    "x = outcome(lambda: call('clock_settime', 1 << 20, None), ('EACCES',), ('EINVAL',))";
    "deny_adjusting_the_time", "The clock's speed can't be changed.", ROOTS,
    "x = outcome(lambda: call('adjtimex', None), ('EACCES',), ('EFAULT',))";
    "deny_adjusting_clocks", "No other clock's speed can be changed.", ROOTS,
    "x = outcome(lambda: call('clock_adjtime', 0, None), ('EACCES',), ('EFAULT',))";
    "deny_hanging_up", "The terminal can't be hung up.", ROOTS,
    "x = outcome(lambda: call('vhangup'), ('EACCES',), ('EPERM',))";
    "deny_personalities", "The process can't change how the kernel treats it.", ITSELF,
    "ASK = 0xFFFFFFFF\nx = outcome(lambda: call('personality', ASK))";
    "deny_segments", "Processor segments can't be described.", CODE,
    "x = outcome(lambda: call('modify_ldt', 0, None, 0), ('EACCES',), ('ENOSYS',))";
    "deny_ports_of_devices", "The privilege to talk to devices can't be asked for.", ROOTS,
    "x = outcome(lambda: call('iopl', 4), ('EACCES',), ('EINVAL', 'ENOSYS'))";
    "deny_single_ports_of_devices", "The privilege to talk to single ports of devices can't be asked for.", ROOTS,
    "x = outcome(lambda: call('ioperm', 0, 0, 1), ('EACCES',), ('EINVAL', 'ENOSYS'))";
    "deny_filters_of_calls", "No further filter of system calls can be made.", ITSELF,
    "NOTIFY_SIZES = 3\nx = outcome(lambda: call('seccomp', NOTIFY_SIZES, 0, None), CALLS, ('EFAULT', 'EINVAL'))";
    "deny_filters_of_calls_by_another_name", "No further filter of system calls can be made by the older call.", ITSELF,
    "PR_SET_SECCOMP = 22\nx = outcome(lambda: call('prctl', PR_SET_SECCOMP, -1, None, 0, 0), CALLS, ('EINVAL',))";
    "deny_rules_for_files", "No further ruleset for files can be made.", ITSELF,
    "x = outcome(lambda: call('landlock_create_ruleset', None, 0, 1), ('EACCES',), ('ENOSYS', 'ENOTSUP'))";
    "deny_watching_files", "Files can't be watched.", CODE,
    "x = outcome(lambda: call('inotify_init1', -1), CALLS, ('EINVAL',))";
    "deny_watching_file_systems", "File systems can't be watched.", CODE,
    "REPORT_FID, UNKNOWN = 0x200, 0x40000000\n\
     x = outcome(lambda: call('fanotify_init', REPORT_FID | UNKNOWN, 0), CALLS, ('EINVAL',))";
    "deny_handles_of_files", "A file can't be given a number that outlives its name.", CODE,
    "x = outcome(lambda: call('name_to_handle_at', -1, None, None, None, -1), CALLS, ('EINVAL',))";
    "deny_opening_by_handle", "A file can't be opened by a number that outlives its name.", ROOTS,
    "x = outcome(lambda: call('open_by_handle_at', -1, None, 0), ('EACCES',), ('EPERM', 'EFAULT', 'EBADF'))";
    "deny_messages_queues", "No message queue can be opened.", CODE,
    "x = outcome(lambda: call('mq_open', None, 0, 0, None), CALLS, ('EFAULT',))";
    "deny_shared_memory", "No shared memory can be made.", "a namespace of its own hides it from others",
    "x = outcome(lambda: call('shmctl', call('shmget', 0, 4096, 0o600), 0, None))";
    "deny_semaphores", "No semaphores can be made.", "a namespace of their own hides them from others",
    "x = outcome(lambda: call('semctl', call('semget', 0, 1, 0o600), 0, 0))";
    "deny_message_queues_of_system_v", "No message queue of the older kind can be made.", "a namespace of its own hides it from others",
    "x = outcome(lambda: call('msgctl', call('msgget', 0, 0o600), 0, None))";
    "deny_splicing", "Pages can't be moved between pipes and files.", CODE,
    "x = outcome(lambda: call('splice', -1, None, -1, None, 1, 0), CALLS, ('EBADF',))";
    "deny_splicing_memory", "Pages can't be moved from memory to pipes.", CODE,
    "x = outcome(lambda: call('vmsplice', -1, None, 0, 0), CALLS, ('EBADF',))";
    "deny_duplicating_pipes", "Pages can't be duplicated between pipes.", CODE,
    "x = outcome(lambda: call('tee', -1, -1, 1, 0), CALLS, ('EBADF',))";
    "deny_choosing_memory_nodes", "Where memory comes from can't be chosen.", CODE,
    "x = outcome(lambda: call('set_mempolicy', -1, None, 0), CALLS, ('EINVAL',))";
    "deny_binding_memory", "Where a part of the memory comes from can't be chosen.", CODE,
    "x = outcome(lambda: call('mbind', 1, 0, 0, None, 0, 0), CALLS, ('EINVAL',))";
    "deny_migrating_memory", "Memory can't be moved between nodes.", CODE,
    "x = outcome(lambda: call('migrate_pages', 1 << 30, 0, None, None), CALLS, ('ESRCH', 'EINVAL'))";
    "deny_rearranging_mappings", "File mappings can't be rearranged.", CODE,
    "x = outcome(lambda: call('remap_file_pages', 0, 0, 1, 0, 0), CALLS, ('EINVAL',))";
    "deny_protection_keys", "No protection key can be had.", CODE,
    "x = outcome(lambda: call('pkey_alloc', -1, 0), ('EACCES',), ('EINVAL', 'ENOSPC', 'ENOSYS'))";
    "deny_releasing_memory_of_others", "A dying process's memory can't be released.", CODE,
    "x = outcome(lambda: call('process_mrelease', -1, -1), CALLS, ('EINVAL', 'EBADF'))";
    "deny_deadlines_for_the_scheduler", "No scheduling policy can be asked for.", ROOTS,
    "x = outcome(lambda: call('sched_setattr', 0, None, 0), CALLS, ('EINVAL',))";
    "deny_pinning_itself", "The process can't choose its processor.", ITSELF,
    "x = outcome(lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)))";
    "deny_flushing_disks", "The host's disks can't be made to write.", "it only costs their time",
    "x = outcome(lambda: call('sync'))";
    "deny_putting_input_into_terminals", "No input can be put into a terminal.", "there is no terminal",
    "import fcntl\nTIOCSTI = 0x5412\nx = outcome(lambda: fcntl.ioctl(os.pipe()[0], TIOCSTI, b'x'), CALLS, ('ENOTTY',))";
    "deny_consoles", "The console can't be asked for its contents.", "there is no console",
    "import fcntl\nTIOCLINUX = 0x541C\nx = outcome(lambda: fcntl.ioctl(os.pipe()[0], TIOCLINUX, b'\\2'), CALLS, ('ENOTTY',))";
    "deny_leases", "No lease on a file can be taken.", CODE,
    "import fcntl\nfile = open('tmp/leased', 'w')\n\
     x = outcome(lambda: fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK) == 0, CALLS, ('EAGAIN',))";
    "deny_notices_about_directories", "No notices about a directory can be had.", CODE,
    "import fcntl\nplace = os.open('tmp', os.O_RDONLY)\n\
     x = outcome(lambda: fcntl.fcntl(place, fcntl.F_NOTIFY, fcntl.DN_CREATE) == 0, CALLS, ('EINVAL',))";
];

/// Calls by another architecture's rules.
const OTHERS: &[Probe] = &[
    Probe::surface(
        "deny_calls_of_x32",
        "The numbers of the x32 architecture lead nowhere.",
        CODE,
        "X32 = 0x40000000\n\
         SYSTEM_CALLS['x32 getpid'] = (X32 | 39, None)\n\
         x = outcome(lambda: call('x32 getpid'), ('EACCES',), ('ENOSYS',))",
    ),
    Probe::surface(
        "deny_calls_of_i386",
        "The 32-bit way into the kernel ends the run.",
        CODE,
        "",
    )
    .plan(ProbePlan::Once(
        r"
import mmap
GETPID = bytes.fromhex('b814000000 cd80 c3')  # mov eax, 20; int 0x80; ret
def enter():
    if os.uname().machine != 'x86_64': raise Skip('int 0x80 is x86')
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(GETPID)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return ctypes.CFUNCTYPE(ctypes.c_int)(address)() == os.getpid()
x = outcome(enter)
",
    ))
    .denied_by(Denial::Ended(&[-31])),
];
