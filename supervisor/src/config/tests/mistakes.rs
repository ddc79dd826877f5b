//! What is wrong is named: the key, its value, its source, and what would be right.

use super::*;

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
