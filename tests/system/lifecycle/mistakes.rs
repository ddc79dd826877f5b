//! Mistakes on purpose: each mistake of an operator is named, with what would be right.

use codejail_harness::binary::codejail_command;
use codejail_harness::dir::{TestDir, set_mode};
use codejail_harness::own_python::OwnPython;
use codejail_harness::python::sandbox_python;
use codejail_harness::uids::UidRange;
use codejail_harness::wait::{START_MAX, wait_until};
use codejail_harness::{Service, Setup, needs_root};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// How a command ended, and its output.
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

/// Limits that also suffice on a loaded machine.
const LIMITS: &str = "[limits]\nCPU = 10\nREALTIME = 20\n";

/// A configuration in a directory of its own, without a service that runs.
struct Config {
    dir: TestDir,
    file: PathBuf,
    uids: UidRange,
}

impl Config {
    fn new(text: &str) -> Self {
        let (dir, uids) = (TestDir::new("mistakes"), UidRange::take());
        let runs = dir.join("scratch");
        fs::create_dir(&runs).expect("mkdir");
        set_mode(&runs, 0o1777).expect("chmod");
        let own = format!(
            "user = \"{}\"\n[python]\nbin = {:?}\n[sandbox]\nuid_base = {}\nscratch_dir = {runs:?}\n",
            uids.user(),
            sandbox_python(),
            uids.uid_base(),
        );
        let mut config: toml::Table = format!("{own}{LIMITS}").parse().expect("TOML");
        config.extend(text.parse::<toml::Table>().expect("TOML"));
        let file = dir.join("codejail.toml");
        fs::write(&file, config.to_string()).expect("write");
        Self { dir, file, uids }
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.dir.join(name);
        fs::write(&path, text).expect("write");
        path.to_str().expect("UTF-8").to_owned()
    }

