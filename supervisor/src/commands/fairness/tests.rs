use super::*;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// The files of a host.
struct Host(PathBuf);

impl Host {
    fn with(files: &[(&str, &str)]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("cj-fairness-{}-{number}", std::process::id());
        let root = std::env::temp_dir().join(name);
        for (file, text) in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{text}\n")).unwrap();
        }
        Self(root)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // A host without files has no directory.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn one(files: &[(&str, &str)]) -> Finding {
    let host = Host::with(files);
    let mut found = findings(&host.0);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn each_thing_is_fair_or_has_its_remedy() {
    const THP: &str = "sys/kernel/mm/transparent_hugepage/enabled";
    const GOVERNOR: &str = "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
    const CLOCK: &str = "sys/devices/system/clocksource/clocksource0/current_clocksource";
    const MELTDOWN: &str = "sys/devices/system/cpu/vulnerabilities/meltdown";
    for (file, good, bad, remedy) in [
        (
            THP,
            "always [madvise] never",
            "[always] madvise never",
            "enabled",
        ),
        (GOVERNOR, "performance", "powersave", "cpupower"),
        (
            "proc/swaps",
            "Filename Type",
            "Filename Type\n/dev/vda2 partition",
            "swapoff",
        ),
        (
            "proc/sys/vm/overcommit_memory",
            "0",
            "2",
            "overcommit_memory=0",
        ),
        (
            "proc/sys/kernel/randomize_va_space",
            "2",
            "0",
            "randomize_va_space=2",
        ),
        (CLOCK, "kvm-clock", "acpi_pm", "another machine"),
        (MELTDOWN, "", "Vulnerable", "remove mitigations=off"),
        (MELTDOWN, "", "Mitigation: PTI", "newer processor"),
        (
            MELTDOWN,
            "",
            "Mitigation: Clear CPU buffers; SMT vulnerable",
            "nosmt",
        ),
    ] {
        if !good.is_empty() {
            assert!(matches!(one(&[(file, good)]), Fair { .. }), "{good}");
        }
        let Unfair { why, remedy: found } = one(&[(file, bad)]) else {
            panic!("{bad} is not fair");
        };
        assert!(found.contains(remedy), "{why}: {found}");
    }
    let none = Host::with(&[(MELTDOWN, "Not affected")]);
    assert_eq!(findings(&none.0), []);
}

#[test]
fn a_quick_clock_that_is_there_is_the_remedy() {
    const DIRECTORY: &str = "sys/devices/system/clocksource/clocksource0";
    let (current, available) = (
        format!("{DIRECTORY}/current_clocksource"),
        format!("{DIRECTORY}/available_clocksource"),
    );
    let found = one(&[(&current, "hpet"), (&available, "hpet tsc acpi_pm")]);
    let Unfair { remedy, .. } = found else {
        panic!("{found:?}");
    };
    assert_eq!(
        remedy,
        format!("echo tsc > /{DIRECTORY}/current_clocksource")
    );
}

#[test]
fn a_host_that_shows_nothing_is_not_judged() {
    assert_eq!(findings(Path::new("/nowhere")), []);
}
