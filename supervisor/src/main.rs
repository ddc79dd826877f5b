//! The command line.

use clap::{Parser, Subcommand};
use codejail::config::Config;
use std::path::PathBuf;
use std::process::ExitCode;

/// Exit statuses of sysexits(3).
const EX_SOFTWARE: u8 = 70;
const EX_CONFIG: u8 = 78;

/// Runs untrusted Python in pre-warmed, confined sandboxes: a drop-in replacement for Open edX's
/// codejail-service.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the v0 API until told to end. TERM drains, INT and QUIT end at once.
    Serve {
        /// The configuration, in TOML. Without one, the defaults: executions are refused until
        /// `enabled = true`.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// The privileged part of a service; started by `serve` alone.
    #[command(hide = true)]
    Spawner,
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve { config } => serve(config),
        Command::Spawner => match codejail::spawner::run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error, EX_SOFTWARE),
        },
    }
}

fn serve(path: Option<PathBuf>) -> ExitCode {
    let config = match path.map_or_else(|| Ok(Config::default()), |path| Config::read(&path)) {
        Ok(config) => config,
        Err(error) => return fail(&error, EX_CONFIG),
    };
    codejail::serve::log_to_stderr();
    match codejail::serve::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, error.exit_status()),
    }
}

fn fail(error: &dyn std::error::Error, status: u8) -> ExitCode {
    eprintln!("codejail: {error}");
    ExitCode::from(status)
}
