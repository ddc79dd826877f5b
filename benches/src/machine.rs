//! Describes the machine and the day of a measurement.

use crate::results::Machine;
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;

/// The version of a Python, like `Python 3.11.2`.
pub fn version(python: &Path) -> Result<String> {
    let output = Command::new(python).arg("-V").output();
    let output = output.with_context(|| python.display().to_string())?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Processor, kernel and day. Without them figures mean nothing.
pub fn describe(python: &Path) -> Result<Machine> {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo")?;
    let models: Vec<&str> = cpuinfo
        .lines()
        .filter_map(|line| line.strip_prefix("model name"))
        .map(|rest| rest.trim_start_matches([' ', '\t', ':']))
        .collect();
    let said = |command: &mut Command| -> Result<String> {
        Ok(String::from_utf8(command.output()?.stdout)?
            .trim()
            .to_owned())
    };
    Ok(Machine {
        processor: (*models.first().unwrap_or(&"unknown processor")).to_owned(),
        cores: std::thread::available_parallelism()?.get(),
        kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")?
            .trim()
            .to_owned(),
        python: version(python)?,
        date: said(Command::new("date").arg("+%F"))?,
        load_average: std::fs::read_to_string("/proc/loadavg")?
            .split(' ')
            .next()
            .and_then(|load| load.parse().ok())
            .context("/proc/loadavg")?,
    })
}
