//! Writes man pages and shell completions from codejail's own command line.
//!
//!     codejail-manual DIRECTORY
//!
//! DIRECTORY gets a `.1` for the program and for each of its commands, and one file of completions
//! for each shell, with the names that Debian's directories want.
#![forbid(unsafe_code)]

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;
use codejail::command_line::CommandLine;
use std::fs;
use std::path::PathBuf;

/// Each shell with the name under which it looks for a program's completions.
const COMPLETIONS: [(Shell, &str); 3] = [
    (Shell::Bash, "codejail.bash"),
    (Shell::Zsh, "_codejail"),
    (Shell::Fish, "codejail.fish"),
];

fn main() -> Result<()> {
    let directory = std::env::args_os().nth(1);
    let directory = PathBuf::from(directory.context("usage: codejail-manual DIRECTORY")?);
    fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
    clap_mangen::generate_to(CommandLine::command(), &directory)
        .with_context(|| format!("man pages in {}", directory.display()))?;
    for (shell, name) in COMPLETIONS {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut CommandLine::command(), "codejail", &mut text);
        let path = directory.join(name);
        fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    Ok(())
}
