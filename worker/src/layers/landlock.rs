//! The Landlock layer: which files worker and sandbox may open. From Linux 6.7 and 6.12 on also to
//! whom they may connect, and whom they may signal.
//!
//! It asks for exactly the rights that the kernel's ABI has, and fails if it gets less. ABI 1 and 2
//! (before Linux 6.2) have no right for truncation, so there seccomp denies truncation by path. ABI
//! 1 (before Linux 5.19) denies every rename and link from one directory to another, also within
//! `tmp`: EXDEV. Nothing may be executed anywhere. Each sandbox has a ruleset of its own: a shared
//! one would collect the rules of all sandboxes.

use super::LayerError;
use codejail_protocol::control::LayerMode;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, Scope,
};
use nix::errno::Errno;
use nix::sys::stat::{SFlag, fstat};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

/// Its name, as the configuration's key.
pub const LAYER: &str = "landlock";

/// A device that code may also write to.
const NULL: &str = "/dev/null";

/// The layer as this kernel gives it. The paths that may be read are opened already.
#[derive(Debug)]
pub struct Landlock {
    abi: ABI,
    readable: Vec<PathFd>,
    null: PathFd,
}

/// The second stage, made ahead. Once it is enforced, only `tmp` can be changed.
#[derive(Debug)]
pub struct LandlockFinal(OwnedFd);

impl Landlock {
    /// Finds out what the kernel has, and opens `readable`. Paths that do not exist are left out.
    ///
    /// # Errors
    /// The mode is `require` and the kernel has no Landlock.
    pub fn find(mode: LayerMode, readable: &[PathBuf]) -> Result<Option<Self>, LayerError> {
        let version = match mode {
            LayerMode::Off => return Ok(None),
            LayerMode::Auto | LayerMode::Require => kernel_version(),
        };
        match (version, mode) {
            (Ok(version), _) => Ok(Some(Self {
                abi: ABI::from(version),
                readable: readable
                    .iter()
                    .filter_map(|path| PathFd::new(path).ok())
                    .collect(),
                null: PathFd::new(NULL).map_err(LayerError::at(LAYER, NULL))?,
            })),
            (Err(_), LayerMode::Auto) => Ok(None),
            (Err(errno), _) => Err(LayerError::at(
                LAYER,
                "this kernel does not have it: boot Linux 5.13 or newer with lsm=landlock, or do \
                 not require it",
            )(errno)),
        }
    }

    /// The ABI's number, for the operator.
    #[must_use]
    pub fn abi(&self) -> u32 {
        self.abi as u32
    }

    /// Whether the kernel's Landlock guards truncation (ABI 3, Linux 6.2).
    #[must_use]
    pub fn guards_truncate(&self) -> bool {
        self.abi >= ABI::V3
    }

    /// Confines the worker: it may read what its sandboxes may read, and write below the scratch
    /// root. With `attributes` it may also open files in `/proc`: a sandbox stacks its AppArmor
    /// profile by its own `attr/current`, and the path of that file is not known yet. The owners of
    /// the other files in `/proc` keep the worker from writing to them, and sandboxes lose all of
    /// `/proc` again.
    pub fn confine_worker(&self, scratch_root: &Path, attributes: bool) -> Result<(), LayerError> {
        let access = read_access() | write_access(self.abi);
        let mut rules = self
            .ruleset()?
            .add_rule(PathBeneath::new(open(scratch_root)?, access))
            .map_err(LayerError::at(LAYER, "allow to write"))?;
        if attributes {
            let proc = PathFd::new("/proc").map_err(LayerError::at(LAYER, "open /proc"))?;
            let access = AccessFs::ReadFile | AccessFs::WriteFile;
            rules = rules
                .add_rule(PathBeneath::new(proc, access))
                .map_err(LayerError::at(LAYER, "allow /proc"))?;
        }
        rules
            .restrict_self()
            .map(drop)
            .map_err(LayerError::at(LAYER, "confine the worker"))
    }

