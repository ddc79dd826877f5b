use super::keys::KEYS;
use super::load::{Flag, Loaded, Sources};
use super::note::Note;
use super::print;
use super::{Config, LimitOverrides};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Files and variables of one test; the files go with it.
#[derive(Default)]
struct Given {
    sources: Sources,
    files: Vec<PathBuf>,
}

impl Given {
    fn file(&mut self, suffix: &str, text: &str) -> PathBuf {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("cj-config-{}-{number}.{suffix}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        self.files.push(path.clone());
        path
    }

    fn toml(mut self, text: &str) -> Self {
        self.sources.file = Some(self.file("toml", text));
        self
    }

    fn yaml(mut self, text: &str) -> Self {
        let path = self.file("yml", text);
        self.variable("CODEJAIL_SERVICE_CFG", path.to_str().unwrap())
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.sources.environment.insert(name.into(), value.into());
        self
    }

    fn flag(mut self, name: &'static str, key: &'static str, text: &str) -> Self {
        let text = text.to_owned();
        self.sources.flags.push(Flag { name, key, text });
        self
    }

    fn load(&self) -> Loaded {
        self.sources
            .load()
            .unwrap_or_else(|error| panic!("{error}"))
    }

    fn config(&self) -> Config {
        self.load().config
    }

    /// The error, with FILE for the one file.
    fn error(&self) -> String {
        let error = self.sources.load().unwrap_err().to_string();
        match &self.files[..] {
            [file] => error.replace(file.to_str().unwrap(), "FILE"),
            _ => error,
        }
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = std::fs::remove_file(file);
        }
    }
}

fn given() -> Given {
    Given::default()
}

#[test]
fn nothing_given_is_the_defaults() {
    let config = given().config();
    assert!(!config.enabled);
    assert_eq!(config.limits(None).realtime_ms, 1000);
    assert_eq!(config.limits(None).nproc, 15);
}

#[test]
fn each_source_goes_over_the_one_before() {
    let mut all = given()
        .yaml("CODE_JAIL: {limits: {CPU: 2, NPROC: 2, FSIZE: 2}}")
        .toml("workers = 3\nmax_requests = 3\n[limits]\nNPROC = 3\nFSIZE = 3");
    all = all
        .variable("CODEJAIL_LIMITS__FSIZE", "4")
        .variable("CODEJAIL_MAX_REQUESTS", "4")
        .variable("CODEJAIL_WORKERS", "4")
        .flag("--workers", "workers", "5");
    let config = all.config();
    let limits = config.limits;
    assert_eq!((limits.VMEM, limits.CPU, limits.NPROC), (0, 2, 3));
    assert_eq!((limits.FSIZE, config.max_requests), (4, 4));
    assert_eq!(config.workers, 5);
}

#[test]
fn tables_are_merged_and_lists_replaced() {
    let config = given()
        .yaml("CODE_JAIL: {limit_overrides: {'a.b': {CPU: 2}, c: {CPU: 2}}}")
        .toml("[python]\npreload = ['a', 'b']\n[limit_overrides.'a.b']\nREALTIME = 3\nCPU = 3")
        .variable("CODEJAIL_PYTHON__PRELOAD", "numpy, scipy")
        .config();
    assert_eq!(config.python.preload, ["numpy", "scipy"]);
    assert_eq!(config.limits(Some("a.b")).cpu_s, 3);
    assert_eq!(config.limits(Some("a.b")).realtime_ms, 3000);
    assert_eq!(config.limits(Some("c")).cpu_s, 2);
    assert_eq!(config.limits(Some("d")).cpu_s, 1);
}

#[test]
fn a_variable_names_the_toml_file_unless_a_flag_does() {
    let mut given = given();
    let file = given.file("toml", "workers = 7");
    let given = given.variable("CODEJAIL_CONFIG", file.to_str().unwrap());
    assert_eq!(given.config().workers, 7);
    assert_eq!(given.toml("workers = 8").config().workers, 8);
}

#[test]
fn what_others_put_into_the_environment_is_ignored() {
    let config = given()
        .variable("CODEJAIL_PORT", "tcp://10.0.0.1:8080")
        .variable("CODEJAIL_SERVICE_HOST", "10.0.0.1")
        .variable("CODEJAIL_SERVICE_PORT", "8080")
        .variable("CODEJAIL_PORT_8080_TCP_ADDR", "10.0.0.1")
        .variable("CODEJAIL_CONFIG", "")
        .variable("CODEJAIL_LIMITS", "none")
        .config();
    assert_eq!(config.bind.port(), 8080);
}

