//! How a service is started: its configuration, its user, its executable.

use crate::binary::Build;
use crate::dir::{TestDir, set_mode};
use crate::python::sandbox_python;
use crate::uids::UidRange;
use anyhow::{Context, Result};
use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The configuration of tests that set nothing else. The service warms up quickly with it, and its
/// limits also suit a loaded machine.
const DEFAULTS: &str = r#"
enabled = true
workers = 1
max_requests = 0
queue_wait_max_ms = 30000
[limits]
CPU = 10
REALTIME = 20
[limit_overrides.short]
REALTIME = 0.3
"#;

/// The name of the configuration in a service's directory.
pub const CONFIGURATION: &str = "codejail.toml";

/// How a service is to be started.
#[derive(Debug, Clone)]
pub struct Setup<'a> {
    /// The first part of the TOML, the same for most services of a test suite. The harness adds a
    /// port, uids, a scratch root and a Python.
    pub base: &'a str,
    /// TOML that goes over `base`.
    pub overrides: &'a str,
    /// The service is not started as root: if the test is root, it is started as the first user of
    /// its range.
    pub unprivileged: bool,
    /// The service is started from copies of binary and module that every user can read.
    pub staged: bool,
    /// The build of the service.
    pub build: Build<'a>,
    /// A program that starts the service, with its arguments. It must become the service by exec.
    pub starter: &'a [&'a str],
    /// Additional variables of the environment.
    pub env: &'a [(&'a str, &'a str)],
    /// A socket that the service gets so many times, as a service manager passes sockets.
    pub passed: Option<(&'a TcpListener, usize)>,
}

/// Passes standard input as so many sockets, and becomes the program that the arguments name.
const PASS: &str = "
count=$0
fd=3
while [ $fd -lt $((3 + count)) ]; do
    eval \"exec $fd<&0\"
    fd=$((fd + 1))
done
LISTEN_FDS=$count LISTEN_PID=$$ exec \"$@\" </dev/null
";

impl Default for Setup<'_> {
    fn default() -> Self {
        Self {
            base: DEFAULTS,
            overrides: "",
            unprivileged: false,
            staged: false,
            build: Build::Ordinary,
            starter: &[],
            env: &[],
            passed: None,
        }
    }
}

/// What belongs to one service alone.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) uids: UidRange,
    pub(crate) dir: TestDir,
}

impl Place {
    /// The scratch root has the mode of `/tmp`.
    pub(crate) fn make() -> Result<Self> {
        let (uids, dir) = (UidRange::try_take()?, TestDir::try_new("test")?);
        fs::create_dir(dir.join("scratch"))?;
        set_mode(&dir.join("scratch"), 0o1777)?;
        Ok(Self { uids, dir })
    }
}

impl Setup<'_> {
    /// Whether the service runs as another user than this process, which is root.
    fn other_user(&self) -> bool {
        self.unprivileged && crate::root::is_root()
    }

    /// A command of the executable (`serve`, `check`). Writes the configuration of this setup
    /// before.
    pub(crate) fn command(&self, place: &Place, what: &str) -> Result<Command> {
        let file = place.dir.join(CONFIGURATION);
        fs::write(&file, self.configuration(place)?)?;
        let starter = self.starter.iter().map(PathBuf::from);
        let mut words: Vec<PathBuf> = starter.chain([self.executable(&place.dir)?]).collect();
        let mut stdin = Stdio::null();
        if let Some((listener, count)) = self.passed {
            let count = count.to_string();
            words.splice(..0, ["sh", "-c", PASS, &count].map(PathBuf::from));
            stdin = OwnedFd::from(listener.try_clone()?).into();
        }
        let mut words = words.into_iter();
        let mut command = Command::new(words.next().context("a program")?);
        command
            .args(words)
            .args([what, "--config"])
            .arg(file)
            .env("CJS_TEST_ENV_LEAKAGE", "yes")
            .env("RUST_LOG", log_filter())
            .envs(self.env.iter().copied())
            .stdin(stdin);
        if self.other_user() {
            command.gid(place.uids.user()).uid(place.uids.user());
        }
        Ok(command)
    }

    fn executable(&self, dir: &Path) -> Result<PathBuf> {
        if self.staged || self.other_user() {
            self.build.copy_to(dir)
        } else {
            Ok(self.build.path().to_owned())
        }
    }

    fn configuration(&self, place: &Place) -> Result<String> {
        let own = format!(
            "bind = \"127.0.0.1:0\"\nuser = \"{}\"\n[python]\nbin = {:?}\n\
             [sandbox]\nuid_base = {}\nscratch_dir = {:?}",
            place.uids.user(),
            sandbox_python(),
            place.uids.uid_base(),
            place.dir.join("scratch"),
        );
        let mut config = toml::Table::new();
        for text in [self.base, &own, self.overrides] {
            merge(&mut config, text.parse().with_context(|| text.to_owned())?);
        }
        Ok(config.to_string())
    }
}

/// The log filter of services: `CODEJAIL_TEST_LOG`, with the values that `RUST_LOG` can have
/// (`debug`, `info,hyper=off`).
fn log_filter() -> String {
    let given = std::env::var("CODEJAIL_TEST_LOG");
    given.unwrap_or_else(|_| "info".to_owned())
}

/// Changes the configuration of a running service, which notices when it is told to reload.
pub(crate) fn reconfigure(dir: &Path, overrides: &str) {
    let file = dir.join(CONFIGURATION);
    let text = fs::read_to_string(&file).expect("read");
    let mut config: toml::Table = text.parse().expect("TOML");
    merge(&mut config, overrides.parse().expect("TOML"));
    fs::write(&file, config.to_string()).expect("write");
}

/// Puts one table over another, key by key.
pub fn merge(into: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(value)) => merge(inner, value),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}
