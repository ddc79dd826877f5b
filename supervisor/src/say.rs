//! Prints lines for the user who started the program, on standard output and standard error. Unlike
//! `println!`, a line that can't be written never ends the program: the exit status must still be
//! right.

use std::fmt::Arguments;
use std::io::{self, Write};

/// Prints a line on standard output.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => { $crate::say::to_stdout(format_args!($($text)*)) };
}

/// Prints a line on standard error.
#[macro_export]
macro_rules! complain {
    ($($text:tt)*) => { $crate::say::to_stderr(format_args!($($text)*)) };
}

/// The function behind [`say!`](crate::say!).
pub fn to_stdout(text: Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// The function behind [`complain!`](crate::complain!).
pub fn to_stderr(text: Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes the result of a command to standard output.
///
/// # Errors
/// It could not be written, so the command has not done its work.
pub fn product(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
