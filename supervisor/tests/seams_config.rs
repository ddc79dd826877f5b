//! Mistakes on purpose: what an operator does wrong is named, with what would be right.

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use support::own_python::{OwnPython, Scratch};
use support::processes::wait_for;
use support::{START_MAX, Service, Setup, is_root, sandbox_python};

/// How a command ended and what it said.
#[derive(Debug)]
struct Said {
    status: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}

/// A configuration in a directory of its own, without a service that runs.
struct Config {
    scratch: Scratch,
    file: PathBuf,
}

impl Config {
    fn new(text: &str) -> Self {
        let scratch = Scratch::directory();
        let (user, base) = uids();
        let runs = scratch.path().join("scratch");
        fs::create_dir(&runs).expect("mkdir");
        fs::set_permissions(&runs, Permissions::from_mode(0o1777)).expect("chmod");
        let own = format!(
            "user = \"{user}\"\n[python]\nbin = {:?}\n[sandbox]\nuid_base = {base}\nscratch_dir = {runs:?}\n",
            sandbox_python()
        );
        let mut config: toml::Table = own.parse().expect("TOML");
        config.extend(text.parse::<toml::Table>().expect("TOML"));
        let file = scratch.path().join("codejail.toml");
        fs::write(&file, config.to_string()).expect("write");
        Self { scratch, file }
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.scratch.path().join(name);
        fs::write(&path, text).expect("write");
        path.to_str().expect("UTF-8").to_owned()
    }

    /// Runs codejail over it, by a starter or directly.
    fn codejail(&self, starter: &[&str], arguments: &[&str], variables: &[(&str, &str)]) -> Said {
        let file = self.file.to_str().expect("UTF-8");
        codejail(
            starter,
            &[arguments, &["--config", file]].concat(),
            variables,
        )
    }

    fn check(&self, variables: &[(&str, &str)]) -> Said {
        self.codejail(&[], &["check"], variables)
    }
}

/// A user's uid and a first uid that no other test has: a range of its own for each process.
fn uids() -> (u32, u32) {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // The harness's ranges lie above, each process's 100,000 apart; these are at the end of a process's.
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let base = 350_000_000 + std::process::id() % 39_000 * 100_000 + 90_000 + number * 1000;
    (base, base + 1)
}

