//! The types of values: their description for operators, their check, and how they are read from
//! text.

use super::network::Network;
use crate::log::filter;
use codejail_protocol::SABOTAGE;
use std::net::SocketAddr;
use std::path::Path;
use toml::Value;

/// Largest number of bytes or processes: the kernel takes it, and TOML can write it.
pub const KERNEL_MAX: u64 = i64::MAX as u64;

/// What a value may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValueType {
    /// Yes or no.
    Boolean,
    /// A whole number, both bounds included.
    Integer(u64, u64),
    /// Seconds up to a bound; fractions are allowed.
    Seconds(f64),
    /// An address to listen on.
    Address,
    /// A host and port to connect to.
    Endpoint,
    /// Text that is not empty.
    Name,
    /// Any text.
    Text,
    /// A path from the root on. A service can have any working directory, so no other path is
    /// clear.
    Path,
    /// A whole number of 32 bits, or `random`.
    Seed,
    /// Several modules of Python, as `import` names them.
    Modules,
    /// Several paths.
    Paths,
    /// Several networks.
    Networks,
    /// How lines of the log are written.
    LogFormat,
    /// Which events are logged.
    LogFilter,
    /// Whether a layer is wanted.
    Mode,
    /// Like `Mode`, but `off` is accepted only in sabotage builds: every host has this layer.
    Always,
}

use ValueType::{Address, Boolean, Endpoint, Integer, Mode, Modules, Name, Paths, Seconds, Text};

impl ValueType {
    /// What would be right, for a text after "must be".
    pub fn right(self) -> String {
        match self {
            Boolean => "true or false".to_owned(),
            Integer(least, KERNEL_MAX) => format!("a whole number from {least} on, below 2^63"),
            Integer(least, most) => format!("a whole number from {least} to {most}"),
            Seconds(most) => format!("a number of seconds from 0 to {most}"),
            Address => "an address with a port, such as 127.0.0.1:8080 or [::]:8080".to_owned(),
            Endpoint => "a name or an address with a port, such as example.org:443".to_owned(),
            Name => "text, and not empty".to_owned(),
            Text => "text without a zero byte".to_owned(),
            ValueType::Path => "an absolute path".to_owned(),
            ValueType::Seed => format!("a whole number from 0 to {}, or random", u32::MAX),
            Modules => "a list of modules, such as numpy or scipy.stats".to_owned(),
            Paths => "a list of absolute paths".to_owned(),
            ValueType::Networks => {
                "a list of networks or addresses, such as 10.1.0.0/16 or 2001:db8::7".to_owned()
            }
            ValueType::LogFormat => "text or json".to_owned(),
            ValueType::LogFilter => {
                "off, error, warn, info, debug or trace, or such as warn,codejail::exec=info"
                    .to_owned()
            }
            ValueType::Always if !SABOTAGE => "require or auto".to_owned(),
            Mode | ValueType::Always => "require, auto or off".to_owned(),
        }
    }

    /// Why `value` is refused.
    pub fn refusal(self, value: &Value) -> String {
        let hint = match (self, value) {
            (Boolean | Integer(..) | Seconds(_) | ValueType::Seed, Value::String(text))
                if self.admits(&self.read(text)) =>
            {
                ", without quotes"
            }
            (_, Value::Integer(_) | Value::Float(_) | Value::Boolean(_))
                if self.admits(&Value::String(value.to_string())) =>
            {
                ", in quotes"
            }
            _ => "",
        };
        format!("must be {}{hint}", self.right())
    }

    /// Whether `value` is allowed.
    pub fn admits(self, value: &Value) -> bool {
        match (self, value) {
            (Boolean, Value::Boolean(_)) => true,
            (Integer(least, most), Value::Integer(number)) => {
                u64::try_from(*number).is_ok_and(|number| (least..=most).contains(&number))
            }
            (Seconds(most), Value::Float(number)) => (0.0..=most).contains(number),
            (Seconds(most), Value::Integer(number)) => (0.0..=most).contains(&(*number as f64)),
            (Address, Value::String(text)) => text.parse::<SocketAddr>().is_ok(),
            (Endpoint, Value::String(text)) => is_endpoint(text),
            (Name, Value::String(text)) => !text.is_empty() && !text.contains('\0'),
            (Text, Value::String(text)) => !text.contains('\0'),
            (ValueType::Path, Value::String(text)) => {
                Path::new(text).is_absolute() && !text.contains('\0')
            }
            (ValueType::Seed, Value::Integer(number)) => u32::try_from(*number).is_ok(),
            (ValueType::Seed, Value::String(text)) => text == "random",
            (Modules, Value::Array(values)) => values
                .iter()
                .all(|value| value.as_str().is_some_and(is_module)),
            (Paths, Value::Array(values)) => {
                values.iter().all(|value| ValueType::Path.admits(value))
            }
            (ValueType::Networks, Value::Array(values)) => values.iter().all(|value| {
                let text = value.as_str();
                text.is_some_and(|text| Network::try_from(text.to_owned()).is_ok())
            }),
            (ValueType::LogFormat, Value::String(text)) => {
                ["text", "json"].contains(&text.as_str())
            }
            (ValueType::LogFilter, Value::String(text)) => filter::parse(text).is_ok(),
            (ValueType::Always, Value::String(text)) if !SABOTAGE => {
                ["require", "auto"].contains(&text.as_str())
            }
            (Mode | ValueType::Always, Value::String(text)) => {
                ["require", "auto", "off"].contains(&text.as_str())
            }
            _ => false,
        }
    }

