//! The run's own directory: the runner, and everything but `tmp`.

use crate::probe::Probe;

/// Why one layer is enough to protect the run's own files.
const OWN: &str = "it concerns only the run's own files";

/// The probes of this file.
pub const PROBES: &[Probe] = &[
    Probe::harm(
        "deny_changing_the_runner",
        "The script that runs the code can't be written to.",
        "x = outcome(lambda: write('jailed_code'), FILES)",
    ),
    Probe::harm(
        "deny_emptying_the_runner_while_reading",
        "Opening a file to read does not empty it.",
        "x = outcome(lambda: os.open('jailed_code', os.O_RDONLY | os.O_TRUNC), FILES)",
    ),
    Probe::harm(
        "deny_truncating_the_runner",
        "The runner's length can't be changed by its path.",
        "x = outcome(lambda: os.truncate('jailed_code', 0), FILES)",
    ),
    Probe::harm(
        "deny_removing_the_runner",
        "The runner can't be removed.",
        "x = outcome(lambda: os.unlink('jailed_code'), FILES)",
    ),
    Probe::harm(
        "deny_moving_the_runner",
        "The runner can't be moved to where it could be changed.",
        "x = outcome(lambda: os.rename('jailed_code', 'tmp/taken'), FILES)",
    ),
    Probe::harm(
        "deny_replacing_the_runner",
        "Nothing can be put in the runner's place.",
        "open('tmp/new', 'w').close()\n\
         x = outcome(lambda: os.rename('tmp/new', 'jailed_code'), FILES)",
    ),
    Probe::harm(
        "deny_changing_the_runners_mode",
        "The runner's mode can't be changed.",
        "x = outcome(lambda: os.chmod('jailed_code', 0o777), FILES)",
    ),
    Probe::harm(
        "deny_changing_the_runners_times",
        "The runner's times can't be changed.",
        "x = outcome(lambda: os.utime('jailed_code', (1, 1)), FILES)",
    ),
    Probe::harm(
        "deny_changing_the_runners_owner",
        "The runner can't be made one's own.",
        "x = outcome(lambda: os.chown('jailed_code', os.getuid(), os.getgid()), FILES)",
    ),
    Probe::surface(
        "deny_hard_links_to_the_runner",
        "The runner can't be given another name.",
        OWN,
        "x = outcome(lambda: os.link('jailed_code', 'tmp/link'), FILES)",
    ),
    Probe::harm(
        "deny_files_beside_tmp",
        "No file can be made outside of tmp.",
        "x = outcome(lambda: write('beside', 'w'), FILES)",
    ),
    Probe::harm(
        "deny_directories_beside_tmp",
        "No directory can be made outside of tmp.",
        "x = outcome(lambda: os.mkdir('beside'), FILES)",
    ),
    Probe::harm(
        "deny_symbolic_links_beside_tmp",
        "No symbolic link can be made outside of tmp.",
        "x = outcome(lambda: os.symlink('tmp', 'beside'), FILES)",
    ),
    Probe::harm(
        "deny_fifos_beside_tmp",
        "No named pipe can be made outside of tmp.",
        "x = outcome(lambda: os.mkfifo('beside'), FILES)",
    ),
    Probe::harm(
        "deny_moving_tmp",
        "The place to write to can't be moved.",
        "x = outcome(lambda: os.rename('tmp', 'away'), FILES)",
    ),
    Probe::harm(
        "deny_removing_tmp",
        "The place to write to can't be removed.",
        "x = outcome(lambda: os.rmdir('tmp'), FILES)",
    ),
];
