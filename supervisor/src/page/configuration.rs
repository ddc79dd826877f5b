//! The configuration in force: each key, its value, and the source of the value.

use crate::config::current::Current;
use crate::config::keys::{self, Applies};
use crate::config::print;
use crate::config::settings::{Origin, dotted};
use crate::config::value_type::ValueType;
use serde_json::{Value, json};
use std::time::UNIX_EPOCH;

/// Most keys that are shown: all keys that exist, and the limits of some sixty courses.
const ROWS_MAX: usize = 400;
/// Most characters of a value that are shown. A list of thirty modules to preload fits.
const VALUE_CHARACTERS_MAX: usize = 1000;

/// The rows, in the order of the list of keys, and the time at which the configuration was read.
pub fn state(current: &Current) -> Value {
    let config = current.get();
    let read = current.last_read();
    let read_at = read.at.duration_since(UNIX_EPOCH).unwrap_or_default();
    // `--print-config` takes the same way, so TOML can write the values.
    let mut leaves = print::leaves(&config).unwrap_or_default();
    leaves.sort_by_cached_key(|(path, _)| (keys::find(path).map(|(place, _)| place), path.clone()));
    let more = leaves.len().saturating_sub(ROWS_MAX);
    let rows: Vec<Value> = leaves
        .iter()
        .take(ROWS_MAX)
        .map(|(path, value)| row(current, path, value))
        .collect();
    json!({
        "rows": rows,
        "more": more,
        "read_at": read_at.as_secs_f64(),
        "refused_since": read.refused_since,
    })
}

fn row(current: &Current, path: &[String], value: &toml::Value) -> Value {
    let key = keys::find(path).map(|(_, key)| key);
    // A variable for sandboxes. Its value may be secret, so the page must not show it.
    let is_private = key.is_none_or(|key| key.kind == ValueType::Text);
    let text = if is_private {
        "not shown".to_owned()
    } else {
        shortened(&value.to_string())
    };
    let origin = current.origin(path, value);
    let is_default = origin == Origin::Default;
    json!({
        "key": dotted(path),
        "value": text,
        "source": if is_default { "default".to_owned() } else { origin.to_string() },
        "is_default": is_default,
        "applies": key.map(|key| when(key.applies)),
    })
}

fn when(applies: Applies) -> &'static str {
    match applies {
        Applies::AtOnce => "reload",
        Applies::NewWorkers => "reload, for new workers",
        Applies::Restart => "restart",
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(VALUE_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::config::load::Sources;
    use std::sync::Arc;

    fn with(variables: &[(&str, &str)]) -> Current {
        let environment = variables
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        let sources = Sources {
            environment: environment.collect(),
            ..Sources::default()
        };
        let loaded = sources.load().expect("a configuration");
        let current = Current::new(Arc::new(loaded.config));
        current.set_settings(loaded.settings);
        current
    }

    fn find(current: &Current, key: &str) -> Value {
        let state = state(current);
        let rows = state["rows"].as_array().expect("rows").clone();
        let found = rows.into_iter().find(|row| row["key"] == key);
        found.unwrap_or_else(|| panic!("no row {key}"))
    }

    #[test]
    fn each_key_has_its_source() {
        let current = with(&[("CODEJAIL_WORKERS", "3")]);
        let row = find(&current, "workers");
        assert_eq!(row["value"], "3");
        assert!(
            row["source"]
                .as_str()
                .expect("text")
                .contains("CODEJAIL_WORKERS")
        );
        assert_eq!(find(&current, "limits.CPU")["source"], "default");
    }

    #[test]
    fn a_variable_for_sandboxes_is_not_shown() {
        let mut config = Config::default();
        config
            .python
            .env
            .insert("TOKEN".to_owned(), "hunter2".to_owned());
        let current = Current::new(Arc::new(config));
        assert_eq!(find(&current, "python.env.TOKEN")["value"], "not shown");
        assert!(!state(&current).to_string().contains("hunter2"));
    }

    #[test]
    fn a_key_that_waits_for_a_restart_keeps_its_source() {
        let current = with(&[("CODEJAIL_SANDBOXES_PER_WORKER", "3")]);
        current.set_settings(Sources::default().load().expect("a configuration").settings);
        let row = find(&current, "sandboxes_per_worker");
        assert!(
            row["source"]
                .as_str()
                .expect("text")
                .contains("CODEJAIL_SANDBOXES_PER_WORKER")
        );
    }

    #[test]
    fn rows_and_values_are_bounded() {
        let mut config = Config::default();
        for course in 0..1000 {
            config
                .limit_overrides
                .insert(format!("course-{course}"), Default::default());
            config
                .python
                .env
                .insert(format!("V{course}"), "1".to_owned());
        }
        config.python.preload = vec!["m".repeat(100); 100];
        let state = state(&Current::new(Arc::new(config)));
        assert_eq!(state["rows"].as_array().map(Vec::len), Some(ROWS_MAX));
        assert!(state["more"].as_u64() > Some(500));
        assert!(state.to_string().len() < 200_000);
    }
}