    /// Runs codejail with this configuration, directly or by a starter.
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

fn codejail(starter: &[&str], arguments: &[&str], variables: &[(&str, &str)]) -> Said {
    let plain = codejail_command();
    let starter = starter.iter().map(PathBuf::from);
    let mut words = starter.chain([PathBuf::from(plain.get_program())]);
    let mut command = Command::new(words.next().expect("a program"));
    for (name, _) in plain.get_envs() {
        command.env_remove(name);
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
    needs_root!();
    let (status, said) = Service::fail_to_start("user = '4294967295'");
    assert_eq!(status, Some(78), "{said}");
    let error = "codejail: user = \"4294967295\": no user can have this number";
    assert!(said.contains(error), "{said}");
}

#[test]
fn accounts_in_the_range_of_sandboxes_are_named() {
    needs_root!();
    let config = Config::new("enabled = true");
    let base = config.uids.uid_base();
    let passwd = fs::read_to_string("/etc/passwd").expect("read");
    let line = format!(
        "{passwd}cj-inside:x:{}:100::/nonexistent:/bin/false\n",
        base + 7
    );
    let passwd = config.write("passwd", &line);
    let mount = format!("mount --bind {passwd} /etc/passwd && exec \"$0\" \"$@\"");
    let starter = ["unshare", "--mount", "sh", "-c", &mount];
    let said = config.codejail(&starter, &["check"], &[]);
    assert_eq!(said.status, Some(0), "{said:?}");
    let named = format!("range of workers and sandboxes, {base} to ");
    assert!(
        said.out.contains(&named) && said.out.contains(": cj-inside; set"),
        "{said:?}"
    );
    let user = [("CODEJAIL_USER", "cj-inside")];
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
    needs_root!();
    let first = Service::start("");
    let same = format!("[sandbox]\nuid_base = {}", first.uid_base() + 10);
    let (status, said) = Service::fail_to_start(&same);
    assert_eq!(status, Some(78), "{said}");
    let last = first.uid_base() + 53;
    let error = format!(
        "another service that runs on this host has uids {} to {last}",
        first.uid_base()
    );
    // The error stands in the log, and in the last line, which is for the person who started the
    // service.
    assert_eq!(said.matches(&error).count(), 2, "{said}");
    // A service that was killed holds no uids any more.
    let spawner = first.spawner();
    drop(first);
    wait_until("its end", START_MAX, || !spawner.lives());
    let second = Service::start(&same);
    assert_eq!(second.value_of_x("x = 1"), serde_json::json!(1));
}

#[test]
fn check_fails_where_what_runs_leave_stays() {
    needs_root!();
    let config = Config::new("[layers]\nmounts = 'off'");
    let without = |capability: &str| {
        let starter = ["setpriv", "--bounding-set", capability];
        config.codejail(&starter, &["check"], &[])
    };
    let said = without("-fowner,-dac_override");
    assert_eq!(said.status, Some(69), "{said:?}");
    assert!(
        said.out.contains("directories of executions below"),
        "{said:?}"
    );
    assert!(
        said.out
            .contains("warning           root needs CAP_DAC_OVERRIDE"),
        "{said:?}"
    );
    // Everything can be removed without these capabilities.
    for (capability, warned) in [("-fowner", true), ("-sys_boot", false)] {
        let said = without(capability);
        assert_eq!(said.status, Some(0), "{said:?}");
        assert_eq!(said.out.contains("root needs CAP_"), warned, "{said:?}");
    }
}

#[test]
fn a_capability_that_root_lacks_is_named() {
    needs_root!();
    let starter = ["setpriv", "--bounding-set", "-fowner"];
    let service = Service::launch(&Setup {
        overrides: "[layers]\nmounts = 'off'",
        starter: &starter,
        ..Setup::default()
    });
    service.wait_until_healthy();
    for _ in 0..20 {
        service.assert_works();
    }
    let named = "root needs CAP_FOWNER to remove what runs leave";
    assert!(service.log().contains(named), "{}", service.log());
    let health = service.get("/health/");
    assert!(health.body.contains(named), "{health:?}");
    // Errors that may come from a missing capability name it, too.
    for (capability, named) in [
        ("chown", "CAP_CHOWN"),
        ("setgid", "CAP_SETGID"),
        ("setuid", "CAP_SETUID"),
        ("setpcap", "CAP_SETPCAP"),
    ] {
        let set = format!("-{capability}");
        let starter = ["setpriv", "--bounding-set", &set];
        let (status, said) = Service::fail_to_start_as(&Setup {
            starter: &starter,
            ..Setup::default()
        });
        assert!(status.is_some_and(|status| status != 0), "{said}");
        let error = said.lines().rfind(|line| line.starts_with("codejail: "));
        assert!(error.is_some_and(|error| error.contains(named)), "{said}");
    }
}

#[test]
fn check_fails_where_no_execution_could_end_well_and_names_the_limit() {
    let config = Config::new("");
    let said = config.check(&[("CODEJAIL_LIMITS__VMEM", "1000")]);
    assert_eq!(said.status, Some(69), "{said:?}");
    assert!(
        said.out.contains("limits.VMEM = 1000 is too small"),
        "{said:?}"
    );
    let said = config.check(&[("CODEJAIL_LIMITS__REALTIME", "0.001")]);
    assert_eq!(said.status, Some(69), "{said:?}");
    assert!(
        said.out
            .contains("but limits.REALTIME = 0.001 is too small"),
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
fn a_python_that_the_worker_can_t_run_in_is_refused_by_name() {
    let config = Config::new("");
    set_mode(&config.dir, 0o755).expect("chmod");
    let python = config.dir.join("python");
    for (which, why) in [
        ("cpython 3.13t", "it is a free-threaded CPython 3.13: "),
        ("cpython 3.7m", "it is CPython 3.7m: "),
        ("pypy 3.11", "it is pypy 3.11: "),
    ] {
        let answer = format!(
            "#!/bin/sh\nprintf '\\0{which}\\0/usr\\0/usr/lib\\0/usr/lib\\0/bin/sh\\0\\n'\n"
        );
        fs::write(&python, answer).expect("a script");
        set_mode(&python, 0o755).expect("chmod");
        for mounts in ["auto", "off"] {
            let said = config.check(&[
                ("CODEJAIL_PYTHON__BIN", python.to_str().expect("UTF-8")),
                ("CODEJAIL_LAYERS__MOUNTS", mounts),
            ]);
            assert_eq!(said.status, Some(78), "{said:?}");
            assert!(said.err.contains(why), "{said:?}");
        }
    }
}

#[test]
fn a_python_that_is_none_or_can_t_be_reached_is_told_once_with_the_reason() {
    let config = Config::new("");
    let said = config.check(&[("CODEJAIL_PYTHON__BIN", "/bin/true")]);
    assert_eq!(said.status, Some(78), "{said:?}");
    let error = "it does not answer as a Python does (exit status: 0): it said nothing\n";
    assert!(said.err.ends_with(error), "{said:?}");
    assert_eq!(said.all().matches("python.bin").count(), 1, "{said:?}");
    needs_root!();
    let closed = config.dir.join("closed");
    fs::create_dir(&closed).expect("mkdir");
    set_mode(&closed, 0o700).expect("chmod");
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
    let service = Service::start_unprivileged("layers.namespaces = 'off'\nlayers.mounts = 'off'");
    let said = "has no effect: the service was not started as root, and keeps its user";
    assert_eq!(service.log().matches(said).count(), 1, "{}", service.log());
    needs_root!();
    // As the service's user, with its copies.
    let config = service.dir().join("codejail.toml");
    let binary = service.dir().join("codejail");
    let checked = Command::new("setpriv")
        .args([
            format!("--reuid={}", service.user()),
            format!("--regid={}", service.user()),
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