fn codejail(starter: &[&str], arguments: &[&str], variables: &[(&str, &str)]) -> Said {
    let given = std::env::var_os("CODEJAIL_BIN");
    let binary = given.map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_codejail")), Into::into);
    let mut words = starter.iter().map(PathBuf::from).chain([binary]);
    let mut command = Command::new(words.next().expect("a program"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CODEJAIL_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    let output = command
        .args(words)
        .args(arguments)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("start codejail");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Said {
        status: output.status.code(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once() {
    let config = Config::new("wrokers = 3\nmax_requests = '5'\n[limits]\nCPU = 0.5\ncpu = 1");
    let said = config.codejail(&[], &["serve", "--check-config"], &[]);
    assert_eq!((said.status, &*said.out), (Some(78), ""), "{said:?}");
    let lines: Vec<&str> = said.err.lines().collect();
    assert_eq!(lines.len(), 4, "{said:?}");
    for part in [
        "wrokers = 3: no such key; did you mean workers?",
        "max_requests = \"5\": must be a whole number from 0 to 1000000000, without quotes",
        "limits.CPU = 0.5: must be a whole number from 0 to 1000000000",
        "limits.cpu = 1: no such key; did you mean limits.CPU?",
    ] {
        assert!(
            lines
                .iter()
                .any(|line| line.starts_with("codejail: ") && line.ends_with(part)),
            "{part}\n{said:?}"
        );
    }
}

#[test]
fn a_file_of_the_other_format_is_told_as_that() {
    let config = Config::new("");
    let yaml = config.write("codejail.yml", "CODE_JAIL:\n  limits: {CPU: 2}\n");
    let said = codejail(&[], &["serve", "--check-config", "--config", &yaml], &[]);
    assert_eq!(said.status, Some(78));
    assert!(
        said.err.contains("this is YAML, the original's format"),
        "{said:?}"
    );
    let toml = config.file.to_str().expect("UTF-8");
    let said = codejail(
        &[],
        &["serve", "--check-config"],
        &[("CODEJAIL_SERVICE_CFG", toml)],
    );
    assert_eq!(said.status, Some(78));
    assert!(said.err.contains("this is TOML"), "{said:?}");
}

#[test]
fn a_variable_that_nothing_reads_is_named_by_each_command() {
    let config = Config::new("enabled = true");
    let variables = [
        ("CODEJAIL_WORKER", "4"),
        ("CODEJAIL_PORT", "tcp://10.0.0.1:8080"),
    ];
    let named =
        "CODEJAIL_WORKER is ignored: there is no such variable; did you mean CODEJAIL_WORKERS?";
    let said = config.codejail(&[], &["serve", "--check-config"], &variables);
    assert_eq!(
        (said.status, &*said.out),
        (Some(0), "configuration ok\n"),
        "{said:?}"
    );
    assert_eq!(said.err, format!("codejail: {named}\n"));
    let said = config.check(&variables);
    assert_eq!(said.status, Some(0), "{said:?}");
    assert!(
        said.out.contains(&format!("warning           {named}\n")),
        "{said:?}"
    );
    assert!(!said.out.contains("CODEJAIL_PORT"), "{said:?}");
    let service = Service::launch(&Setup {
        env: &variables,
        ..Setup::default()
    });
    service.wait_until_healthy();
    assert_eq!(service.log().matches(named).count(), 1, "{}", service.log());
    assert!(
        !service.log().contains("CODEJAIL_PORT"),
        "{}",
        service.log()
    );
}

#[test]
fn a_number_that_leaves_the_service_root_is_refused() {
    if !is_root() {
        return;
    }
    let (status, said) = Service::fail_to_start("user = '4294967295'");
    assert_eq!(status, Some(78), "{said}");
    let error = "codejail: user = \"4294967295\": no user can have this number";
    assert!(said.contains(error), "{said}");
}

#[test]
fn accounts_in_the_range_of_sandboxes_are_named() {
    if !is_root() {
        return;
    }
    let config = Config::new("enabled = true");
    let (_, base) = uids();
    let base_text = base.to_string();
    let passwd = fs::read_to_string("/etc/passwd").expect("read");
    let line = format!(
        "{passwd}cj-inside:x:{}:100::/nonexistent:/bin/false\n",
        base + 7
    );
    let passwd = config.write("passwd", &line);
    let mount = format!("mount --bind {passwd} /etc/passwd && exec \"$0\" \"$@\"");
    let starter = ["unshare", "--mount", "sh", "-c", &mount];
    let variables = [("CODEJAIL_SANDBOX__UID_BASE", &*base_text)];
    let said = config.codejail(&starter, &["check"], &variables);
    assert_eq!(said.status, Some(0), "{said:?}");
    let named = format!("range of workers and sandboxes, {base} to ");
    assert!(
        said.out.contains(&named) && said.out.contains(": cj-inside; set"),
        "{said:?}"
    );
    let user = [("CODEJAIL_USER", "cj-inside"), variables[0]];
    let said = config.codejail(&starter, &["check"], &user);
    assert_eq!(said.status, Some(78), "{said:?}");
    let named = format!(
        "its uid {} lies in the range of workers and sandboxes, {base} to ",
        base + 7
    );
    assert!(said.err.contains(&named), "{said:?}");
    assert!(
        said.err.contains("or set sandbox.uid_base, to 349"),
        "{said:?}"
    );
}

#[test]
fn two_services_have_no_uid_in_common() {
    if !is_root() {
        return;
    }
    let first = Service::start("");
    let same = format!("[sandbox]\nuid_base = {}", first.uid_base + 10);
    let (status, said) = Service::fail_to_start(&same);
    assert_eq!(status, Some(78), "{said}");
    let last = first.uid_base + 53;
    let error = format!(
        "another service that runs on this host has uids {} to {last}",
        first.uid_base
    );
    assert_eq!(said.matches(&error).count(), 1, "{said}");
    // What is killed holds nothing any more.
    let spawner = first.spawner();
    drop(first);
    wait_for("its end", START_MAX, || (!spawner.lives()).then_some(()));
    let second = Service::start(&same);
    assert_eq!(second.value_of_x("x = 1"), serde_json::json!(1));
}

#[test]
fn check_fails_where_what_runs_leave_stays() {
    if !is_root() {
        return;
    }
    let config = Config::new("[layers]\nmounts = 'off'");
    let without = |capability: &str| {
        let starter = ["setpriv", "--bounding-set", capability];
        config.codejail(&starter, &["check"], &[])
    };
    let said = without("-fowner");
    assert_eq!(said.status, Some(69), "{said:?}");
    assert!(
        said.out.contains("directories of executions below"),
        "{said:?}"
    );
    assert!(said.out.contains("CAP_FOWNER"), "{said:?}");
    let said = without("-sys_boot");
    assert_eq!(said.status, Some(0), "{said:?}");
}

#[test]
fn check_fails_where_no_execution_could_end_well_and_names_the_limit() {
    let config = Config::new("");
    let said = config.check(&[("CODEJAIL_LIMITS__VMEM", "1000")]);
    assert_eq!(said.status, Some(69), "{said:?}");
    assert!(
        said.out.contains("limits.VMEM = 1000 ended the code"),
        "{said:?}"
    );
    let said = config.check(&[("CODEJAIL_LIMITS__REALTIME", "0.001")]);
    assert_eq!(said.status, Some(69), "{said:?}");
    assert!(
        said.out
            .contains("but limits.REALTIME = 0.001 ended the code"),
        "{said:?}"
    );
    assert!(!said.out.contains("Failure {"), "{said:?}");
    let file = config.write("empty.py", "");
    let variables = [("CODEJAIL_LIMITS__REALTIME", "0.001"), ("RUST_LOG", "off")];
    let said = config.codejail(&[], &["run", &file], &variables);
    assert_eq!((said.status, &*said.out), (Some(69), ""), "{said:?}");
    assert!(
        said.err
            .starts_with("codejail: the file was not run, since"),
        "{said:?}"
    );
    assert!(
        said.err.contains("\n  exec: expected \"PermissionError"),
        "{said:?}"
    );
}

#[test]
fn a_bound_on_memory_that_holds_nothing_is_a_warning() {
    let config = Config::new("[cgroup]\nmemory_bytes_max = 123456789");
    let said = config.check(&[("CODEJAIL_LAYERS__CGROUP", "off")]);
    assert_eq!(said.status, Some(0), "{said:?}");
    let warning = "warning           cgroup.memory_bytes_max = 123456789 has no effect here (";
    assert!(said.out.contains(warning), "{said:?}");
    assert!(
        said.out
            .contains("with limits.VMEM = 0 one execution may take all memory"),
        "{said:?}"
    );
    let service = Service::start("[layers]\ncgroup = 'off'");
    let warned = service.log().lines().any(|line| {
        line.contains("WARN") && line.contains("cgroup.memory_bytes_max = 2147483648 has no effect")
    });
    assert!(warned, "{}", service.log());
}

#[test]
fn preloads_that_are_missing_are_warnings_and_none_is_told_too() {
    let config = Config::new("");
    let said = config.check(&[("CODEJAIL_PYTHON__PRELOAD", "json,no_such")]);
    assert_eq!(said.status, Some(0), "{said:?}");
    let warning =
        "warning           python.preload: no_such can't be imported: ModuleNotFoundError";
    assert!(said.out.contains(warning), "{said:?}");
    let said = config.check(&[]);
    assert!(said.out.contains("preload           nothing: "), "{said:?}");
    let said = config.check(&[("CODEJAIL_PYTHON__PRELOAD", "[\"json\"]")]);
    assert_eq!(said.status, Some(78), "{said:?}");
    assert!(said.err.contains("must be a list of modules"), "{said:?}");
}

#[test]
fn a_python_that_is_none_or_can_t_be_reached_is_told_once_with_the_reason() {
    let config = Config::new("");
    let said = config.check(&[("CODEJAIL_PYTHON__BIN", "/bin/true")]);
    assert_eq!(said.status, Some(78), "{said:?}");
    let error = "it does not answer as a Python does (exit status: 0): it said nothing\n";
    assert!(said.err.ends_with(error), "{said:?}");
    assert_eq!(said.all().matches("python.bin").count(), 1, "{said:?}");
    if !is_root() {
        return;
    }
    let closed = config.scratch.path().join("closed");
    fs::create_dir(&closed).expect("mkdir");
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).expect("chmod");
    let python = closed.join("python");
    fs::copy(sandbox_python(), &python).expect("copy");
    let python = python.to_str().expect("UTF-8");
    let why = format!("may not enter {} (mode 0700)", closed.display());
    for mounts in ["auto", "off"] {
        let variables = [
            ("CODEJAIL_PYTHON__BIN", python),
            ("CODEJAIL_LAYERS__MOUNTS", mounts),
        ];
        let said = config.check(&variables);
        assert!(matches!(said.status, Some(78 | 69)), "{said:?}");
        assert_eq!(said.err.matches(&why).count(), 1, "{said:?}");
    }
}

#[test]
fn a_python_without_six_is_told_with_the_remedy() {
    let python = OwnPython::venv(&[("six", "raise ImportError('not here')")]);
    let (status, said) = Service::fail_to_start(&python.overrides(&[]));
    assert_eq!(status, Some(69), "{said}");
    let bin = format!("python.bin = {:?}: six must be importable", python.bin);
    assert!(
        said.contains(&bin) && said.contains("-m pip install six"),
        "{said}"
    );
}

#[test]
fn who_is_not_root_is_told_that_a_user_is_not_used_and_what_nproc_counts() {
    let nobody_else = 349_123_461;
    let service = Service::start_unprivileged(nobody_else, "");
    let said = "has no effect: not started as root, the service stays who it is";
    assert_eq!(service.log().matches(said).count(), 1, "{}", service.log());
    if !is_root() {
        return;
    }
    let config = service.dir.join("codejail.toml");
    let binary = service.dir.join("codejail");
    let checked = Command::new("setpriv")
        .args([
            format!("--reuid={nobody_else}"),
            format!("--regid={nobody_else}"),
        ])
        .arg("--clear-groups")
        .arg(binary)
        .args(["check", "--config"])
        .arg(config)
        .output()
        .expect("setpriv");
    let out = String::from_utf8(checked.stdout).expect("UTF-8");
    assert_eq!(checked.status.code(), Some(0), "{out}");
    let explained = "NPROC 15 for the execution and 8 for the processes that share its user";
    assert!(out.contains(explained) && out.contains(said), "{out}");
}
