//! `codejail check`: would a service with this configuration serve on this host, and how confined?
//!
//! It starts a worker as the service would, which has to pass the safety checks, and then lets a sandbox
//! say what it has. Only the port is not touched.

use crate::boot::privileges;
use crate::boot::{self, BootError, Host};
use crate::config::Config;
use crate::request::answer::Answer;
use crate::request::execute;
use crate::request::payload::Form;
use crate::say;
use crate::service::Service;
use codejail_protocol::control::{Hello, LayerState};
use serde_json::Value;

/// Says what it sees of itself.
const PROBE: &str = "
import os, resource
uid, pid = os.getuid(), os.getpid()
limits = {name: resource.getrlimit(getattr(resource, 'RLIMIT_' + name))[0]
          for name in ('CPU', 'AS', 'FSIZE', 'NPROC', 'NOFILE', 'CORE')}
del os, resource
";

/// Checks, and prints a line for each thing found; whether a service would serve.
///
/// # Errors
/// The service could not even start.
pub fn run(config: Config) -> Result<bool, BootError> {
    say!("configuration     ok");
    privileges::check_user(&config)?;
    boot::run(config.for_tool(), async |host| {
        host.ending.unless(check(&host)).await
    })
}

async fn check(host: &Host) -> Result<bool, BootError> {
    let service = host.service();
    host.boot(&service).await?;
    let hello = service.pool.get().and_then(|pool| pool.first_worker());
    if let Some(hello) = hello {
        print_python(&host.config, hello);
    }
    let seen = if service.health.is_safe() {
        seen_by_a_sandbox(host, &service).await
    } else {
        // No worker may serve; why is below.
        Value::Null
    };
    print_layers(&host.config, &service.health.layers(), &seen);
    for (name, mode) in &host.spawner.apparmor().loaded {
        say!("profile           {name}: {mode}");
    }
    for check in service.health.checks() {
        let result = check.failure.as_deref().unwrap_or("passed");
        say!("check {:<11} {result}", check.id);
    }
    if !host.config.enabled {
        say!("enabled           false: the service would refuse every execution until it is true");
    }
    Ok(service.health.is_safe())
}

fn print_python(config: &Config, hello: &Hello) {
    let bin = config.python.bin.display();
    say!("python            {}, {bin}; six is there", hello.python);
    // Another build's would have been refused.
    say!("worker module     of this build");
    let wanted = config.python.preload.len();
    let failed = hello.preload_failed.len();
    say!(
        "preload           {} of {wanted} modules; {} MiB mapped",
        wanted.saturating_sub(failed),
        hello.image_bytes >> 20
    );
    say!(
        "memory            {} MiB for each worker with this preload list, {} MiB of it in huge pages, and what \
         its runs use",
        hello.anonymous_bytes.div_ceil(1 << 20),
        hello.huge_bytes >> 20
    );
    for (module, error) in &hello.preload_failed {
        say!("preload           {module}: it can't be imported: {error}");
    }
}

/// The globals that the probe leaves; nothing if it could not run, which the safety checks explain.
async fn seen_by_a_sandbox(host: &Host, service: &Service) -> Value {
    let payload = serde_json::json!({ "code": PROBE, "globals_dict": {} }).to_string();
    match execute(service, &Form::of_payload(payload), &host.config).await {
        Answer::Success(globals) => serde_json::from_str(&globals).unwrap_or_else(|error| {
            say!("probe             its globals can't be read: {error}");
            Value::Null
        }),
        answer => {
            say!("probe             it did not run: {answer:?}");
            Value::Null
        }
    }
}

/// A line for each layer: what was got, or why nothing.
fn print_layers(config: &Config, layers: &[LayerState], seen: &Value) {
    for LayerState { layer, on, detail } in layers {
        let seen = match layer.as_str() {
            // None ran, or there is nothing to see.
            _ if !on || seen.is_null() => String::new(),
            "uid" => format!("; a sandbox had {}", seen["uid"]),
            "namespaces" => format!("; a sandbox was process {}", seen["pid"]),
            "rlimits" => format!("; {}", rlimits(config, seen)),
            _ => String::new(),
        };
        let got = if *on { "on" } else { "none" };
        say!("layer {layer:<11} {got}: {detail}{seen}");
    }
}

fn rlimits(config: &Config, seen: &Value) -> String {
    let shown = |name: &str| match seen["limits"][name].as_i64() {
        Some(-1) => format!("{name} unlimited"),
        Some(number) => format!("{name} {number}"),
        None => format!("{name} unknown"),
    };
    let kernel: Vec<String> = ["CPU", "AS", "FSIZE", "NPROC", "NOFILE", "CORE"]
        .into_iter()
        .map(shown)
        .collect();
    let realtime = config.limits.REALTIME;
    format!("{}; REALTIME {realtime} s by timers", kernel.join(", "))
}
