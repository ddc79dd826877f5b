//! The API tests of the original, openedx/codejail-service, and which probes are their
//! counterparts.
//!
//! Each of the original's tests sends an execution to a running service and demands an error or an
//! answer. If a probe has the same demand as a test, the probe gives the test's name
//! (`Probe::original`). This file lists the names of all those tests, so that none is forgotten.

use crate::probe::{Group, Probe};
use crate::probes::GROUPS;
use std::fmt::Write;

/// The test functions by file, as of 2026-05 (`api_tests/test_*.py`), without `test_`.
pub const TESTS: &[(&str, &[&str])] = &[
    ("environment", &["deny_environment_leakage"]),
    (
        "extra_files",
        &[
            "support_upload_file",
            "deny_python_path_arbitrary_read",
            "deny_uploaded_filename_arbitrary_write",
        ],
    ),
    (
        "filesystem",
        &[
            "allow_list_in_own_sandbox",
            "allow_write_in_own_sandbox",
            "allow_delete_from_own_sandbox",
            "deny_write_large_file",
            "deny_read_os_files",
            "deny_list_os_dirs",
            "deny_write_outside_sandbox",
            "allow_python_path",
        ],
    ),
    (
        "functional",
        &[
            "support_globals_input_output",
            "support_define_function",
            "support_selective_serialization",
            "support_exception_traceback_stderr",
        ],
    ),
    ("memory", &["deny_large_allocate"]),
    (
        "network",
        &[
            "deny_make_http_call",
            "deny_resolve_dns",
            "deny_create_socket",
            "allow_in_sandbox",
            "deny_elsewhere",
        ],
    ),
    ("process", &["deny_fork_excessively", "deny_subprocess"]),
    ("process_table", &["deny_list_proc", "deny_exec_ps"]),
    (
        "sandbox_deps",
        &[
            "support_basic_import",
            "support_numpy",
            "support_matplotlib",
        ],
    ),
    ("timeout", &["deny_long_running_code", "deny_prevent_kill"]),
];

/// The probes that are counterparts of this test.
pub fn counterparts(test: &str) -> impl Iterator<Item = &'static Probe> {
    let all = GROUPS.iter().flat_map(Group::probes);
    all.filter(move |probe| probe.original == Some(test))
}

/// The table of README.md, with a row for each test.
#[must_use]
pub fn table() -> String {
    let mut text = "| the original's test | probes |\n|---|---|\n".to_owned();
    for (file, tests) in TESTS {
        for test in *tests {
            let probes: Vec<String> = counterparts(test)
                .map(|probe| format!("`{}`", probe.name))
                .collect();
            let _ = writeln!(text, "| {file}: `{test}` | {} |", probes.join(", "));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = include_str!("../README.md");

    #[test]
    fn each_test_of_the_original_has_its_counterpart() {
        let names: Vec<&str> = TESTS
            .iter()
            .flat_map(|(_, tests)| *tests)
            .copied()
            .collect();
        let without: Vec<&&str> = names
            .iter()
            .filter(|test| counterparts(test).count() == 0)
            .collect();
        assert!(without.is_empty(), "{without:?}");
        let linked = GROUPS.iter().flat_map(Group::probes);
        let unknown: Vec<&str> = linked
            .filter_map(|probe| probe.original)
            .filter(|test| !names.contains(test))
            .collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    #[test]
    fn the_readme_has_the_table_of_the_original_s_tests() {
        assert!(
            README.contains(&table()),
            "README.md lacks this table:\n{}",
            table()
        );
    }
}
