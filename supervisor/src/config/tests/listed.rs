//! The list of keys, the types, the defaults and the document agree.

use super::*;

/// A configuration with a value for every key.
pub fn full() -> Config {
    let mut config = Config::default();
    config.python.worker_module = Some(PathBuf::from("/x"));
    config.egress_check = Some("example.org:443".to_owned());
    config.metrics.bind = Some(std::net::SocketAddr::from(([127, 0, 0, 1], 9100)));
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
    let document = include_str!("../../../../docs/configuration.md");
    let leaves = print::leaves(&full()).unwrap();
    let names: BTreeSet<String> = leaves.iter().map(|(path, _)| path.join(".")).collect();
    let listed: BTreeSet<String> = KEYS.iter().map(|key| key.name.to_owned()).collect();
    assert_eq!(names, listed);
    for key in KEYS {
        let row = format!("| `{}` |", key.name.replace('*', "NAME"));
        let row = document.lines().find(|line| line.starts_with(&row));
        let row = row.unwrap_or_else(|| panic!("{} is not documented", key.name));
        let mut parts = vec![format!("| {} |", key.kind.right())];
        parts.push(format!("| {} |", key.applies));
        parts.extend(key.variable().map(|name| format!("| `{name}` |")));
        let open = key.name.contains('*')
            || ["egress_check", "metrics.bind", "python.worker_module"].contains(&key.name);
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
        let (_, key) = super::super::keys::find(&path).unwrap();
        assert!(key.kind.admits(&value), "{path:?} = {value}");
    }
}
