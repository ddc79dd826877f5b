//! Where the warm image's memory goes before the first fork: into a sealed file, or into huge
//! pages.

use crate::interpreter::OwnProcess;
use crate::{huge_pages, image, mappings};
use codejail_protocol::control::{ImageMemory, WorkerConfig};
use std::io;

/// Moves the image, and reports the result. It must be called when all lasting memory was written.
pub fn settle(own_process: &OwnProcess, config: &WorkerConfig) -> io::Result<ImageMemory> {
    let own_bytes = total(own_process, |mapping| mapping.anonymous_bytes)?;
    let sealed = config.sealed_image.then(|| image::seal(own_process));
    if config.huge_pages && !matches!(sealed, Some(Ok(_))) {
        huge_pages::collapse(&own_process.mappings()?);
    }
    let sealed = sealed.transpose();
    Ok(ImageMemory {
        own_bytes,
        sealed_bytes: sealed.as_ref().map_or(0, |bytes| bytes.unwrap_or(0)),
        not_sealed: sealed.err().map(|error| error.to_string()),
        huge_bytes: total(own_process, |mapping| mapping.huge_bytes)?,
    })
}

fn total(
    own_process: &OwnProcess,
    bytes: impl Fn(&mappings::Mapping<'_>) -> usize,
) -> io::Result<u64> {
    let smaps = own_process.mappings()?;
    Ok(mappings::parse(&smaps)
        .map(|mapping| bytes(&mapping) as u64)
        .sum())
}
