//! The warm image in a sealed file of its own, which every sandbox maps privately.
//!
//! A fork copies the page tables of memory that no file holds, and the end of the child takes them
//! down again: for an image of 140 MB, 35,000 entries. If a private mapping of a file was never
//! written to, a fork copies nothing of it; page faults of the child find the pages. So the worker
//! writes all of its own memory into a file in memory, each byte at the offset that is its address,
//! and maps the file at the same addresses (decision 23). Because offsets equal addresses,
//! neighbours become one mapping.
//!
//! Between the reading of the mappings and the last move, this process has one thread, takes no
//! signal and allocates no memory. What can't be moved stays as it is, and works as before.

mod copy;
mod error;
mod plan;

use crate::interpreter::OwnProcess;
use error::ImageError;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::SigSet;
use plan::Step;
use std::os::fd::OwnedFd;

/// Moves the image. Returns how many bytes the file holds. It must be called before the first fork,
/// and after all lasting memory was written.
///
/// # Errors
/// What was moved before an error stays moved. The file is sealed all the same.
pub fn seal(own_process: &OwnProcess) -> Result<u64, ImageError> {
    let file = memfd_create(
        c"codejail-image",
        MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING,
    )
    .map_err(ImageError::at("memfd_create"))?;
    nix::unistd::ftruncate(&file, copy::FILE_BYTES).map_err(ImageError::at("ftruncate"))?;
    let volatile = copy::Volatile::find();
    let (mut text, mut steps) = room(own_process)?;
    let before = SigSet::all()
        .thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_SETMASK)
        .map_err(ImageError::at("sigprocmask"))?;
    let moved = move_all(own_process, &file, &volatile, &mut text, &mut steps);
    let sealed = seal_file(&file);
    before
        .thread_set_mask()
        .map_err(ImageError::at("sigprocmask"))?;
    sealed?;
    moved
}

/// Buffers that are large enough for the mappings and the steps. Both stay allocated until the
/// image has moved, so that no mapping of the plan goes away meanwhile.
fn room(own_process: &OwnProcess) -> Result<(String, Vec<Step>), ImageError> {
    /// So many mappings can be added by the two buffers, and by what is freed after the first
    /// reading.
    const MAPPINGS_MORE: usize = 64;
    const TEXT_MORE: usize = MAPPINGS_MORE * 1024;
    let text = own_process.mappings()?;
    let count = crate::mappings::parse(&text).count();
    if count == 0 {
        return Err(ImageError::NoMappings);
    }
    let room = String::with_capacity(text.len() + TEXT_MORE);
    Ok((room, Vec::with_capacity(count + MAPPINGS_MORE)))
}

fn move_all(
    own_process: &OwnProcess,
    file: &OwnedFd,
    volatile: &copy::Volatile,
    text: &mut String,
    steps: &mut Vec<Step>,
) -> Result<u64, ImageError> {
    let (text_room, steps_room) = (text.capacity(), steps.capacity());
    own_process.mappings_into(text)?;
    if text.capacity() != text_room || !plan::make(text, steps, steps_room) {
        return Err(ImageError::Grew);
    }
    let mut bytes = 0;
    for step in steps.iter() {
        match step {
            Step::Move(piece) => bytes += copy::into_file(piece, file, volatile)?,
            Step::MakeText(range) => copy::make_text(range),
        }
    }
    Ok(bytes)
}

/// Seals the file: from here on no process can write to it, change its size, or remove a seal. The
/// descriptor is closed before the first fork, so no sandbox has one.
fn seal_file(file: &OwnedFd) -> Result<(), ImageError> {
    use nix::fcntl::{FcntlArg, SealFlag, fcntl};
    let seals = SealFlag::F_SEAL_WRITE
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_SEAL;
    fcntl(file, FcntlArg::F_ADD_SEALS(seals))
        .map(drop)
        .map_err(ImageError::at("F_ADD_SEALS"))
}
