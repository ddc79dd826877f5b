//! `codejail check`: would a service with this configuration serve on this host, and how well would
//! it be confined?
//!
//! It starts a worker as the service would. The worker has to pass the safety checks. Then an
//! execution reports what it sees of its sandbox. Only the port is not opened.

use super::fairness::{self, Finding};
use super::venv;
use crate::boot::{self, BootError, Host};
use crate::boot::{kernel_memory, privileges};
use crate::config::Config;
use crate::config::load::Loaded;
use crate::http::peers;
use crate::request::answer::Answer;
use crate::request::execute_own;
use crate::request::payload::Form;
use crate::say;
use crate::service::Service;
use crate::startup_check::{SANDBOXES_TAKEN, told};
use codejail_protocol::control::{Hello, LayerState};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use tokio::time::timeout;

/// Code that reports what it sees of its own sandbox.
const PROBE: &str = "
import os, resource
uid, pid = os.getuid(), os.getpid()
limits = {name: resource.getrlimit(getattr(resource, 'RLIMIT_' + name))[0]
          for name in ('CPU', 'AS', 'FSIZE', 'NPROC', 'NOFILE', 'CORE')}
del os, resource
";

/// How long it may take until the sandboxes of the checks, and what they have left, are gone.
const CLEANINGS_MAX: Duration = Duration::from_secs(10);

/// Checks the host, and prints a line for each thing found. Returns whether a service would serve.
/// A fault that stops no service is printed as a warning.
///
/// # Errors
/// The service could not even start.
pub fn run(loaded: Loaded) -> Result<bool, BootError> {
    say!("configuration     ok");
    privileges::check_user(&loaded.config)?;
    let of_host = privileges::notes(&loaded);
    for note in loaded.notes.iter().chain(&of_host) {
        warn(note.text());
    }
    let workers = loaded.config.workers;
    boot::run(loaded.config.for_tool(), async |host| {
        host.ending.unless(check(&host, workers)).await
    })
}

fn warn(text: &str) {
    say!("warning           {text}");
}

async fn check(host: &Host, workers: usize) -> Result<bool, BootError> {
    let service = host.service();
    host.boot(&service).await?;
    let hello = service.pool.get().and_then(|pool| pool.first_worker());
    if let Some(hello) = hello {
        print_python(&host.config, hello);
        for fault in venv::faults(&host.config.python.bin, &hello.python) {
            warn(&fault);
        }
    }
    let mut serves = service.health.is_safe();
    // The reasons are printed below if no worker may serve.
    let mut seen = Value::Null;
    if serves {
        let probed = seen_by_a_sandbox(host, &service).await;
        let emptied = emptied(host).await;
        for failure in [probed.as_ref().err(), emptied.as_ref().err()]
            .into_iter()
            .flatten()
        {
            say!("{failure}");
            serves = false;
        }
        seen = probed.unwrap_or_default();
    }
    print_layers(host, &service.health.layers(), &seen);
    for (name, mode) in &host.spawner.apparmor().loaded {
        say!("profile           {name}: {mode}");
    }
    for check in service.health.checks() {
        let result = check.failure.as_deref().unwrap_or("passed");
        say!("check {:<11} {result}", check.id);
    }
    let open = peers::note(&host.config, host.config.bind);
    for note in host.notes(&host.config, workers).iter().chain(&open) {
        warn(note.text());
    }
    for finding in fairness::findings(Path::new("/")) {
        match finding {
            Finding::Fair { what, is } => say!("host {what:<12} {is}"),
            Finding::Unfair { why, remedy } => warn(&format!("{why}; remedy: {remedy}")),
        }
    }
    if !host.bounds_memory(&host.config)
        && let Some(descriptors) = seen["limits"]["NOFILE"].as_u64()
        && let Some(text) = kernel_memory::unbounded(descriptors)
    {
        warn(&text);
    }
    if !host.config.enabled {
        say!("enabled           false: the service would refuse every execution until it is true");
    }
    Ok(serves)
}

