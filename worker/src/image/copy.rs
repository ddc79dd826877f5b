//! Moves one piece of memory, word by word where needed. It makes raw system calls and allocates no
//! memory.

use super::error::ImageError;
use super::plan::Piece;
use crate::execute;
use codejail_protocol::SABOTAGE;
use nix::errno::Errno;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};

/// The size of the file: offsets are addresses, and a page that was never written takes no memory.
/// If a mapping grows (mremap(2)), the part behind its old end is still within the file.
pub const FILE_BYTES: i64 = 1 << 48;

/// The smallest unit that is written: a page of the kernel (4 KiB on x86-64), or a part of one.
const PAGE: usize = 4096;

const WORD: usize = size_of::<u64>();

/// Writes the piece into the file, and maps the file in its place. Returns how many bytes were
/// written.
///
/// # Errors
/// The file can't be written to. The piece is then as it was.
pub fn into_file(piece: &Piece, file: &OwnedFd, volatile: &Volatile) -> Result<u64, ImageError> {
    let before = SABOTAGE.then(|| checksum(&piece.range, volatile));
    let written = if piece.of_file {
        write(&piece.range, file)?
    } else {
        write_what_is_not_zero(&piece.range, file)?
    };
    map(piece, file);
    // Only a build for tests compares: that takes as long as the move.
    if before.is_some_and(|before| before != checksum(&piece.range, volatile)) {
        die("worker: the image is not what it was before it moved\n");
    }
    Ok(written)
}

/// Lets the kernel make one mapping of code and the read-only data beside it. If the kernel
/// refuses, they stay two mappings.
pub fn make_text(range: &Range<usize>) {
    let executable = libc::PROT_READ | libc::PROT_EXEC;
    // SAFETY: the range is a read-only mapping of this process; it stays readable.
    unsafe { libc::mprotect(range.start as *mut libc::c_void, range.len(), executable) };
}

/// Writes the pages of the range that have a word other than zero. Mappings of anonymous memory
/// mostly have only zeros at their ends. Other pages are holes in the file, and a hole reads as
/// zeros.
fn write_what_is_not_zero(range: &Range<usize>, file: &OwnedFd) -> Result<u64, ImageError> {
    let mut written = 0;
    let mut full = range.start..range.start;
    for start in range.clone().step_by(PAGE) {
        if (start..start + PAGE)
            .step_by(WORD)
            .any(|address| word(address) != 0)
        {
            full.end = start + PAGE;
        } else {
            written += write(&full, file)?;
            full = start + PAGE..start + PAGE;
        }
    }
    Ok(written + write(&full, file)?)
}

/// Writes by the system call itself. If this process ever had a second thread, glibc's own function
/// makes a note in the thread's descriptor during the call, and the copy would contain that note.
fn write(range: &Range<usize>, file: &OwnedFd) -> Result<u64, ImageError> {
    let mut start = range.start;
    while start < range.end {
        // SAFETY: the range is mapped and readable. If it is a file's mapping, and a page of it
        // lies beyond the file's end, the kernel answers EFAULT. Offsets are addresses, below 2^48.
        let count = unsafe {
            libc::syscall(
                libc::SYS_pwrite64,
                file.as_raw_fd(),
                start,
                range.end - start,
                start,
            )
        };
        match Errno::result(count) {
            Ok(0) => return Err(ImageError::System("pwrite", Errno::ENOSPC)),
            Ok(count) => start += count.cast_unsigned() as usize,
            Err(errno) => return Err(ImageError::System("pwrite", errno)),
        }
    }
    Ok(range.len() as u64)
}

/// Maps the file where the piece lies. If that fails, the piece may be lost, so this process ends.
fn map(piece: &Piece, file: &OwnedFd) {
    let writing = if piece.writable { libc::PROT_WRITE } else { 0 };
    // SAFETY: the range is exactly one mapping of this process, and the file has its content at
    // that offset. The call replaces the mapping at once, and nothing else runs meanwhile.
    let mapped = unsafe {
        libc::mmap(
            piece.range.start as *mut libc::c_void,
            piece.range.len(),
            libc::PROT_READ | writing,
            libc::MAP_PRIVATE | libc::MAP_FIXED,
            file.as_raw_fd(),
            piece.range.start as libc::off_t,
        )
    };
    if mapped == libc::MAP_FAILED {
        die("worker: the image can't be mapped; set python.sealed_image = false\n");
    }
}

fn word(address: usize) -> u64 {
    // SAFETY: the address is aligned, mapped and readable memory of this process. What lies there
    // is read as a number, by a read that the compiler can't optimise.
    unsafe { (address as *const u64).read_volatile() }
}

/// FNV-1a over all words, except those that the kernel writes to.
fn checksum(range: &Range<usize>, volatile: &Volatile) -> u64 {
    let words = range.clone().step_by(WORD);
    words
        .filter(|address| !volatile.0.contains(address))
        .fold(0xcbf2_9ce4_8422_2325, |sum, address| {
            (sum ^ word(address)).wrapping_mul(0x0100_0000_01b3)
        })
}

/// Memory that the kernel writes to at any time. It notes the processor that a thread runs on
/// (rseq(2)), within the thread's descriptor (glibc 2.35 and later). That area begins
/// `__rseq_offset` bytes after the thread pointer. On x86-64 `pthread_self` returns that pointer.
pub struct Volatile(Range<usize>);

impl Volatile {
    /// Finds that memory. Call this before the first move: dlsym(3) makes the dynamic linker write
    /// to its own memory.
    pub fn find() -> Self {
        /// More bytes than any kernel writes so far.
        const BYTES: usize = 64;
        // SAFETY: the name is a C string; where the C library has such a symbol, it is a constant
        // ptrdiff_t. pthread_self takes nothing.
        let (offset, own) = unsafe {
            let offset = libc::dlsym(libc::RTLD_DEFAULT, c"__rseq_offset".as_ptr());
            (
                offset.cast::<isize>().as_ref().copied(),
                libc::pthread_self(),
            )
        };
        let Some(offset) = offset else {
            return Self(0..0);
        };
        let start = (own as usize).wrapping_add_signed(offset);
        Self(start..start + BYTES)
    }
}

/// Ends this process with a message to the service's log. It allocates no memory.
fn die(message: &'static str) -> ! {
    let _ = nix::unistd::write(std::io::stderr(), message.as_bytes());
    execute::exit(execute::CANNOT_START)
}
