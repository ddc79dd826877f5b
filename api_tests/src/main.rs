//! Runs the probes against a service, and prints the results as a test runner does.

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use codejail_api_tests::bare::Bare;
use codejail_api_tests::base_url::BaseUrl;
use codejail_api_tests::decoys::{self, Decoys};
use codejail_api_tests::outcome::Outcome;
use codejail_api_tests::report::{self, Passes};
use codejail_api_tests::run::{self, Chosen, Facts, Finished};
use codejail_api_tests::target::{Service, Target};
use codejail_api_tests::victim::{self, Attacked};
use serde_json::Value;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Exit statuses of sysexits(3).
const EX_USAGE: u8 = 64;
const EX_DATAERR: u8 = 65;
const EX_NOINPUT: u8 = 66;
const EX_UNAVAILABLE: u8 = 69;
const EX_CANTCREAT: u8 = 73;
const EX_IOERR: u8 = 74;

/// Probes a running codejail: what must be denied, allowed and supported
///
/// Probes a running codejail: what must be denied, allowed and supported. Exits with 0 if all is as
/// it must be, 1 if not, 64 for wrong arguments, 65 or 66 for unreadable decoys, 69 if nobody
/// answers, 73 if a report, 74 if the list can't be written.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Where the service is; its host may be a name
    #[arg(long, default_value = "http://127.0.0.1:8080", value_name = "URL")]
    base_url: BaseUrl,
    /// The decoys.json of decoys that are set up on the service's host
    #[arg(long, value_name = "FILE")]
    decoys: Option<PathBuf>,
    /// A limit of the service, where it is not CODE_JAIL's default (CPU=1 REALTIME=1 VMEM=0 FSIZE=0
    /// NPROC=15); 0 is no limit, but for FSIZE, where it is no files
    #[arg(long = "limit", value_name = "NAME=NUMBER", value_parser = limit)]
    limits: Vec<(String, Value)>,
    /// Run attacks beside a well-behaved client, and judge each attack by the client's answers;
    /// without --group and FILTER the attacks of the groups resources and costs
    #[arg(long, conflicts_with_all = ["jobs", "bare"])]
    victim: bool,
    /// How many times as much as usual the attacks of the group costs do
    #[arg(long, default_value_t = 1.0, value_name = "NUMBER", value_parser = positive, requires = "victim")]
    scale: f64,
    /// For how many seconds loops run, with which each attack is compared; attacks run as long
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS", value_parser = positive, requires = "victim")]
    phase: f64,
    /// How many attacks, or loops, run at a time
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64), requires = "victim")]
    attackers: u16,
    /// How many probes at a time
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    /// Print the probes instead of running them: name, group, kind, what each shows, and the test
    /// of the original whose counterpart it is
    #[arg(long)]
    list: bool,
    /// Write a JUnit report
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write a JSON report
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Run the code in this Python, unconfined, where each attack must succeed
    #[arg(long, hide = true, value_name = "PYTHON")]
    bare: Option<PathBuf>,
    /// The user that runs it, when started as root
    #[arg(long, hide = true, requires = "bare", value_name = "UID")]
    bare_uid: Option<u32>,
    /// Only probes of these groups
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// Only probes whose name contains this
    filter: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Set up files, a process and listeners for attacks to go for, until TERM or INT
    ///
    /// Set up files, a process and loopback listeners for attacks to go for, in a new directory,
    /// and keep them until TERM or INT. Its decoys.json is for --decoys. To be run on the host, or
    /// in the container, of the service.
    Decoys {
        /// The directory to make
        #[arg(long, value_name = "DIRECTORY")]
        dir: PathBuf,
        /// The user that owns the files and the process; only root may name another user
        #[arg(long, value_name = "UID")]
        uid: Option<u32>,
    },
}

/// An error, with the exit status for it.
struct Failure(u8, anyhow::Error);

