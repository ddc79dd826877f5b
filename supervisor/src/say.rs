//! Lines for whoever started the program, on standard output and standard error. Unlike `println!`,
//! they never end it: where nobody can read a line, the exit status must still be right.

use std::fmt::Arguments;
use std::io::{self, Write};

/// A line on standard output.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => { $crate::say::to_stdout(format_args!($($text)*)) };
}

/// A line on standard error.
#[macro_export]
macro_rules! complain {
    ($($text:tt)*) => { $crate::say::to_stderr(format_args!($($text)*)) };
}

/// What [`say!`](crate::say!) calls.
pub fn to_stdout(text: Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// What [`complain!`](crate::complain!) calls.
pub fn to_stderr(text: Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes what a command was asked for to standard output.
///
/// # Errors
/// It could not be written, so the command has not done what it was asked for.
pub fn product(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
