//! The arguments of `codejail`, with the words that help, man pages and shell completions show.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Runs untrusted Python in pre-warmed, confined sandboxes: a drop-in replacement for Open edX's
/// codejail-service.
#[derive(Parser)]
#[command(version, after_long_help = include_str!("help.txt"))]
pub struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Serve the v0 API until told to end
    ///
    /// Serve the v0 API until told to end. The port answers at once. The service refuses executions
    /// until a worker is warm, the safety checks have passed, and `enabled` is true.
    Serve {
        /// Where the configuration comes from
        #[command(flatten)]
        sources: SourceArgs,
        /// Address and port to listen on; port 0 picks a free one
        #[arg(long, value_name = "ADDRESS:PORT")]
        bind: Option<String>,
        /// How many workers (warm interpreters)
        #[arg(long, value_name = "N")]
        workers: Option<String>,
        /// Check the configuration but not the host, say "configuration ok", and end
        #[arg(long, conflicts_with = "print_config")]
        check_config: bool,
        /// Print the resulting configuration as TOML, with the source of each value that is not a
        /// default, and end
        #[arg(long)]
        print_config: bool,
    },
    /// Say whether a service would serve on this host, and with which layers
    ///
    /// Say whether a service with this configuration would serve on this host, and with which
    /// layers of confinement. The command starts a worker as `serve` does, and runs the safety
    /// checks. It does not disturb a running service. Exits with 0 if the service would serve, with
    /// 78 if configuration or host must be changed before it can start, and with 69 if it would
    /// start but not serve. Lines that begin with "warning" do not change the status.
    Check {
        /// Where the configuration comes from
        #[command(flatten)]
        sources: SourceArgs,
    },
    /// Execute a file in a sandbox and print its globals
    ///
    /// Execute a file as the service would: with the same configuration, limits and confinement, in
    /// a sandbox of its own. If the code succeeds, the command prints the resulting globals as JSON
    /// and exits with 0. If it fails, the command prints the message that the author would read to
    /// standard error, and exits with 1. `enabled` has no effect on it.
    Run {
        /// Where the configuration comes from
        #[command(flatten)]
        sources: SourceArgs,
        /// The Python file; - is standard input
        file: PathBuf,
        /// Input globals: a JSON object, or @FILE with one
        #[arg(long, value_name = "JSON", default_value = "{}")]
        globals: String,
        /// A course library; the code finds it on its path as python_lib.zip
        #[arg(long, value_name = "ZIP")]
        python_lib: Option<PathBuf>,
        /// The name of a course in limit_overrides, whose limits apply
        #[arg(long, value_name = "NAME")]
        context: Option<String>,
    },
    /// Turn the original's settings into a configuration
    ///
    /// Turn the original's settings, in YAML or Python, into a configuration in TOML, and print it.
    /// Standard error has a line for each key: it was taken, it has no effect here, or it is not
    /// understood. `serve` can read the YAML itself: use this command if you want TOML, if your
    /// settings are in Python, or to see whether each key is understood. Exits with 0 if each key
    /// was taken or is known to have no effect. Else exits with 1, and the last lines name the
    /// other keys.
    ///
    /// If the name of the file ends in `.py`, the command executes the file as Django does, as the
    /// user who types this: import only settings of your own. codejail_service need not be
    /// installed. The original's settings also have the content of the YAML file that
    /// CODEJAIL_SERVICE_CFG names. This command does not read that file: import it too. The command
    /// reads each file with another ending as YAML.
    ImportSettings {
        /// The settings file
        file: PathBuf,
        /// A configuration in TOML: the command prints it with the settings in place of its own
        /// values
        #[arg(long, value_name = "TOML")]
        over: Option<PathBuf>,
        /// The Python that executes a settings file in Python: 3.9 or newer, with all modules that
        /// the file imports
        #[arg(long, value_name = "PROGRAM", default_value = "python3")]
        python: PathBuf,
    },
    /// The privileged part of a service; started by the others alone
    #[command(hide = true)]
    Spawner,
}

/// Where the configuration comes from, beside the environment.
#[derive(Args)]
pub struct SourceArgs {
    /// The configuration, in TOML; without this option, the file that CODEJAIL_CONFIG names
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}
