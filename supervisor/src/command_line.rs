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
    /// Serve the v0 API until told to end. The port answers at once; executions are refused until a
    /// worker is warm, the safety checks have passed, and `enabled` is true.
    Serve {
        /// Where the configuration comes from
        #[command(flatten)]
        sources: SourceArgs,
        /// Address and port to listen on; port 0 picks a free one
        #[arg(long, value_name = "ADDRESS:PORT")]
        bind: Option<String>,
        /// How many warm interpreters
        #[arg(long, value_name = "N")]
        workers: Option<String>,
        /// Check the configuration, say "configuration ok", and end; the host is not looked at
        #[arg(long, conflicts_with = "print_config")]
        check_config: bool,
        /// Print the effective configuration as TOML, with the source of each value that is not the
        /// default, and end
        #[arg(long)]
        print_config: bool,
    },
    /// Say whether a service would serve here, and how confined
    ///
    /// Say whether a service with this configuration would serve on this host, and how confined.
    /// This starts a worker as `serve` does, and runs the safety checks. It does not disturb a
    /// service that runs. Exits with 0 if the service would serve, 78 if configuration or host must
    /// be changed so that it can start, 69 if it would start but not serve. Lines that begin with
    /// "warning" do not change the status.
    Check {
        /// Where the configuration comes from
        #[command(flatten)]
        sources: SourceArgs,
    },
    /// Execute a file in a sandbox and print its globals
    ///
    /// Execute a file as a request would: with the same configuration, limits and confinement, in a
    /// sandbox that is started for it. If the code ends well, prints the resulting globals as JSON
    /// and exits with 0. If it fails, prints to standard error what the author of a problem would
    /// read, and exits with 1. `enabled` does not matter.
    Run {
        /// Where the configuration comes from
        #[command(flatten)]
        sources: SourceArgs,
        /// The Python file; - is standard input
        file: PathBuf,
        /// Input globals: a JSON object, or @FILE with one
        #[arg(long, value_name = "JSON", default_value = "{}")]
        globals: String,
        /// The course's library, put on the path as python_lib.zip
        #[arg(long, value_name = "ZIP")]
        python_lib: Option<PathBuf>,
        /// The limit_overrides_context, which picks the limits
        #[arg(long, value_name = "NAME")]
        context: Option<String>,
    },
    /// Turn the original's settings into a configuration
    ///
    /// Turn the original's settings, YAML or Python, into a configuration in TOML, and print it.
    /// Standard error has a line for each key: taken, of no effect here, or not understood. `serve`
    /// reads the YAML as it is. Use this command if you want TOML, if your settings are in Python,
    /// or to see that nothing is lost. Exits with 0 if each key was taken or is known to have no
    /// effect. Exits with 1 if not; the last lines name the other keys.
    ///
    /// A file whose name ends in `.py` is executed, as Django does, as the user who types this:
    /// import only your own settings. codejail_service, from which the file imports, need not be
    /// installed. The file that CODEJAIL_SERVICE_CFG names is not read: import it too. A file with
    /// any other name is read as YAML.
    ImportSettings {
        /// The settings file
        file: PathBuf,
        /// A configuration in TOML that the settings are added to: the printed TOML has its keys,
        /// too
        #[arg(long, value_name = "TOML")]
        over: Option<PathBuf>,
        /// The Python that executes a settings file in Python: 3.9 or newer, with the modules that
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
    /// The configuration, in TOML; without it the file that CODEJAIL_CONFIG names
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}
