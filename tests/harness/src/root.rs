//! Tests that can't run on some hosts, above all without root. Each prints one line,
//! `skipped: WHY: TEST (how many so far)`, since a test can't tell libtest at run time that it was
//! skipped.

use nix::unistd::geteuid;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Whether this process is root.
#[must_use]
pub fn is_root() -> bool {
    geteuid().is_root()
}

/// Returns from the test, visibly, unless it runs as root.
#[macro_export]
macro_rules! needs_root {
    () => {
        if !$crate::root::is_root() {
            $crate::skip!("needs root");
        }
    };
}

/// Returns from the test, visibly, for this reason.
#[macro_export]
macro_rules! skip {
    ($why:expr) => {{
        fn here() {}
        $crate::root::say_skipped($why, std::any::type_name_of_val(&here));
        return;
    }};
}

/// Says that a test was skipped. `here` is the path of a function inside the test.
pub fn say_skipped(why: &str, here: &str) {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let test = here.trim_end_matches("::here");
    let test = test.split_once("::").map_or(test, |(_, test)| test);
    let count = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
    say(&format!("skipped: {why}: {test} ({count} so far)\n"));
}

/// Prints a line for the person who watches the tests, also if the test passes. It bypasses
/// libtest, which shows only the output of failed tests.
pub fn say(text: &str) {
    std::io::stderr()
        .write_all(text.as_bytes())
        .expect("standard error");
}
