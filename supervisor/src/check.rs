//! `codejail check`: would a service with this configuration serve on this host, and how confined?
//!
//! It starts a worker as the service would, passes it the safety checks, and lets a sandbox say what
//! it has. Only the port is not touched.

use crate::answer::Answer;
use crate::boot::{self, BootError, Host};
use crate::code_exec::Service;
use crate::config::Config;
use crate::payload::Form;
use crate::privileges;
use codejail_protocol::control::{Hello, LayerMode};
use serde_json::Value;

/// Says what it sees of itself. 21 is PR_GET_SECCOMP.
const PROBE: &str = "
import os, resource
uid, pid = os.getuid(), os.getpid()
limits = {name: resource.getrlimit(getattr(resource, 'RLIMIT_' + name))[0]
          for name in ('CPU', 'AS', 'FSIZE', 'NPROC', 'NOFILE', 'CORE')}
try:
    import ctypes
    seccomp = ctypes.CDLL(None).prctl(21, 0, 0, 0, 0)
except Exception:
    pass
del os, resource
";

/// Checks, and prints a line for each thing found; whether a service would serve.
///
/// # Errors
/// The service could not even start.
pub fn run(config: Config) -> Result<bool, BootError> {
    println!("configuration     ok");
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
    let seen = seen_by_a_sandbox(&service).await;
    println!("layer uid         {}", uid(host, &seen));
    println!("layer namespaces  {}", namespaces(host, &seen));
    println!("layer landlock    {}", landlock(host, hello));
    println!("layer apparmor    {}", apparmor(host));
    for (name, mode) in &host.spawner.apparmor().loaded {
        println!("profile           {name}: {mode}");
    }
    println!("layer seccomp     {}", seccomp(&seen));
    println!("layer rlimits     {}", rlimits(host, &seen));
    for check in service.health.checks() {
        let result = check.failure.as_deref().unwrap_or("passed");
        println!("check {:<11} {result}", check.id);
    }
    if !host.config.enabled {
        println!(
            "enabled           false: the service would refuse every execution until it is true"
        );
    }
    Ok(service.health.is_safe())
}

fn print_python(config: &Config, hello: &Hello) {
    let bin = config.python.bin.display();
    println!("python            {}, {bin}; six is there", hello.python);
    // Another build's would have been refused.
    println!("worker module     of this build");
    let wanted = config.python.preload.len();
    let failed = hello.preload_failed.len();
    println!(
        "preload           {} of {wanted} modules; {} MiB mapped",
        wanted.saturating_sub(failed),
        hello.image_bytes >> 20
    );
    for (module, error) in &hello.preload_failed {
        println!("preload           {module}: it can't be imported: {error}");
    }
}

/// The globals that the probe leaves; nothing if it could not run, which the safety checks explain.
async fn seen_by_a_sandbox(service: &Service) -> Value {
    let payload = serde_json::json!({ "code": PROBE, "globals_dict": {} }).to_string();
    match service.execute(&Form::of_payload(payload)).await {
        Answer::Success(globals) => serde_json::from_str(&globals).unwrap_or_else(|error| {
            println!("probe             its globals can't be read: {error}");
            Value::Null
        }),
        answer => {
            println!("probe             it did not run: {answer:?}");
            Value::Null
        }
    }
}

fn uid(host: &Host, seen: &Value) -> String {
    let uid = &seen["uid"];
    if host.own_uids {
        format!("on: one for each worker and sandbox; this sandbox had {uid}")
    } else {
        format!("none: not started as root; sandboxes share this user's, {uid}")
    }
}

fn namespaces(host: &Host, seen: &Value) -> String {
    if host.spawner.namespaces() {
        let pid = &seen["pid"];
        return format!("on: PID, mount, network, IPC, UTS; this sandbox was process {pid}");
    }
    match host.config.layers.namespaces {
        LayerMode::Off => "none: layers.namespaces = \"off\"".to_owned(),
        _ => "none: this host gives none; start as root with CAP_SYS_ADMIN, or allow user \
              namespaces (sysctl user.max_user_namespaces, and on Ubuntu \
              kernel.apparmor_restrict_unprivileged_userns=0)"
            .to_owned(),
    }
}

fn landlock(host: &Host, hello: Option<&Hello>) -> String {
    match (host.config.layers.landlock, hello) {
        (_, Some(hello)) if hello.landlock_abi > 0 => format!("on: ABI {}", hello.landlock_abi),
        (LayerMode::Off, _) => "none: layers.landlock = \"off\"".to_owned(),
        _ => "none: this kernel has none; it takes Linux 5.13 with landlock among its lsm="
            .to_owned(),
    }
}

/// A worker and a sandbox that are not under their profiles say so and end.
fn apparmor(host: &Host) -> String {
    let found = host.spawner.apparmor();
    let flaws = found.flaws.join("; ");
    match (&found.profiles, found.flaws.is_empty()) {
        _ if host.config.layers.apparmor == LayerMode::Off => {
            "none: layers.apparmor = \"off\"".to_owned()
        }
        (Some(profiles), true) => format!("on: this sandbox was under {}", profiles.sandbox),
        (Some(_), false) => format!("in part: {flaws}"),
        (None, _) => format!("none: {flaws}"),
    }
}

/// No sandbox is prepared without it, so that one ran is proof; the kernel may say so too.
fn seccomp(seen: &Value) -> String {
    match (seen.is_null(), seen["seccomp"].as_i64()) {
        (true, _) => "unknown: no sandbox ran".to_owned(),
        (_, Some(2)) => "on: filter mode".to_owned(),
        (_, Some(-1)) => "on: not even its mode may be asked for".to_owned(),
        _ => "on: without it this sandbox had not run".to_owned(),
    }
}

fn rlimits(host: &Host, seen: &Value) -> String {
    if seen.is_null() {
        return "unknown: no sandbox ran".to_owned();
    }
    let shown = |name: &str| match seen["limits"][name].as_i64() {
        Some(-1) => format!("{name} unlimited"),
        Some(number) => format!("{name} {number}"),
        None => format!("{name} unknown"),
    };
    let kernel: Vec<String> = ["CPU", "AS", "FSIZE", "NPROC", "NOFILE", "CORE"]
        .into_iter()
        .map(shown)
        .collect();
    let realtime = host.config.limits.REALTIME;
    format!("on: {}; REALTIME {realtime} s by timers", kernel.join(", "))
}
