//! `CODEJAIL_*` variables that name files, and those without a meaning here: a typing error must
//! not go unnoticed.

use super::keys::KEYS;
use super::note::Note;
use super::suggest;
use std::collections::BTreeMap;
use std::ffi::OsString;

/// The variable that names the YAML file, as in the original.
pub const YAML_VARIABLE: &str = "CODEJAIL_SERVICE_CFG";
/// The variable that names the TOML file if `--config` does not.
pub const TOML_VARIABLE: &str = "CODEJAIL_CONFIG";

/// Beginnings of the variables that this repository's own tests use, beside `CODEJAIL_BIN`
/// (tests/README.md).
const OF_TESTS: &[&str] = &[
    "CODEJAIL_SABOTAGE",
    "CODEJAIL_SANDBOX_PYTHON",
    "CODEJAIL_SOAK_",
    "CODEJAIL_TEST_",
];

/// Tables whose keys no variable can set.
const WITHOUT_VARIABLES: &[&str] = &["CODEJAIL_LIMIT_OVERRIDES_", "CODEJAIL_PYTHON__ENV_"];

/// A note for each variable that nothing reads. Beside a service named codejail, Kubernetes sets
/// some (`CODEJAIL_PORT_8080_TCP`, `CODEJAIL_SERVICE_HOST`). They are ignored, unless the name is
/// similar to one that counts. Values are not shown: they may be secret.
pub fn unknown(environment: &BTreeMap<OsString, OsString>) -> Vec<Note> {
    let known: Vec<String> = KEYS.iter().filter_map(|key| key.variable()).collect();
    let files = [YAML_VARIABLE, TOML_VARIABLE];
    let known: Vec<&str> = known.iter().map(String::as_str).chain(files).collect();
    let names = environment.keys().map(|name| name.to_string_lossy());
    let names = names.filter(|name| name.starts_with("CODEJAIL_"));
    names
        .filter(|name| !known.contains(&&**name) && !is_of_tests(name))
        .filter_map(|name| why(&name, &known))
        .map(Note::Unknown)
        .collect()
}

fn is_of_tests(name: &str) -> bool {
    name == "CODEJAIL_BIN" || OF_TESTS.iter().any(|start| name.starts_with(start))
}

fn why(name: &str, known: &[&str]) -> Option<String> {
    if WITHOUT_VARIABLES
        .iter()
        .any(|table| name.starts_with(table))
    {
        return Some(format!(
            "{name} is ignored: only a file can set limit_overrides and python.env"
        ));
    }
    // Without the common beginning, which would make all names similar.
    let short = |name: &str| name.trim_start_matches("CODEJAIL_").to_owned();
    let candidates: Vec<String> = known.iter().map(|name| short(name)).collect();
    match suggest::nearest(&short(name), candidates.iter().map(String::as_str)) {
        Some(meant) => Some(format!(
            "{name} is ignored: there is no such variable; did you mean CODEJAIL_{meant}?"
        )),
        None if name.contains("_PORT") || name.contains("_SERVICE_") => None,
        None => Some(format!("{name} is ignored: there is no such variable")),
    }
}
