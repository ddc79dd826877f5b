//! The services that probes run against.

use codejail_api_tests::decoys::Decoys;
use codejail_api_tests::target;
use codejail_harness::binary::Build;
use codejail_harness::{Running, Setup};

/// The configuration of these tests' services. The probes learn the limits.
const CONFIGURATION: &str = r#"
enabled = true
workers = 2
sandboxes_per_worker = 2
queue_wait_max_ms = 30000
scratch_bytes_max = 2097152
scratch_files_max = 1000
[limits]
CPU = 2
REALTIME = 3
VMEM = 268435456
FSIZE = 65536
NPROC = 15
[python]
# Libraries that take a second to import, which is more than a run should need here.
preload = ["numpy", "scipy", "sympy", "calc", "chem.chemcalc"]
"#;

/// The limits of `CODE_JAIL` in these services.
pub const LIMITS: &[(&str, u64)] = &[
    ("CPU", 2),
    ("REALTIME", 3),
    ("VMEM", 268_435_456),
    ("FSIZE", 65_536),
    ("NPROC", 15),
    ("SPACE", 2_097_152),
    ("INODES", 1000),
];

/// A service with decoys beside it.
pub struct Probed {
    /// Lines of `codejail check`, one for each layer.
    pub layers: Vec<String>,
    /// The targets of attacks.
    pub decoys: Decoys,
    service: Running,
}

impl Probed {
    /// Starts a service without these layers, and waits until it is ready. If `unprivileged`, it
    /// runs as a user other than root.
    pub fn start(unprivileged: bool, off: &[&str]) -> Self {
        let layers = off.iter().map(|layer| format!("{layer} = 'off'\n"));
        let layers = format!("[layers]\n{}", layers.collect::<String>());
        let setup = Setup {
            base: CONFIGURATION,
            overrides: &layers,
            unprivileged,
            staged: true,
            build: match off {
                [] => Build::Ordinary,
                _ => Build::Sabotage,
            },
            ..Setup::default()
        };
        let service = Running::start(&setup).expect("a service");
        for line in service.log().text().lines() {
            if line.contains("ERROR") || line.contains("WARN") {
                eprintln!("{line}");
            }
        }
        let check = service.check(&setup).expect("check");
        let layers = check.lines().filter(|line| line.starts_with("layer "));
        // The decoys belong to the service's own user, so that only layers protect them.
        let uid = codejail_harness::root::is_root().then(|| service.user());
        let decoys = Decoys::create(&service.dir().join("decoys"), uid).expect("decoys");
        Self {
            layers: layers.map(str::to_owned).collect(),
            decoys,
            service,
        }
    }

    /// The address of the service.
    pub fn address(&self) -> std::net::SocketAddr {
        self.service.address()
    }

    /// The service, as the probes know it.
    pub fn target(&self) -> target::Service {
        target::Service::new(self.service.address(), "localhost".to_owned())
    }
}
