//! A reload applies each key, or names it as a key that waits for a restart.

use super::super::settings::insert;
use super::super::value_type::ValueType;
use super::listed::full;
use super::*;
use toml::{Table, Value};

/// `config` with another value for one key, or without that key.
fn with(config: &Config, path: &[String], value: Option<Value>) -> Config {
    let mut table = Table::new();
    for (other, old) in print::leaves(config).unwrap() {
        match &value {
            _ if other != path => insert(&mut table, &other, old),
            Some(value) => insert(&mut table, path, value.clone()),
            None => {}
        }
    }
    table.try_into().unwrap()
}

/// Another value that this key allows.
fn another(kind: ValueType, value: &Value) -> Value {
    let text = |text: &str| Value::String(text.to_owned());
    let another = match kind {
        ValueType::Boolean => Value::Boolean(value.as_bool() == Some(false)),
        ValueType::Integer(least, _) => {
            let least = i64::try_from(least).unwrap();
            Value::Integer(least + i64::from(value.as_integer() == Some(least)))
        }
        ValueType::Seconds(_) => Value::Float(0.25),
        ValueType::Address => text("127.0.0.1:1"),
        ValueType::Endpoint => text("example.org:1"),
        ValueType::Name | ValueType::Text => text("other"),
        ValueType::Path => text("/other"),
        ValueType::Seed => text("random"),
        ValueType::Modules => Value::Array(vec![text("other")]),
        ValueType::Networks => Value::Array(vec![text("192.0.2.0/24")]),
        ValueType::Paths => Value::Array(vec![text("/other")]),
        ValueType::Mode | ValueType::Always => text("require"),
        ValueType::LogFormat => text("json"),
        ValueType::LogFilter => text("warn"),
    };
    assert!(kind.admits(&another) && another != *value, "{kind:?}");
    another
}

#[test]
fn every_key_is_applied_or_waits_as_the_list_of_keys_says() {
    let started = full();
    for (path, old) in print::leaves(&started).unwrap() {
        let (_, key) = super::super::keys::find(&path).unwrap();
        let new = another(key.kind, &old);
        let changed = with(&started, &path, Some(new.clone()));
        let (config, waiting) = changed.keeping_what_is_fixed(&started).unwrap();
        let applied = config.changes_from(&started).unwrap();
        let (waits, name) = (key.applies == Applies::Restart, key.name);
        assert_eq!(
            (waiting.len(), applied.len()),
            if waits { (1, 0) } else { (0, 1) },
            "{name}"
        );
        let change = waiting.iter().chain(&applied).next().unwrap();
        assert_eq!(change.applies, key.applies, "{name}");
        let value = print::leaves(&config).unwrap();
        let value = value
            .into_iter()
            .find(|(found, _)| *found == path)
            .unwrap()
            .1;
        assert_eq!(value, if waits { old } else { new }, "{name}");
    }
}

#[test]
fn keys_that_come_and_go_are_changes_too() {
    let started = full();
    let path = |name: &str| name.split('.').map(str::to_owned).collect::<Vec<_>>();
    let more = with(&started, &path("python.worker_module"), None);
    let more = with(&more, &path("limit_overrides.*.CPU"), None);
    let (config, waiting) = more.keeping_what_is_fixed(&started).unwrap();
    assert_eq!(config.python.worker_module, started.python.worker_module);
    assert_eq!(waiting.len(), 1);
    let applied = config.changes_from(&started).unwrap();
    assert_eq!(
        applied[0].to_string(),
        "limit_overrides.\"*\".CPU 1 -> unset"
    );
    let mut added = full();
    added.python.env.insert("A".to_owned(), "secret".to_owned());
    let (config, waiting) = added.keeping_what_is_fixed(&started).unwrap();
    assert_eq!(config.python.env, started.python.env);
    assert_eq!(waiting[0].to_string(), "python.env.A (values not shown)");
}

#[test]
fn changes_are_told_in_the_order_of_the_list_with_both_values() {
    let old = given().toml("[limits]\nCPU = 2").config();
    let text = "queue_wait_max_ms = 5\n[layers]\napparmor = 'require'\n[limits]\nCPU = 1";
    let changes = given().toml(text).config().changes_from(&old).unwrap();
    let said: Vec<String> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "queue_wait_max_ms 1000 -> 5",
            "limits.CPU 2 -> 1",
            "layers.apparmor \"auto\" -> \"require\""
        ]
    );
}
