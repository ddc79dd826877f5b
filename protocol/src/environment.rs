//! The environment with which the spawner starts a worker's Python. The spawner makes it from the
//! variables that sandboxes shall see; the worker undoes the spawner's changes.
//!
//! `python -E` ignores all `PYTHON*` variables, the hash seed too. So a worker's Python starts
//! without `-E`, and the seed is the only such variable in its environment. The others have another
//! name until Python runs.

/// Python reads its hash seed here.
pub const HASH_SEED: &str = "PYTHONHASHSEED";

/// The names of Python's own variables begin with this.
const PYTHONS: &str = "PYTHON";

/// The prefix that hides a variable from Python.
const HELD_BACK: &str = "CODEJAIL_HELD_BACK_";

/// The environment to start Python with. Without a seed Python takes a random one.
#[must_use]
pub fn for_start(variables: &[(String, String)], seed: Option<u32>) -> Vec<(String, String)> {
    let renamed = |(name, value): &(String, String)| {
        let before = if name.starts_with(PYTHONS) {
            HELD_BACK
        } else {
            ""
        };
        (format!("{before}{name}"), value.clone())
    };
    let seed = seed.map_or_else(|| "random".to_owned(), |seed| seed.to_string());
    let mut all: Vec<_> = variables.iter().map(renamed).collect();
    all.push((HASH_SEED.to_owned(), seed));
    all
}

/// The name under which a sandbox shall see this variable.
#[must_use]
pub fn true_name(name: &str) -> &str {
    name.strip_prefix(HELD_BACK).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_is_started_with_its_seed_and_no_other_variable_of_its_own() {
        let variables = ["PATH", "PYTHONHASHSEED", "PYTHONPATH", "TMPDIR"];
        let given = variables.map(|name| (name.to_owned(), "as it is".to_owned()));
        let started = for_start(&given, Some(7));
        let heeded = |(name, _): &&(String, String)| name.starts_with("PYTHON");
        let heeded: Vec<_> = started.iter().filter(heeded).cloned().collect();
        assert_eq!(heeded, [(HASH_SEED.to_owned(), "7".to_owned())]);
        let names: Vec<&str> = started.iter().map(|(name, _)| true_name(name)).collect();
        assert_eq!(names[..4], variables);
    }

    #[test]
    fn without_a_seed_python_takes_a_new_one() {
        let seed = (HASH_SEED.to_owned(), "random".to_owned());
        assert_eq!(for_start(&[], None), [seed]);
    }
}
