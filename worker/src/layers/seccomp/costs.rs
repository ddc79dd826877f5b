//! What each allowed system call costs where no limit of the run counts. There are three questions.
//! What must be paid after the process is dead? What is paid in another process's time? What stays?
//!
//! A call that is not in this list has no such cost. It uses the process's own time and memory,
//! wakes or interrupts only the process's own threads, and gives back what it holds with its
//! descriptors and memory. docs/weaknesses.md has the bounds in bytes.

use libc::*;

/// When a cost is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paid {
    /// After the process is dead, before its worker can wait for it.
    AfterDeath,
    /// In the time of another process, or with a processor's interrupts off.
    ByOthers,
    /// It stays when the process is gone.
    Left,
}

use Paid::{AfterDeath, ByOthers, Left};

/// Four parts: the calls; when their cost is paid; what it is and what bounds it; and what shows
/// it. The last part is a test of `tests/system/confinement`, or the row of docs/weaknesses.md.
pub type Cost = (&'static [c_long], Paid, &'static str, &'static str);

/// What shows a cost that has no test.
pub const DOCUMENT: &str = "docs/weaknesses.md";

/// All costs.
pub const COSTS: &[Cost] = &[
    (
        &[
            SYS_newfstatat,
            SYS_statx,
            SYS_faccessat,
            SYS_faccessat2,
            SYS_readlinkat,
            SYS_openat,
            SYS_chdir,
            SYS_getxattr,
            SYS_lgetxattr,
            SYS_listxattr,
            SYS_llistxattr,
        ],
        Left,
        "a name that is not there (a negative dentry), 190 bytes, until memory is short",
        DOCUMENT,
    ),
    (
        &[
            SYS_read,
            SYS_readv,
            SYS_pread64,
            SYS_preadv,
            SYS_preadv2,
            SYS_sendfile,
            SYS_copy_file_range,
            SYS_mmap,
            SYS_madvise,
            SYS_fadvise64,
        ],
        Left,
        "pages of libraries in the page cache: no more than the libraries have; a timed read tells",
        DOCUMENT,
    ),
    (
        &[
            SYS_linkat,
            SYS_symlinkat,
            SYS_mkdirat,
            SYS_mknodat,
            SYS_bind,
            SYS_write,
            SYS_pwrite64,
            SYS_ftruncate,
            SYS_fallocate,
        ],
        AfterDeath,
        "files of its own that the spawner removes: scratch_files_max and scratch_bytes_max",
        "a_run_cannot_take_more_space_or_files_than_it_is_given",
    ),
    (
        &[SYS_epoll_ctl],
        AfterDeath,
        "watches are taken down one by one: descriptors_max / 3 to the cube, half a second",
        "a_run_has_as_many_descriptors_as_the_configuration_says_and_no_named_pipe",
    ),
    (
        &[SYS_epoll_ctl, SYS_write, SYS_read, SYS_eventfd2],
        ByOthers,
        "who wakes a queue walks its watches, interrupts off: descriptors_max / 2 squared, 5 ms",
        "a_run_has_as_many_descriptors_as_the_configuration_says_and_no_named_pipe",
    ),
    (
        &[SYS_socketpair, SYS_sendto, SYS_pipe2],
        AfterDeath,
        "buffers are freed: net.core.wmem_default for each socket, 64 KiB for each pipe",
        "a_runs_sockets_hold_no_more_of_the_kernels_memory_than_the_hosts_default",
    ),
    (
        &[SYS_mmap, SYS_mremap, SYS_mprotect, SYS_brk],
        AfterDeath,
        "memory is given back: VMEM, vm.max_map_count; 0.1 s for 65,000 mappings",
        "memory_past_the_limit",
    ),
    (
        &[SYS_munmap, SYS_mprotect, SYS_mremap, SYS_madvise],
        AfterDeath,
        "goes on after a kill: as long as the run took to touch the pages, 0.5 ms for a GiB with one in 2 MiB",
        DOCUMENT,
    ),
    (
        &[SYS_madvise, SYS_mincore, SYS_mremap],
        AfterDeath,
        "guards, questions and moves go on after a kill, longer: `long.rs` bounds each, some 0.1 s",
        "a_run_makes_no_call_that_goes_on_long_after_a_kill",
    ),
    (
        &[SYS_set_robust_list],
        AfterDeath,
        "each thread's list of 2048 futexes is walked (ROBUST_LIST_LIMIT): NPROC, 45 ms for 14",
        DOCUMENT,
    ),
    (
        &[SYS_rename, SYS_renameat, SYS_renameat2],
        ByOthers,
        "one directory moves at a time on a file system, and lookups go the slow way meanwhile: 0.2 ms",
        DOCUMENT,
    ),
    (
        &[SYS_madvise],
        ByOthers,
        "MADV_HUGEPAGE: khugepaged, 4096 pages in 10 s for the whole host (pages_to_scan)",
        DOCUMENT,
    ),
    (
        &[SYS_kill, SYS_tgkill],
        AfterDeath,
        "signals that wait are freed, 1024 at most; where runs share a user they count for it",
        "a_run_that_keeps_signals_waiting_leaves_others_their_clocks",
    ),
    (
        &[SYS_clone],
        ByOthers,
        "NPROC counts those of the user in the sandbox's user namespace; where it has none, in the worker's",
        "a_run_of_one_user_with_all_others_has_its_number_of_threads_beside_others",
    ),
    (
        &[
            SYS_futex,
            SYS_set_robust_list,
            SYS_set_tid_address,
            SYS_clone,
        ],
        ByOthers,
        "wakes who waits at the same page of a library's file, also when a thread ends",
        "runs_can_meet_at_a_futex_on_a_librarys_file",
    ),
    (
        &[SYS_bind],
        ByOthers,
        "an abstract name is taken for all runs of the worker",
        "runs_of_one_worker_can_meet_at_an_abstract_name_and_say_nothing_else_there",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::seccomp::policy;

    #[test]
    fn every_cost_is_of_calls_that_are_allowed_and_says_what_bounds_it() {
        let allowed = policy::allowed(Some((1001, 1002)), true, true).unwrap();
        for (calls, paid, what, shown) in COSTS {
            for call in *calls {
                assert!(allowed.contains_key(call), "{call}: {what}");
            }
            assert!(!what.is_empty() && !shown.is_empty(), "{paid:?}");
        }
    }

    #[test]
    fn every_cost_is_shown_by_a_test_that_is_there_or_by_the_document() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let confinement = format!("{root}/tests/system/confinement");
        let files = std::fs::read_dir(confinement).unwrap();
        let probes = format!("{root}/api_tests/src/probes/resources.rs");
        let files = files.map(|file| file.unwrap().path());
        let texts: Vec<String> = files
            .chain([probes.into(), format!("{root}/{DOCUMENT}").into()])
            .map(|file| std::fs::read_to_string(file).unwrap())
            .collect();
        for (_, _, what, shown) in COSTS.iter().filter(|cost| cost.3 != DOCUMENT) {
            assert!(
                texts.iter().any(|text| text.contains(shown)),
                "{shown}: {what}"
            );
        }
    }
}