    /// Confines a sandbox, first stage: it may read its own directory, remove one file of it, and
    /// do everything in `tmp`.
    pub fn confine_sandbox(&self, scratch: &Path) -> Result<LandlockFinal, LayerError> {
        let own = read_access() | AccessFs::RemoveFile;
        let tmp = open(&scratch.join(super::scratch::TMP))?;
        self.ruleset()?
            .add_rule(PathBeneath::new(open(scratch)?, own))
            .and_then(|rules| rules.add_rule(PathBeneath::new(&tmp, write_access(self.abi))))
            .and_then(RulesetCreated::restrict_self)
            .map_err(LayerError::at(LAYER, "confine the sandbox"))?;
        Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(write_access(self.abi))
            .and_then(Ruleset::create)
            .and_then(|rules| rules.add_rule(PathBeneath::new(&tmp, write_access(self.abi))))
            .and_then(|rules| rules.add_rule(PathBeneath::new(&self.null, AccessFs::WriteFile)))
            .map(Option::<OwnedFd>::from)
            .map_err(LayerError::at(LAYER, "prepare the second stage"))?
            .map(LandlockFinal)
            .ok_or_else(|| LayerError::at(LAYER, "prepare the second stage")("no ruleset was made"))
    }

    /// A ruleset that denies everything that the ABI can deny, except reading the readable paths.
    fn ruleset(&self) -> Result<RulesetCreated, LayerError> {
        let mut rules = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(self.abi))
            .map_err(LayerError::at(LAYER, "handle files"))?;
        if self.abi >= ABI::V4 {
            rules = rules
                .handle_access(AccessNet::from_all(self.abi))
                .map_err(LayerError::at(LAYER, "handle the network"))?;
        }
        if self.abi >= ABI::V6 {
            rules = rules
                .scope(Scope::from_all(self.abi))
                .map_err(LayerError::at(LAYER, "handle scopes"))?;
        }
        let mut rules = rules.create().map_err(LayerError::at(LAYER, "create"))?;
        for path in &self.readable {
            let access = if is_directory(path) {
                read_access()
            } else {
                AccessFs::ReadFile.into()
            };
            rules = rules
                .add_rule(PathBeneath::new(path, access))
                .map_err(LayerError::at(LAYER, "allow to read"))?;
        }
        rules
            .add_rule(PathBeneath::new(
                &self.null,
                AccessFs::ReadFile | AccessFs::WriteFile,
            ))
            .map_err(LayerError::at(LAYER, "allow /dev/null"))
    }
}

impl LandlockFinal {
    /// Enforces the second stage, landlock_restrict_self(2).
    pub fn enforce(self) -> Result<(), LayerError> {
        // SAFETY: the call reads no memory of ours; the descriptor is a ruleset and open.
        let result =
            unsafe { libc::syscall(libc::SYS_landlock_restrict_self, self.0.as_raw_fd(), 0) };
        Errno::result(result)
            .map(drop)
            .map_err(LayerError::at(LAYER, "close the scratch directory"))
    }

    /// The descriptor that must stay open until the second stage is enforced.
    pub fn descriptor(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

fn read_access() -> BitFlags<AccessFs> {
    AccessFs::ReadFile | AccessFs::ReadDir
}

/// Every right to change something, except to make device nodes and named pipes: no run may do that
/// (`seccomp/files.rs`).
fn write_access(abi: ABI) -> BitFlags<AccessFs> {
    let never = read_access()
        | AccessFs::Execute
        | AccessFs::MakeChar
        | AccessFs::MakeBlock
        | AccessFs::MakeFifo
        | AccessFs::IoctlDev;
    AccessFs::from_all(abi) & !never
}

fn open(path: &Path) -> Result<PathFd, LayerError> {
    PathFd::new(path).map_err(LayerError::at(LAYER, "open the scratch directory"))
}

fn is_directory(path: &PathFd) -> bool {
    fstat(path).is_ok_and(|status| {
        SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR
    })
}

/// `landlock_create_ruleset(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION)`, landlock(7).
fn kernel_version() -> Result<i32, Errno> {
    const VERSION_FLAG: u32 = 1;
    // SAFETY: with this flag the kernel reads no memory of ours.
    let result = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<libc::c_void>(),
            0_usize,
            VERSION_FLAG,
        )
    };
    Errno::result(result).map(|version| i32::try_from(version).unwrap_or(i32::MAX))
}
