//! Defaults, YAML, TOML, environment and flags, each over the one before.

use super::*;

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
fn a_toml_file_that_overrides_the_originals_settings_is_named_in_the_log() {
    let yaml = "CODEJAIL_ENABLED: true\nCODE_JAIL: {limits: {CPU: 7, REALTIME: 2, VMEM: 1000}}";
    let given = given()
        .yaml(yaml)
        .toml("enabled = false\nlimits.CPU = 3\nlimits.REALTIME = 2.0")
        .variable("CODEJAIL_LIMITS__VMEM", "2000");
    let loaded = given.load();
    let [yaml, toml] = [0, 1].map(|file| given.files[file].display());
    let said = [
        ("CODEJAIL_ENABLED = true", "enabled = false"),
        ("CODE_JAIL.limits.CPU = 7", "limits.CPU = 3"),
    ]
    .map(|(old, new)| Note::Warning(format!("{yaml}: {old} does not count: {toml} has {new}")));
    // What is equal is no loss, and a variable is set on purpose.
    assert_eq!(loaded.notes, said);
    assert_eq!(loaded.config.limits(None).cpu_s, 3);
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
fn a_worker_s_memory_is_bounded_by_what_its_runs_may_need() {
    let bytes = |text: &str| given().toml(text).config().cgroup.memory_bytes_max;
    assert_eq!(bytes(""), Config::default().cgroup.memory_bytes_max);
    assert_eq!(bytes("sandboxes_per_worker = 3"), 4 << 30);
    assert_eq!(
        bytes("scratch_bytes_max = 1073741824"),
        (2 << 30) + (768 << 20)
    );
    assert_eq!(
        bytes("scratch_bytes_max = 9223372036854775807"),
        i64::MAX as u64
    );
    assert_eq!(bytes("[cgroup]\nmemory_bytes_max = 0"), 0);
}

#[test]
fn uid_base_follows_from_the_ids_of_a_user_namespace_unless_a_source_has_it() {
    let pod = |given: Given| {
        let mut given = given;
        given.sources.ids = MappedIds::of_maps("0 100000 65536", "0 100000 65536");
        given.load()
    };
    let chosen = pod(Given::default());
    assert_eq!(chosen.config.sandbox.uid_base, 40_000);
    let said = "sandbox.uid_base = 40000: 349590000 is not among the ids of this user namespace, 0 to 65535";
    assert_eq!(chosen.notes, [Note::Chosen(said.to_owned())]);
    let set = pod(Given::default().variable("CODEJAIL_SANDBOX__UID_BASE", "50000"));
    assert_eq!((set.config.sandbox.uid_base, set.notes), (50_000, vec![]));
    // This value is wrong here: the start refuses it, and says what would be right.
    let default = pod(Given::default().toml("sandbox.uid_base = 349590000"));
    assert_eq!(
        (default.config.sandbox.uid_base, default.notes),
        (349_590_000, vec![])
    );
}
