//! Runs the probes against a service and prints what a test runner prints.

use clap::Parser;
use codejail_api_tests::client::Client;
use codejail_api_tests::probe::Probe;
use codejail_api_tests::probes::PROBES;
use std::net::SocketAddr;
use std::process::ExitCode;

/// Probes a running codejail: what must be denied, allowed and supported. Exits 0 if all is as it
/// must be.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where the service is.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    base_url: String,
    /// Print the probes' names instead of running them.
    #[arg(long)]
    list: bool,
    /// Only probes whose name contains this.
    filter: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let matches = |probe: &&Probe| match &arguments.filter {
        Some(part) => probe.name.contains(part.as_str()),
        None => true,
    };
    let chosen: Vec<&Probe> = PROBES.iter().filter(matches).collect();
    if arguments.list {
        chosen.iter().for_each(|probe| println!("{}", probe.name));
        return ExitCode::SUCCESS;
    }
    let address = arguments
        .base_url
        .trim_start_matches("http://")
        .trim_end_matches('/');
    let Ok(address) = address.parse::<SocketAddr>() else {
        eprintln!(
            "--base-url {}: must be http://ADDRESS:PORT, an IP address",
            arguments.base_url
        );
        return ExitCode::from(64);
    };
    run(&chosen, &mut Client::new(address, false))
}

fn run(probes: &[&Probe], client: &mut Client) -> ExitCode {
    println!("running {} probes", probes.len());
    let mut failed = 0;
    for probe in probes {
        match probe.run(client) {
            Ok(()) => println!("probe {} ... ok", probe.name),
            Err(error) => {
                failed += 1;
                println!("probe {} ... FAILED\n    {error:#}", probe.name);
            }
        }
    }
    println!("{} passed, {failed} failed", probes.len() - failed);
    // A filter that matches nothing has shown nothing.
    if failed == 0 && !probes.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