#[test]
fn what_is_wrong_in_toml_is_named() {
    for (text, error) in [
        (
            "workers = 0",
            "FILE: workers = 0: must be a number from 1 to 256",
        ),
        (
            "workers = '2'",
            "FILE: workers = \"2\": must be a number from 1 to 256",
        ),
        (
            "wrokers = 2",
            "FILE: wrokers = 2: no such key; the keys are bind, enabled, user, ",
        ),
        (
            "[layers]\nselinux = 'auto'",
            "FILE: layers.selinux = \"auto\": no such key; [layers] has uid, namespaces, mounts, \
             landlock, seccomp, rlimits, cgroup, apparmor",
        ),
        (
            "[layers]\nlandlock = 'maybe'",
            "FILE: layers.landlock = \"maybe\": must be require, auto or off",
        ),
        ("limits = 5", "FILE: limits = 5: must be a table"),
        (
            "[limits.CPU]\nmax = 5",
            "FILE: limits.CPU = { max = 5 }: must be a number from 0 to",
        ),
        (
            "[limits]\nREALTIME = nan",
            "FILE: limits.REALTIME = nan: must be a number of seconds from 0 to 3600",
        ),
        (
            "[limit_overrides.'a b']\nCPU = -1",
            "FILE: limit_overrides.\"a b\".CPU = -1: must be a number from 0 to 1000000000",
        ),
        (
            "[limit_overrides.a]\nRAM = 1",
            "FILE: limit_overrides.a.RAM = 1: no such key; [limit_overrides.a] has CPU, REALTIME, ",
        ),
        (
            "bind = 'localhost'",
            "FILE: bind = \"localhost\": must be an address with a port",
        ),
        (
            "[python]\nbin = 'python'",
            "FILE: python.bin = \"python\": must be an absolute path",
        ),
        (
            "[python]\nread_paths = ['x']",
            "FILE: python.read_paths = [\"x\"]: must be a list of",
        ),
        (
            "user = ''",
            "FILE: user = \"\": must be text, and not empty",
        ),
        (
            "[python]\nenv = {A = 1}",
            "FILE: python.env.A = 1: must be text",
        ),
        (
            "[sandbox]\nuid_base = 4294967290",
            "FILE: sandbox.uid_base = 4294967290: must be at most 4294967132, or the uids of all",
        ),
        (
            "workers = 2\nworkers = 3",
            "FILE: TOML parse error at line 2",
        ),
    ] {
        let found = given().toml(text).error();
        assert!(found.starts_with(error), "{text}\n  {found}\n  {error}");
    }
}

#[test]
fn what_is_wrong_in_the_environment_or_a_flag_is_named() {
    for (name, value, error) in [
        ("CODEJAIL_WORKERS", "zero", "must be a number from 1 to 256"),
        ("CODEJAIL_ENABLED", "maybe", "must be true or false"),
        (
            "CODEJAIL_LIMITS__REALTIME",
            "-1",
            "must be a number of seconds from 0 to 3600",
        ),
        (
            "CODEJAIL_PYTHON__READ_PATHS",
            "/a,b",
            "must be a list of absolute paths",
        ),
        (
            "CODEJAIL_LAYERS__UID",
            "yes",
            "must be require, auto or off",
        ),
    ] {
        let found = given().variable(name, value).error();
        assert_eq!(found, format!("{name}={value} (environment): {error}"));
    }
    let found = given().flag("--workers", "workers", "300").error();
    assert_eq!(found, "--workers 300: must be a number from 1 to 256");
    let found = given()
        .variable("CODEJAIL_CONFIG", "/nonexistent.toml")
        .error();
    assert!(
        found.starts_with("cannot read /nonexistent.toml: "),
        "{found}"
    );
}

