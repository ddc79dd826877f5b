//! The executables that tests start: those that `CODEJAIL_BIN` and `CODEJAIL_SABOTAGE_BIN` name, or
//! what cargo builds now. The worker module lies beside each.

use crate::dir::set_mode;
use anyhow::{Context, Result, ensure};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// The worker module: the service looks for it beside itself and loads it into its workers'
/// interpreter.
const MODULE: &str = "libcodejail_worker.so";

/// The workspace.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Names a build of the service.
#[derive(Debug, Clone, Copy, Default)]
pub enum Build<'a> {
    /// The build under test.
    #[default]
    Ordinary,
    /// The build in which layers can be left out, and which executes even after failed checks.
    Sabotage,
    /// The executable at this path.
    At(&'a Path),
}

/// The service. Panics if it must be built and can't.
#[must_use]
pub fn codejail() -> &'static Path {
    static BINARY: LazyLock<PathBuf> = LazyLock::new(|| given_or("CODEJAIL_BIN", as_this_test));
    &BINARY
}

/// The optimised service: the costs of an unoptimised build mean nothing.
#[must_use]
pub fn optimised_codejail() -> &'static Path {
    static BINARY: LazyLock<PathBuf> =
        LazyLock::new(|| given_or("CODEJAIL_BIN", || build("release", &target_dir()?, &[])));
    &BINARY
}

/// The build in which layers can be left out, in a directory of its own beside the others. Panics
/// if it must be built and can't.
#[must_use]
pub fn sabotage() -> &'static Path {
    static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
        given_or("CODEJAIL_SABOTAGE_BIN", || {
            let target = target_dir()?.join("sabotage");
            build("release", &target, &["codejail-protocol/sabotage"])
        })
    });
    &BINARY
}

/// A command that runs the service. It does not inherit `CODEJAIL_...` and `RUST_LOG` from this
/// test's environment.
#[must_use]
pub fn codejail_command() -> Command {
    let mut command = Command::new(codejail());
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("CODEJAIL_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command
}

impl Build<'_> {
    /// Its executable.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Ordinary => codejail(),
            Self::Sabotage => sabotage(),
            Self::At(path) => path,
        }
    }

    /// A copy of executable and module that any user can read, in `dir`; made once.
    ///
    /// # Errors
    /// They can't be copied.
    pub fn copy_to(&self, dir: &Path) -> Result<PathBuf> {
        let copy = dir.join("codejail");
        if copy.exists() {
            return Ok(copy);
        }
        let module = self.path().with_file_name(MODULE);
        for (from, to) in [(self.path(), &copy), (&module, &dir.join(MODULE))] {
            fs::copy(from, to).with_context(|| format!("copy {}", from.display()))?;
            set_mode(to, 0o755)?;
        }
        Ok(copy)
    }
}

fn given_or(variable: &str, build: impl FnOnce() -> Result<PathBuf>) -> PathBuf {
    let given = env::var_os(variable).map(PathBuf::from);
    given.unwrap_or_else(|| build().unwrap_or_else(|error| panic!("{variable}: {error:#}")))
}

/// The binary with the profile of the test that runs.
fn as_this_test() -> Result<PathBuf> {
    let dir = profile_dir()?;
    let name = dir.file_name().and_then(|name| name.to_str());
    let profile = match name {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    build(profile, &target_dir()?, &[])
}

/// Where cargo puts binaries with the profile of the test that runs: `target/debug/deps/TEST` is
/// below it.
fn profile_dir() -> Result<PathBuf> {
    let test = env::current_exe()?;
    let dir = test.ancestors().find(|dir| dir.ends_with("deps"));
    let dir = dir.and_then(Path::parent);
    Ok(dir.context("this is no test that cargo built")?.to_owned())
}

fn target_dir() -> Result<PathBuf> {
    let dir = profile_dir()?;
    Ok(dir.parent().context("a target directory")?.to_owned())
}

/// `cargo test` does not build the service for another package's tests, and never builds the worker
/// module. So this builds both: otherwise tests would use old builds.
fn build(profile: &str, target: &Path, features: &[&str]) -> Result<PathBuf> {
    let built = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--locked", "--profile", profile])
        .args(["--package", "codejail", "--package", "codejail-worker"])
        .args(features.iter().flat_map(|feature| ["--features", feature]))
        .arg("--target-dir")
        .arg(target)
        .current_dir(ROOT)
        .status()
        .context("cargo")?;
    ensure!(built.success(), "the service can't be built");
    let dir = if profile == "dev" { "debug" } else { profile };
    Ok(target.join(dir).join("codejail"))
}
