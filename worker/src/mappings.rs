//! The mappings of this process, as `smaps` of proc(5) lists them. This file changes none of them.

use std::ops::Range;

/// One mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping<'a> {
    /// Its first address.
    pub start: usize,
    /// The address after its last.
    pub end: usize,
    /// `r`, `w`, `x` or `-` in their places, then `p` if what this process writes is seen by this
    /// process only.
    pub permissions: &'a str,
    /// Where in its file it begins, in bytes.
    pub offset: usize,
    /// The device of its file, as the kernel writes it.
    pub device: &'a str,
    /// The file's inode; 0 where no file is mapped.
    pub inode: u64,
    /// A path, or a name in brackets, or nothing.
    pub name: &'a str,
    /// Bytes that are in memory now.
    pub resident_bytes: usize,
    /// The part of them that no file holds.
    pub anonymous_bytes: usize,
    /// The part of those that lies in huge pages.
    pub huge_bytes: usize,
    /// `VmFlags`: two letters each.
    pub flags: &'a str,
}

impl Mapping<'_> {
    /// Its addresses.
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Whether this process may write to it, and no other process sees what it writes.
    pub fn is_private_writable(&self) -> bool {
        self.permissions == "rw-p"
    }

    /// Whether it is the main thread's stack, which grows, or a mapping that the kernel makes
    /// itself.
    pub fn is_the_kernels(&self) -> bool {
        self.name.starts_with("[stack") || self.name.starts_with("[v")
    }
}

/// Reads all mappings, one after the other, without allocating memory.
pub fn parse(smaps: &str) -> impl Iterator<Item = Mapping<'_>> {
    let mut lines = smaps.lines().peekable();
    std::iter::from_fn(move || {
        let mut mapping = loop {
            if let Some(mapping) = heading(lines.next()?) {
                break mapping;
            }
        };
        while let Some(line) = lines.next_if(|line| heading(line).is_none()) {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            match name {
                "Rss" => mapping.resident_bytes = bytes(value),
                "Anonymous" => mapping.anonymous_bytes = bytes(value),
                "AnonHugePages" => mapping.huge_bytes = bytes(value),
                "VmFlags" => mapping.flags = value.trim(),
                _ => {}
            }
        }
        Some(mapping)
    })
}

/// `START-END PERMISSIONS OFFSET DEVICE INODE NAME`, numbers but the inode in hexadecimal.
fn heading(line: &str) -> Option<Mapping<'_>> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let mut words = rest.splitn(5, ' ');
    Some(Mapping {
        start: hexadecimal(start)?,
        end: hexadecimal(end)?,
        permissions: words.next()?,
        offset: hexadecimal(words.next()?)?,
        device: words.next()?,
        inode: words.next()?.parse().ok()?,
        name: words.next().unwrap_or_default().trim(),
        resident_bytes: 0,
        anonymous_bytes: 0,
        huge_bytes: 0,
        flags: "",
    })
}

fn hexadecimal(text: &str) -> Option<usize> {
    usize::from_str_radix(text, 16).ok()
}

/// ` 12 kB`; any other text counts as nothing.
fn bytes(value: &str) -> usize {
    let kib = value.trim().strip_suffix(" kB");
    kib.and_then(|kib| kib.parse::<usize>().ok()).unwrap_or(0) << 10
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub const SMAPS: &str = "\
55d0c0a00000-55d0c0e00000 rw-p 00000000 00:00 0                          [heap]
Size:               4096 kB
Rss:                3004 kB
Anonymous:          3000 kB
AnonHugePages:      2048 kB
VmFlags: rd wr mr mw me ac sd
7f1200000000-7f1200400000 rw-p 00001000 fe:00 1234                       /usr/lib/a name.so
Anonymous:             8 kB
AnonHugePages:         0 kB
7f1300000000-7f1300400000 r--p 00000000 00:00 0
7f1400000000-7f1400400000 rw-p 00000000 00:00 0
Anonymous:            16 kB
7ffc00000000-7ffc00400000 rw-p 00000000 00:00 0                          [stack]
";

    #[test]
    fn a_mapping_is_what_the_kernel_says_of_it() {
        let all: Vec<_> = parse(SMAPS).collect();
        assert_eq!(all.len(), 5);
        let heap = Mapping {
            start: 0x55d0_c0a0_0000,
            end: 0x55d0_c0e0_0000,
            permissions: "rw-p",
            offset: 0,
            device: "00:00",
            inode: 0,
            name: "[heap]",
            resident_bytes: 3004 << 10,
            anonymous_bytes: 3000 << 10,
            huge_bytes: 2048 << 10,
            flags: "rd wr mr mw me ac sd",
        };
        assert_eq!(all[0], heap);
        let of_file = (all[1].offset, all[1].device, all[1].inode, all[1].name);
        assert_eq!(of_file, (0x1000, "fe:00", 1234, "/usr/lib/a name.so"));
        assert!(all[4].is_the_kernels() && !all[0].is_the_kernels());
        assert!(parse("").next().is_none());
    }
}
