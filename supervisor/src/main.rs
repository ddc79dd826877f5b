//! From the command line to an exit status: reads the configuration, and runs one of the commands.
#![forbid(unsafe_code)]
// These macros panic if they can't write, and a panic aborts the process. Use `say` instead.
#![deny(clippy::print_stdout, clippy::print_stderr)]

use clap::Parser;
use codejail::boot::privileges;
use codejail::command_line::{Command, CommandLine, SourceArgs};
use codejail::commands::run_file::{self, Ran, Request};
use codejail::commands::{check, import_settings, serve};
use codejail::config;
use codejail::config::LogFormat;
use codejail::config::load::{Flag, Loaded, Sources};
use codejail::config::note::Note;
use codejail::{complain, log, say};
use codejail_spawner::SpawnerError;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

/// Exit statuses of sysexits(3).
const EX_USAGE: u8 = 64;
const EX_DATAERR: u8 = 65;
const EX_UNAVAILABLE: u8 = 69;
const EX_SOFTWARE: u8 = 70;
const EX_IOERR: u8 = 74;
const EX_CONFIG: u8 = 78;

fn main() -> ExitCode {
    codejail_allocator::map_large_blocks();
    let command = match CommandLine::try_parse() {
        Ok(line) => line.command,
        Err(answer) => {
            // Help and version come here too. They are not mistakes.
            let _ = answer.print();
            return ExitCode::from(if answer.use_stderr() { EX_USAGE } else { 0 });
        }
    };
    match command {
        Command::Serve {
            sources,
            bind,
            workers,
            check_config,
            print_config,
        } => {
            if let Err(error) = serve::hold_signals() {
                return fail(&error, error.exit_status());
            }
            let flags = [("--bind", "bind", bind), ("--workers", "workers", workers)];
            with_config(sources, flags, |loaded, sources| {
                if check_config {
                    tell(&loaded.notes);
                    say!("configuration ok");
                    ExitCode::SUCCESS
                } else if print_config {
                    print_effective(&loaded)
                } else {
                    serve(loaded, sources)
                }
            })
        }
        Command::Check { sources } => with_config(sources, [], |loaded, _| check(loaded)),
        Command::Run {
            sources,
            file,
            globals,
            python_lib,
            context,
        } => {
            let request = Request {
                file,
                globals,
                python_lib,
                context,
            };
            with_config(sources, [], |loaded, _| run(loaded, &request))
        }
        Command::ImportSettings { file, over, python } => {
            import_settings(&file, &python, over.as_deref())
        }
        Command::Spawner => match codejail_spawner::run() {
            Ok(()) => ExitCode::SUCCESS,
            // The supervisor got this error too, and reports it.
            Err(SpawnerError::Configure(_)) => ExitCode::from(EX_CONFIG),
            Err(error) => fail(&error, EX_SOFTWARE),
        },
    }
}

/// Loads the configuration for a command, or prints what is wrong with it.
fn with_config<const N: usize>(
    args: SourceArgs,
    flags: [(&'static str, &'static str, Option<String>); N],
    command: impl FnOnce(Loaded, &Sources) -> ExitCode,
) -> ExitCode {
    let flags = flags.into_iter().filter_map(|(name, key, text)| {
        let text = text?;
        Some(Flag { name, key, text })
    });
    let sources = Sources::of_process(args.config, flags.collect());
    match sources.load() {
        Ok(loaded) => command(loaded, &sources),
        Err(error) => {
            for mistake in error.told() {
                complain!("codejail: {mistake}");
            }
            ExitCode::from(EX_CONFIG)
        }
    }
}

/// Prints notes on the configuration, for a user who sees no log. They stop nothing.
fn tell(notes: &[Note]) {
    for note in notes {
        complain!("codejail: {}", note.text());
    }
}

fn print_effective(loaded: &Loaded) -> ExitCode {
    match config::print::to_toml(&loaded.config, &loaded.settings) {
        Ok(text) => produce(&text),
        Err(error) => fail(&error, EX_SOFTWARE),
    }
}

fn serve(loaded: Loaded, sources: &Sources) -> ExitCode {
    let of_log = &loaded.config.log;
    log::start(&of_log.level, of_log.format == LogFormat::Json);
    let of_host = privileges::notes(&loaded);
    for note in loaded.notes.iter().chain(&of_host) {
        note.log();
    }
    match serve::run(loaded.config, loaded.settings, sources) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, error.exit_status()),
    }
}

fn check(loaded: Loaded) -> ExitCode {
    // The command prints what it finds; the log would repeat it.
    log::start("off", false);
    match check::run(loaded) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EX_UNAVAILABLE),
        Err(error) => fail(&error, error.exit_status()),
    }
}

fn run(loaded: Loaded, request: &Request) -> ExitCode {
    log::start("error", false);
    let form = match run_file::form(request) {
        Ok(form) => form,
        Err(error) => return fail(&error, error.exit_status()),
    };
    if let Some(context) = &request.context
        && !loaded.config.limit_overrides.contains_key(context)
    {
        complain!("codejail: no limit_overrides for {context:?}: using the default limits");
    }
    match run_file::run(loaded.config, &form) {
        Ok(Ran::Globals(globals)) => produce(&(globals + "\n")),
        Ok(Ran::Failed(emsg)) => {
            complain!("{emsg}");
            ExitCode::FAILURE
        }
        Ok(Ran::Refused(why)) => fail(&*Box::<dyn Error>::from(why), EX_DATAERR),
        Ok(Ran::Unsafe(failures)) => {
            complain!("codejail: the file was not run, since not every safety check has passed:");
            for failure in failures {
                complain!("  {failure}");
            }
            ExitCode::from(EX_UNAVAILABLE)
        }
        Err(error) => fail(&error, error.exit_status()),
    }
}

fn import_settings(file: &Path, python: &Path, over: Option<&Path>) -> ExitCode {
    let imported = match import_settings::run(file, python, over) {
        Ok(imported) => imported,
        Err(error) => return fail(&error, error.exit_status()),
    };
    for line in &imported.lines {
        complain!("{:16}{}", line.kind, line.text);
    }
    match (produce(&imported.toml), imported.is_complete()) {
        (printed, true) => printed,
        (ExitCode::SUCCESS, false) => ExitCode::FAILURE,
        (failed, false) => failed,
    }
}

/// Prints the result of the command.
fn produce(text: &str) -> ExitCode {
    match say::product(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain!("codejail: standard output: {error}");
            ExitCode::from(EX_IOERR)
        }
    }
}

fn fail(error: &dyn Error, status: u8) -> ExitCode {
    complain!("codejail: {error}");
    ExitCode::from(status)
}
