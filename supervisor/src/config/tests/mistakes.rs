//! An error names the key, its value, its source, and what would be right.

use super::*;

const IN_TOML: &[(&str, &str)] = &[
    (
        "workers = 0",
        "FILE: workers = 0: must be a whole number from 1 to 256",
    ),
    (
        "workers = '2'",
        "FILE: workers = \"2\": must be a whole number from 1 to 256, without quotes",
    ),
    (
        "wrokers = 2",
        "FILE: wrokers = 2: no such key; did you mean workers?",
    ),
    (
        "volume = 2",
        "FILE: volume = 2: no such key; the keys are bind, enabled, user, ",
    ),
    (
        "[sandbox]\nworkers = 2",
        "FILE: sandbox.workers = 2: no such key; did you mean workers, which stands before the first \
         [table]?",
    ),
    (
        "CPU = 2",
        "FILE: CPU = 2: no such key; did you mean limits.CPU?",
    ),
    (
        "[limits]\ncpu = 2",
        "FILE: limits.cpu = 2: no such key; did you mean limits.CPU?",
    ),
    (
        "[limit]\nCPU = 2",
        "FILE: limit = { CPU = 2 }: no such key; did you mean limits?",
    ),
    (
        "[limits]\nCPU = 0.5",
        "FILE: limits.CPU = 0.5: must be a whole number from 0 to 1000000000",
    ),
    (
        "user = 1001",
        "FILE: user = 1001: must be text, and not empty, in quotes",
    ),
    (
        "[python]\npreload = ['[\"numpy\"']",
        "FILE: python.preload = ['[\"numpy\"']: must be a list of modules, such as numpy or scipy.stats",
    ),
    (
        "SECRET_KEY: x\nCODE_JAIL:\n  limits: {CPU: 2}",
        "FILE: this is YAML, the original's format: name this file in CODEJAIL_SERVICE_CFG",
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
        "FILE: limits.CPU = { max = 5 }: must be a whole number from 0 to",
    ),
    (
        "[limits]\nREALTIME = nan",
        "FILE: limits.REALTIME = nan: must be a number of seconds from 0 to 3600",
    ),
    (
        "[limit_overrides.'a b']\nCPU = -1",
        "FILE: limit_overrides.\"a b\".CPU = -1: must be a whole number from 0 to 1000000000",
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
];

#[test]
fn what_is_wrong_in_toml_is_named() {
    for (text, error) in IN_TOML {
        let found = given().toml(text).error();
        assert!(found.starts_with(*error), "{text}\n  {found}\n  {error}");
    }
}

#[test]
fn what_is_wrong_in_the_environment_or_a_flag_is_named() {
    for (name, value, error) in [
        (
            "CODEJAIL_WORKERS",
            "zero",
            "must be a whole number from 1 to 256",
        ),
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
    assert_eq!(found, "--workers 300: must be a whole number from 1 to 256");
    let found = given()
        .variable("CODEJAIL_CONFIG", "/nonexistent.toml")
        .error();
    assert!(
        found.starts_with("cannot read /nonexistent.toml: "),
        "{found}"
    );
}

const IN_YAML: &[(&str, &str)] = &[
    (
        "CODE_JAIL: {limits: {CPU: a}}",
        "FILE: CODE_JAIL.limits.CPU = \"a\": must be a whole number from 0 to 1000000000",
    ),
    (
        "CODE_JAIL: {limits: {CPU: 1.5}}",
        "FILE: CODE_JAIL.limits.CPU = 1.5: must be a whole number from 0 to 1000000000",
    ),
    (
        "CODE_JAIL: {limits: {FSIZE: null}}",
        "FILE: CODE_JAIL.limits.FSIZE = null: must be a whole number from 0 on, below 2^63",
    ),
    (
        "CODE_JAIL: {limits: {RAM: 1}}",
        "FILE: CODE_JAIL.limits.RAM = 1: no such limit; there are CPU, REALTIME, VMEM, ",
    ),
    (
        "CODE_JAIL: {limit_overrides: {c: {CPU: []}}}",
        "FILE: CODE_JAIL.limit_overrides.c.CPU = a list: must be a whole number from 0 to 10",
    ),
    (
        "CODE_JAIL: {limits: 5}",
        "FILE: CODE_JAIL.limits = 5: must be a mapping",
    ),
    (
        "CODE_JAIL: {pyhton_bin: /x}",
        "FILE: CODE_JAIL.pyhton_bin = \"/x\": no such key; CODE_JAIL has python_bin, user, \
         limits, limit_overrides; did you mean python_bin?",
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
    (
        "workers = 4\n[limits]\nCPU = 2",
        "FILE: this is TOML: name this file in --config or CODEJAIL_CONFIG;",
    ),
    (
        "workers = 4",
        "FILE: this is TOML: name this file in --config or CODEJAIL_CONFIG;",
    ),
    ("a: [", "FILE: "),
];

#[test]
fn what_is_wrong_in_yaml_is_named() {
    for (text, error) in IN_YAML {
        let found = given().yaml(text).error();
        assert!(found.starts_with(*error), "{text}\n  {found}\n  {error}");
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once_in_the_order_of_sources_and_lines() {
    let text = "workers = 0\nbind = 'x'\n[limit_overrides.z]\nCPU = -1\n[limits]\nNPROC = 1.5\n\
                [limit_overrides.a]\nCPU = -2\n[layers]\nuid = 'maybe'";
    let error = given()
        .yaml("CODE_JAIL: {limits: {RAM: 1, CPU: x}, limit_overrides: 5}")
        .toml(text)
        .variable("CODEJAIL_ENABLED", "perhaps")
        .flag("--bind", "bind", "nowhere")
        .sources_error();
    let lines = error.told();
    let expected = [
        "CODE_JAIL.limits.RAM = 1: ",
        "CODE_JAIL.limits.CPU = \"x\": ",
        "CODE_JAIL.limit_overrides = 5: ",
        "workers = 0: ",
        "bind = \"x\": ",
        "limit_overrides.z.CPU = -1: ",
        "limits.NPROC = 1.5: ",
        "limit_overrides.a.CPU = -2: ",
        "layers.uid = \"maybe\": ",
        "CODEJAIL_ENABLED=perhaps ",
        "--bind nowhere: ",
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, part) in lines.iter().zip(expected) {
        assert!(line.contains(part), "{part}\n{lines:#?}");
    }
    let many: String = (0..50).map(|n| format!("key{n} = 1\n")).collect();
    let error = given().toml(&many).error();
    assert_eq!(error.lines().count(), 21, "{error}");
    assert!(error.ends_with("and 30 mistakes more"), "{error}");
}

#[test]
fn a_variable_that_nothing_reads_is_named_without_its_value() {
    let notes = |name| given().variable(name, "secret").load().notes;
    for (name, part) in [
        ("CODEJAIL_WORKER", "; did you mean CODEJAIL_WORKERS?"),
        (
            "CODEJAIL_LIMITS_CPU",
            "; did you mean CODEJAIL_LIMITS__CPU?",
        ),
        (
            "CODEJAIL_SERVICE_CFGS",
            "; did you mean CODEJAIL_SERVICE_CFG?",
        ),
        ("CODEJAIL_LIMIT_OVERRIDES__X__CPU", "only a file can set"),
        ("CODEJAIL_PYTHON__ENV__FOO", "only a file can set"),
        ("CODEJAIL_LIMITS", "CODEJAIL_LIMITS is ignored"),
    ] {
        let found = notes(name);
        let [Note::Unknown(text)] = &found[..] else {
            panic!("{name}: {found:?}");
        };
        assert!(text.starts_with(name) && text.contains(part), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
    for name in [
        "CODEJAIL_PORT",
        "CODEJAIL_PORT_8080_TCP",
        "CODEJAIL_PORT_8080_TCP_ADDR",
        "CODEJAIL_PORT_8080_TCP_PROTO",
        "CODEJAIL_SERVICE_HOST",
        "CODEJAIL_SERVICE_PORT",
        "CODEJAIL_SERVICE_PORT_HTTP",
        "CODEJAIL_BIN",
        "CJS_TEST_ENV_LEAKAGE",
    ] {
        assert_eq!(notes(name), [], "{name}");
    }
}
