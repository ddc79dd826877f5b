//! The original's settings file and the environment, given to the real service.

use codejail_harness::binary::codejail_command;
use codejail_harness::dir::TestDir;
use codejail_harness::python::sandbox_python;
use codejail_harness::root::is_root;
use codejail_harness::{Run, Service, Setup};
use std::fs;
use std::path::PathBuf;

/// A file as a deployment of the original has it: Django's settings beside the original's own.
const ORIGINAL: &str = r#"
SECRET_KEY: "not for us"
ALLOWED_HOSTS: ["*"]
LOGGING_FORMAT_STRING: "%(asctime)s %(message)s"
DATABASES: &none {}
CACHES: *none
CODEJAIL_ENABLED: yes
CODE_JAIL:
  python_bin: PYTHON
  user: sandbox
  limits:
    CPU: 3
    REALTIME: 6
    VMEM: 1_073_741_824
    FSIZE: 1_048_576
    NPROC: 23
    PROXY: 0
  limit_overrides:
    course-v1:edX+Dots.and:Colons+run:
      NPROC: 31
      FSIZE: 2_097_152
      PROXY: 1
"#;

/// A run's limits, as the run sees them.
const LIMITS: &str = "
from resource import getrlimit, RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_NPROC
x = [getrlimit(which)[0] for which in (RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_NPROC)]
";

/// The file, in a place where every user can read it.
struct OriginalFile {
    _dir: TestDir,
    path: PathBuf,
}

impl OriginalFile {
    fn write() -> Self {
        let dir = TestDir::new("original");
        let path = dir.join("config.yml");
        let python = sandbox_python().display().to_string();
        fs::write(&path, ORIGINAL.replace("PYTHON", &python)).expect("write");
        Self { _dir: dir, path }
    }

    fn path(&self) -> &str {
        self.path.to_str().expect("UTF-8")
    }
}

/// A run must have these limits CPU, FSIZE and NPROC. Without root the kernel counts all processes
/// of the user together, so each run's NPROC is higher by the number of the others.
#[track_caller]
fn assert_limits(service: &Service, context: Option<&'static str>, expected: [u64; 3]) {
    let mut run = Run::new(LIMITS);
    if let Some(context) = context {
        run = run.context(context);
    }
    let seen = service.run(&run).success()["x"].take();
    let [cpu, fsize, nproc]: [u64; 3] = serde_json::from_value(seen).expect("numbers");
    assert_eq!([cpu, fsize], expected[..2]);
    if is_root() {
        assert_eq!(nproc, expected[2]);
    } else {
        assert!(nproc >= expected[2], "{nproc}");
    }
}

#[test]
fn the_originals_file_starts_the_service_with_the_same_limits() {
    let file = OriginalFile::write();
    // The harness's own file gives CPU and REALTIME, which must go over the original's.
    let service = Service::launch(&Setup {
        env: &[("CODEJAIL_SERVICE_CFG", file.path())],
        ..Setup::default()
    });
    service.wait_until_healthy();
    assert_limits(&service, None, [10, 1 << 20, 23]);
    let context = "course-v1:edX+Dots.and:Colons+run";
    assert_limits(&service, Some(context), [10, 2 << 20, 31]);
    assert_limits(&service, Some("unknown"), [10, 1 << 20, 23]);
    let big = service.execute("x = len(bytearray(2_000_000_000))").emsg();
    assert!(big.contains("MemoryError"), "{big}");
    let log = service.log();
    for part in [
        "SECRET_KEY, ALLOWED_HOSTS, LOGGING_FORMAT_STRING, DATABASES, CACHES are ignored: they are Django's settings",
        "CODE_JAIL.user has no effect",
        "CODE_JAIL.limits.PROXY has no effect",
        "PROXY can't be overridden per context",
    ] {
        assert_eq!(log.matches(part).count(), 1, "{part}\n{log}");
    }
}

#[test]
fn the_originals_file_alone_is_a_whole_configuration() {
    let file = OriginalFile::write();
    let output = codejail_command()
        .args(["serve", "--print-config"])
        .env("CODEJAIL_SERVICE_CFG", file.path())
        .env("CODEJAIL_PORT", "tcp://10.0.0.1:8080")
        .output()
        .expect("start codejail");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    let printed: toml::Table = printed.parse().expect("TOML");
    let expected: toml::Table = "
        CPU = 3
        REALTIME = 6.0
        VMEM = 1073741824
        FSIZE = 1048576
        NPROC = 23"
        .parse()
        .expect("TOML");
    assert_eq!(printed["limits"], toml::Value::Table(expected));
    assert_eq!(printed["enabled"], toml::Value::Boolean(true));
}

#[test]
fn variables_go_over_the_file_and_those_of_others_are_ignored() {
    let service = Service::launch(&Setup {
        overrides: "[limits]\nNPROC = 20",
        env: &[
            ("CODEJAIL_LIMITS__NPROC", "21"),
            ("CODEJAIL_WORKERS", "2"),
            ("CODEJAIL_PORT", "tcp://10.0.0.1:8080"),
            ("CODEJAIL_SERVICE_HOST", "10.0.0.1"),
        ],
        ..Setup::default()
    });
    service.wait_until_healthy();
    assert_limits(&service, None, [10, 0, 21]);
    service.wait_for_processes(2 + 2 + 4);
}
