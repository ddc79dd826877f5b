//! Tests that say nothing on some hosts, without root above all: they say so in one line each,
//! `skipped: WHY: TEST (how many so far)`, since libtest can't be told at run time.

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

/// Says something to whoever watches the tests, also where they pass: past libtest, which shows the
/// output of failed ones.
pub fn say(text: &str) {
    std::io::stderr()
        .write_all(text.as_bytes())
        .expect("standard error");
}