#[test]
fn what_is_wrong_in_yaml_is_named() {
    for (text, error) in [
        (
            "CODE_JAIL: {limits: {CPU: a}}",
            "FILE: CODE_JAIL.limits.CPU = \"a\": must be a number from 0 to 1000000000",
        ),
        (
            "CODE_JAIL: {limits: {CPU: 1.5}}",
            "FILE: CODE_JAIL.limits.CPU = 1.5: must be a number from 0 to 1000000000",
        ),
        (
            "CODE_JAIL: {limits: {FSIZE: null}}",
            "FILE: CODE_JAIL.limits.FSIZE = null: must be a number from 0 on, below 2^63",
        ),
        (
            "CODE_JAIL: {limits: {RAM: 1}}",
            "FILE: CODE_JAIL.limits.RAM = 1: no such limit; there are CPU, REALTIME, VMEM, ",
        ),
        (
            "CODE_JAIL: {limit_overrides: {c: {CPU: []}}}",
            "FILE: CODE_JAIL.limit_overrides.c.CPU = a list: must be a number from 0 to 10",
        ),
        (
            "CODE_JAIL: {limits: 5}",
            "FILE: CODE_JAIL.limits = 5: must be a mapping",
        ),
        (
            "CODE_JAIL: {pyhton_bin: /x}",
            "FILE: CODE_JAIL.pyhton_bin = \"/x\": no such key; CODE_JAIL has python_bin, user, ",
        ),
        (
            "CODE_JAIL: {python_bin: python}",
            "FILE: CODE_JAIL.python_bin = \"python\": must be an absolute path",
        ),
        (
            "CODEJAIL_ENABLED: 'on'",
            "FILE: CODEJAIL_ENABLED = \"on\": must be true or false",
        ),
        ("- a", "FILE: the file = a list: must be a mapping"),
        ("a: [", "FILE: "),
    ] {
        let found = given().yaml(text).error();
        assert!(found.starts_with(error), "{text}\n  {found}\n  {error}");
    }
}

#[test]
fn the_originals_file_means_what_it_meant() {
    let loaded = given()
        .yaml(
            "SECRET_KEY: x\nDATABASES: {}\nCODEJAIL_ENABLED: yes\nCODE_JAIL:\n  python_bin: /x/python\n  \
             user: sandbox\n  limits: {CPU: null, REALTIME: 2.5, VMEM: 1_000, PROXY: 0}\n  \
             limit_overrides:\n    c: {NPROC: null, PROXY: 1}\n    d: {PROXY: 0}\n",
        )
        .load();
    let config = loaded.config;
    assert!(config.enabled);
    assert_eq!(config.python.bin, Path::new("/x/python"));
    let limits = config.limits(None);
    assert_eq!(
        (limits.cpu_s, limits.realtime_ms, limits.vmem_bytes),
        (0, 2500, 1000)
    );
    assert_eq!((limits.nproc, config.limits(Some("c")).nproc), (15, 0));
    let mistakes = |note: &&Note| matches!(note, Note::Mistake(text) if text.contains("c.PROXY"));
    assert_eq!(loaded.notes.iter().filter(mistakes).count(), 1);
    let ignored = |name: &str| {
        let mut notes = loaded.notes.iter();
        notes.any(|note| matches!(note, Note::Ignored(text) if text.contains(name)))
    };
    assert!(ignored("SECRET_KEY, DATABASES") && ignored("CODE_JAIL.user") && ignored("PROXY"));
    assert_eq!(loaded.notes.len(), 4);
}