fn print_python(config: &Config, hello: &Hello) {
    let bin = config.python.bin.display();
    say!(
        "python            {}, {bin}; six is installed",
        hello.python
    );
    // A module of another build would have been refused.
    say!("worker module     of this build");
    let wanted = config.python.preload.len();
    let failed = hello.preload_failed.len();
    if wanted == 0 {
        say!("preload           nothing: each execution imports what it needs, see python.preload");
    } else {
        say!(
            "preload           {} of {wanted} modules; {} MiB mapped",
            wanted.saturating_sub(failed),
            hello.image_bytes >> 20
        );
    }
    let memory = &hello.memory;
    say!(
        "memory            {} MiB for each worker with this preload list, {} MiB of it in a \
         sealed file, {} MiB in huge pages; its runs need more",
        memory.own_bytes.div_ceil(1 << 20),
        memory.sealed_bytes >> 20,
        memory.huge_bytes >> 20
    );
    if let Some(cause) = &memory.not_sealed {
        warn(&format!(
            "python.sealed_image: not all of the image is in a sealed file, so an execution costs \
             more: {cause}"
        ));
    }
    for (module, error) in &hello.preload_failed {
        warn(&format!(
            "python.preload: {module} can't be imported: {error}"
        ));
    }
}

/// The globals that the probe leaves. An error says why an execution like it can't end well.
async fn seen_by_a_sandbox(host: &Host, service: &Service) -> Result<Value, String> {
    let payload = serde_json::json!({ "code": PROBE, "globals_dict": {} }).to_string();
    let limits = &host.config.limits;
    match execute_own(service, &Form::of_payload(payload), &host.config).await {
        Answer::Success(globals) => serde_json::from_str(&globals)
            .map_err(|error| format!("probe             its globals can't be read: {error}")),
        answer => Err(format!(
            "probe             expected to see what a sandbox has, but {}",
            told(&answer, limits)
        )),
    }
}

/// Waits until everything that the sandboxes have left so far is gone.
async fn emptied(host: &Host) -> Result<(), String> {
    let mut cleanings = host.spawner.cleanings();
    // The sandboxes of the checks, and the probe's.
    let all = SANDBOXES_TAKEN + 1;
    let done = timeout(
        CLEANINGS_MAX,
        cleanings.wait_for(|cleanings| cleanings.done >= all),
    )
    .await;
    let cleanings = match done {
        Ok(Ok(cleanings)) => *cleanings,
        Ok(Err(_)) => return Err("scratch           the spawner is gone".to_owned()),
        Err(_) => {
            return Err(format!(
                "scratch           the files of {all} sandboxes are not removed after \
                 {CLEANINGS_MAX:?}"
            ));
        }
    };
    if cleanings.failed == 0 {
        return Ok(());
    }
    let dir = host.config.sandbox.scratch_dir.display();
    Err(format!(
        "scratch           {} of {} directories of executions below {dir} can't be removed; as root \
         the service needs CAP_CHOWN, CAP_DAC_OVERRIDE and CAP_FOWNER",
        cleanings.failed, cleanings.done
    ))
}

/// Prints a line for each layer: what it gives, or why it is not there.
fn print_layers(host: &Host, layers: &[LayerState], seen: &Value) {
    for LayerState { layer, on, detail } in layers {
        let seen = match layer.as_str() {
            // No probe ran, or it can't see this layer.
            _ if !on || seen.is_null() => String::new(),
            "uid" => format!("; a sandbox had {}", seen["uid"]),
            "namespaces" => format!("; a sandbox was process {}", seen["pid"]),
            "rlimits" => format!("; {}", rlimits(host, seen)),
            _ => String::new(),
        };
        let got = if *on { "on" } else { "none" };
        say!("layer {layer:<11} {got}: {detail}{seen}");
    }
}

fn rlimits(host: &Host, seen: &Value) -> String {
    let limits = &host.config.limits;
    let shown = |name: &str| match seen["limits"][name].as_i64() {
        Some(-1) => format!("{name} unlimited"),
        Some(number) => format!("{name} {number}"),
        None => format!("{name} unknown"),
    };
    let kernel: Vec<String> = ["CPU", "AS", "FSIZE", "NPROC", "NOFILE", "CORE"]
        .into_iter()
        .map(shown)
        .collect();
    // The kernel counts by user and user namespace, which sandboxes of one user may share.
    let more = seen["limits"]["NPROC"]
        .as_u64()
        .unwrap_or(0)
        .saturating_sub(limits.NPROC);
    let shared = match host.own_uids || limits.NPROC == 0 || more == 0 {
        true => String::new(),
        false => format!(
            " (of NPROC {} for the execution and {more} for the processes that share its user)",
            limits.NPROC
        ),
    };
    let realtime = limits.REALTIME;
    format!(
        "{}{shared}; REALTIME {realtime} s by timers",
        kernel.join(", ")
    )
}