    /// Reads the text of a variable or a flag. If it can't be read, it stays text, which is then
    /// refused.
    pub fn read(self, text: &str) -> Value {
        let as_text = || Value::String(text.to_owned());
        match self {
            Boolean => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Value::Boolean(true),
                "false" | "no" | "off" | "0" => Value::Boolean(false),
                _ => as_text(),
            },
            Integer(..) | ValueType::Seed => {
                text.parse().map_or_else(|_| as_text(), Value::Integer)
            }
            Seconds(_) => match (text.parse(), text.parse()) {
                (Ok(whole), _) => Value::Integer(whole),
                (_, Ok(number)) => Value::Float(number),
                _ => as_text(),
            },
            Modules | Paths | ValueType::Networks => {
                let items = text.split(',').map(str::trim);
                let items = items.filter(|item| !item.is_empty());
                Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
            }
            Address
            | Endpoint
            | Name
            | Text
            | ValueType::Path
            | Mode
            | ValueType::Always
            | ValueType::LogFormat
            | ValueType::LogFilter => as_text(),
        }
    }
}

/// Whether the text is identifiers of Python, joined by dots.
fn is_module(text: &str) -> bool {
    text.split('.').all(|name| {
        let plain = |character: char| character.is_alphanumeric() || character == '_';
        name.chars().all(plain) && name.starts_with(|first: char| !first.is_numeric())
    })
}

/// `name:port`, `192.0.2.1:port` or `[2001:db8::1]:port`.
fn is_endpoint(text: &str) -> bool {
    let named = |(host, port): (&str, &str)| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
        !host.is_empty()
            && host.bytes().all(plain)
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    text.rsplit_once(':').is_some_and(named)
        || text
            .parse::<SocketAddr>()
            .is_ok_and(|address| address.port() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_by_kind() {
        for (text, value) in [
            ("True", true),
            ("yes", true),
            ("1", true),
            ("OFF", false),
            ("0", false),
        ] {
            assert_eq!(Boolean.read(text), Value::Boolean(value));
        }
        assert!(!Boolean.admits(&Boolean.read("perhaps")));
        assert_eq!(Integer(0, 9).read("4"), Value::Integer(4));
        assert!(!Integer(0, 9).admits(&Integer(0, 9).read("four")));
        assert_eq!(Seconds(9.0).read("0.5"), Value::Float(0.5));
        assert!(!Seconds(9.0).admits(&Seconds(9.0).read("nan")));
        let list = |items: &[&str]| Value::from(items.to_vec());
        assert_eq!(Modules.read(" numpy, scipy,"), list(&["numpy", "scipy"]));
        assert_eq!(Modules.read(""), list(&[]));
    }

    #[test]
    fn modules_are_named_as_import_names_them() {
        for (text, good) in [
            ("numpy", true),
            ("scipy.stats,_x.y2,größe", true),
            ("[\"numpy\"", false),
            ("scipy.", false),
            (".stats", false),
            ("2to3", false),
            ("a b", false),
            ("os;print()", false),
        ] {
            assert_eq!(Modules.admits(&Modules.read(text)), good, "{text}");
        }
    }

    #[test]
    fn a_seed_is_a_number_or_random() {
        let seed = ValueType::Seed;
        assert_eq!(seed.read("7"), Value::Integer(7));
        for right in ["0", "4294967295", "random"] {
            assert!(seed.admits(&seed.read(right)), "{right}");
        }
        for wrong in ["-1", "4294967296", "Random", "", "0.5"] {
            assert!(!seed.admits(&seed.read(wrong)), "{wrong}");
        }
    }
}