trait OrExit<T> {
    fn or_exit(self, status: u8) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, status: u8) -> Result<T, Failure> {
        self.map_err(|error| Failure(status, error.into()))
    }
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(answer) => {
            // Help and version come here, too. They are no mistakes.
            let _ = answer.print();
            return ExitCode::from(if answer.use_stderr() { EX_USAGE } else { 0 });
        }
    };
    let done = match &arguments.command {
        Some(Command::Decoys { dir, uid }) => set_up(dir, *uid),
        None => probe(&arguments),
    };
    match done {
        Ok(status) => status,
        Err(Failure(status, error)) => {
            eprintln!("codejail-api-tests: {error:#}");
            ExitCode::from(status)
        }
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "must be a number")?;
    // More than any attack or wait needs.
    match number > 0.0 && number <= 1000.0 {
        true => Ok(number),
        false => Err("must be above 0, and 1000 at most".to_owned()),
    }
}

fn limit(text: &str) -> Result<(String, Value), String> {
    let known = run::default_limits();
    let names = || {
        known
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let parsed = text.split_once('=').and_then(|(name, number)| {
        let number: serde_json::Number = number.parse().ok()?;
        let positive = number.as_f64().is_some_and(|number| number >= 0.0);
        (positive && known.contains_key(name)).then(|| (name.to_owned(), number.into()))
    });
    parsed.ok_or_else(|| format!("must be NAME=NUMBER with one of {}", names()))
}

fn set_up(dir: &Path, uid: Option<u32>) -> Result<ExitCode, Failure> {
    // Before decoys exist that a signal could leave behind.
    let mut signals =
        signal_hook::iterator::Signals::new([SIGTERM, SIGINT]).or_exit(EX_UNAVAILABLE)?;
    let decoys = Decoys::create(dir, uid).or_exit(EX_CANTCREAT)?;
    println!(
        "decoys are ready: --decoys {}",
        decoys.facts_file().display()
    );
    signals.forever().next();
    Ok(ExitCode::SUCCESS)
}

fn probe(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let chosen = chosen(arguments);
    if arguments.list {
        list(&chosen)?;
        return Ok(ExitCode::SUCCESS);
    }
    let decoy = match &arguments.decoys {
        Some(file) => read_decoys(file)?,
        None => decoys::of_every_host(),
    };
    let mut limits = run::default_limits();
    limits.extend(arguments.limits.iter().cloned());
    let facts = Facts {
        decoy,
        limits,
        scale: arguments.scale,
    };
    match &arguments.bare {
        Some(python) => {
            let dir = std::env::temp_dir().join(format!("codejail-bare-{}", std::process::id()));
            fs::create_dir(&dir).or_exit(EX_CANTCREAT)?;
            let bare = Bare::new(python.clone(), arguments.bare_uid, &dir).or_exit(EX_USAGE)?;
            let status = run_and_report(&bare, &chosen, &facts, arguments, |_, outcome| {
                matches!(outcome, Outcome::Succeeded(_))
            });
            fs::remove_dir_all(&dir).or_exit(EX_CANTCREAT)?;
            status
        }
        None => {
            let url = &arguments.base_url;
            let address = url.find().or_exit(EX_UNAVAILABLE)?;
            let service = Service::new(address, url.host());
            service.answers().or_exit(EX_UNAVAILABLE)?;
            let passes: Passes = |probe, outcome| outcome.passes(probe.kind);
            if arguments.victim {
                attack_and_report(&service, &chosen, &facts, arguments, passes)
            } else {
                run_and_report(&service, &chosen, &facts, arguments, passes)
            }
        }
    }
}

/// The probes to run or to list.
fn chosen(arguments: &Arguments) -> Vec<Chosen> {
    let filter = arguments.filter.as_deref();
    let part = filter.unwrap_or_default();
    let beside_victim = arguments.victim;
    let mut chosen = match beside_victim || arguments.list {
        true => run::choose_with_costs(part),
        false => run::choose(part),
    };
    let mut groups: Vec<&str> = arguments.groups.iter().map(String::as_str).collect();
    if beside_victim && groups.is_empty() && filter.is_none() {
        groups.extend(["resources", "costs"]);
    }
    chosen.retain(|(group, probe)| {
        (groups.is_empty() || groups.contains(&group.name)) && (!beside_victim || probe.is_attack())
    });
    chosen
}

fn attack_and_report(
    service: &Service,
    chosen: &[Chosen],
    facts: &Facts,
    arguments: &Arguments,
    passes: Passes,
) -> Result<ExitCode, Failure> {
    let settings = victim::Settings {
        phase: Duration::from_secs_f64(arguments.phase),
        attackers: arguments.attackers,
    };
    println!("running {} probes beside a victim", chosen.len());
    let attacked = Attacked::new(service, facts, settings).or_exit(EX_UNAVAILABLE)?;
    let all = attacked.run_all(chosen, |finished| {
        print(finished, passes);
        if passes(finished.probe, &finished.outcome) {
            println!("    {}", finished.outcome.how());
        }
    });
    report(&all, arguments, passes)
}

fn list(chosen: &[Chosen]) -> Result<(), Failure> {
    let line = |(group, probe): &Chosen| {
        let (name, group, kind, shows) = (probe.name, group.name, probe.kind_name(), probe.shows);
        let original = probe.original.map(|test| format!("\toriginal: {test}"));
        format!(
            "{name}\t{group}\t{kind}\t{shows}{}\n",
            original.unwrap_or_default()
        )
    };
    let lines: String = chosen.iter().map(line).collect();
    match io::stdout().write_all(lines.as_bytes()) {
        // `head` has read what it wants.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("standard output").or_exit(EX_IOERR),
    }
}

fn read_decoys(file: &Path) -> Result<Value, Failure> {
    let named = || file.display().to_string();
    let text = fs::read_to_string(file)
        .with_context(named)
        .or_exit(EX_NOINPUT)?;
    serde_json::from_str(&text)
        .with_context(named)
        .or_exit(EX_DATAERR)
}

fn run_and_report(
    target: &dyn Target,
    chosen: &[Chosen],
    facts: &Facts,
    arguments: &Arguments,
    passes: Passes,
) -> Result<ExitCode, Failure> {
    println!("running {} probes", chosen.len());
    let all = run::run_all(target, chosen, facts, arguments.jobs.into(), |finished| {
        print(finished, passes);
    });
    report(&all, arguments, passes)
}

fn print(finished: &Finished, passes: Passes) {
    let (name, outcome) = (finished.probe.name, &finished.outcome);
    match outcome {
        Outcome::Skipped(why) => println!("probe {name} ... skipped, {why}"),
        outcome if passes(finished.probe, outcome) => println!("probe {name} ... ok"),
        outcome => println!(
            "probe {name} ... FAILED\n    {}: {}",
            outcome.word(),
            outcome.how()
        ),
    }
}

fn report(all: &[Finished], arguments: &Arguments, passes: Passes) -> Result<ExitCode, Failure> {
    for (file, text) in [
        (&arguments.junit, report::junit(all, passes)),
        (&arguments.json, report::json(all, passes)),
    ] {
        let Some(file) = file else { continue };
        let written = fs::write(file, text).with_context(|| file.display().to_string());
        written.or_exit(EX_CANTCREAT)?;
    }
    let count = |wanted: &dyn Fn(&Finished) -> bool| all.iter().filter(|f| wanted(f)).count();
    let passed = count(&|finished| passes(finished.probe, &finished.outcome));
    let skipped = count(&|finished| matches!(finished.outcome, Outcome::Skipped(_)));
    let failed = all.len() - passed - skipped;
    let also = if skipped > 0 {
        format!(", {skipped} skipped")
    } else {
        String::new()
    };
    println!("{passed} passed, {failed} failed{also}");
    // If no probe ran, nothing is shown.
    let good = failed == 0 && passed > 0;
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