#[test]
fn what_is_printed_makes_the_same_configuration_and_names_its_sources() {
    let first = given()
        .yaml("CODE_JAIL: {limits: {CPU: 7}, limit_overrides: {'a b': {CPU: 2}}}")
        .toml("[python]\npreload = ['a']\n[python.env]\nA = 'x\"y'\n[limits]\nREALTIME = 2")
        .variable("CODEJAIL_WORKERS", "4")
        .flag("--bind", "bind", "[::]:1");
    let loaded = first.load();
    let text = print::to_toml(&loaded.config, &loaded.settings).unwrap();
    for line in [
        "bind = \"[::]:1\"  # --bind",
        "workers = 4  # environment, CODEJAIL_WORKERS",
        "enabled = false",
        "[limit_overrides.\"a b\"]",
        "[python.env]",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(text.contains("CPU = 7  # /tmp/") && text.contains("yml, CODE_JAIL.limits.CPU\n"));
    let again = given().toml(&text).load();
    let leaves = |config| print::leaves(config).unwrap();
    assert_eq!(leaves(&again.config), leaves(&loaded.config));
}

/// A configuration with something at every key.
fn full() -> Config {
    let mut config = Config::default();
    config.python.worker_module = Some(PathBuf::from("/x"));
    config.egress_check = Some("example.org:443".to_owned());
    config.python.env.insert("*".to_owned(), String::new());
    let overrides = LimitOverrides {
        CPU: Some(1),
        REALTIME: Some(1.0),
        VMEM: Some(0),
        FSIZE: Some(0),
        NPROC: Some(1),
    };
    config.limit_overrides.insert("*".to_owned(), overrides);
    config
}

#[test]
fn every_key_of_the_configuration_is_listed_with_its_default_and_documented() {
    let document = include_str!("../../../docs/configuration.md");
    let leaves = print::leaves(&full()).unwrap();
    let names: BTreeSet<String> = leaves.iter().map(|(path, _)| path.join(".")).collect();
    let listed: BTreeSet<String> = KEYS.iter().map(|key| key.name.to_owned()).collect();
    assert_eq!(names, listed);
    for key in KEYS {
        let row = format!("| `{}` |", key.name.replace('*', "NAME"));
        let row = document.lines().find(|line| line.starts_with(&row));
        let row = row.unwrap_or_else(|| panic!("{} is not documented", key.name));
        let mut parts = vec![format!("| {} |", key.kind.right())];
        parts.extend(key.variable().map(|name| format!("| `{name}` |")));
        let open =
            key.name.contains('*') || ["egress_check", "python.worker_module"].contains(&key.name);
        let value = leaves.iter().find(|(path, _)| path.join(".") == key.name);
        parts.extend(
            value
                .filter(|_| !open)
                .map(|(_, value)| format!("| `{value}` |")),
        );
        for part in parts {
            assert!(row.contains(&part), "{part} is not in {row}");
        }
    }
}

#[test]
fn the_defaults_are_admitted() {
    for (path, value) in print::leaves(&full()).unwrap() {
        let (_, key) = super::keys::find(&path).unwrap();
        assert!(key.kind.admits(&value), "{path:?} = {value}");
    }
}

#[test]
fn a_tool_has_uids_beside_the_services() {
    let config = given().toml("workers = 8").config();
    let first = config.sandbox.uid_base;
    let count = config.uid_count();
    let tool = config.for_tool();
    assert_eq!(u64::from(tool.sandbox.uid_base - first), count);
    assert_eq!(tool.uid_count(), 54);
}

#[test]
fn every_key_is_either_reloaded_or_named_as_fixed() {
    let started = given().toml("workers = 2").config();
    let changed = given()
        .toml(
            "bind = '127.0.0.1:1'\nenabled = true\nuser = 'x'\nworkers = 4\n\
             sandboxes_per_worker = 3\nconnections_max = 9\nmax_requests = 5\n\
             [python]\nbin = '/x'\npreload = ['x']\nread_paths = ['/x']\nworker_module = '/x'\n\
             env = {A = 'b'}\n[limits]\nCPU = 5\n[sandbox]\nuid_base = 5000\nscratch_dir = '/x'\n\
             [layers]\nuid = 'require'\nnamespaces = 'off'\nlandlock = 'off'",
        )
        .config();
    let (config, kept) = changed.keeping_what_is_fixed(&started);
    let fixed = [
        "bind",
        "user",
        "sandboxes_per_worker",
        "connections_max",
        "python.bin",
        "python.read_paths",
        "python.worker_module",
        "python.env",
        "sandbox.uid_base",
        "sandbox.scratch_dir",
        "layers.uid",
        "layers.namespaces",
        "layers.landlock",
    ];
    assert_eq!(kept, fixed);
    let document = include_str!("../../../docs/configuration.md");
    let (_, section) = document.split_once("## While it runs").unwrap();
    for key in fixed {
        let table = format!("`{}.*`", key.split('.').next().unwrap());
        let named = section.contains(&format!("`{key}`")) || section.contains(&table);
        assert!(named, "{key} is not in docs/configuration.md as fixed");
    }
    assert_eq!((config.bind, config.workers), (started.bind, 4));
    assert!(config.enabled && config.max_requests == 5 && config.limits.CPU == 5);
    assert_eq!(config.python.preload, ["x"]);
    let (config, kept) = given()
        .toml("workers = 5")
        .config()
        .keeping_what_is_fixed(&started);
    assert_eq!((config.workers, kept), (4, vec!["workers"]));
}
