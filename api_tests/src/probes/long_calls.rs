//! System calls that a kill does not end, since they first walk their whole argument.

use crate::probe::Probe;

/// A part of the group `costs`.
pub const LONG_CALLS: &[Probe] = &[
    Probe::cost(
        "deny_guards_over_a_great_range",
        "A run that puts guards on 128 GiB of addresses at once ends as soon as others.",
        "the kernel fills the page tables of the range, whether the process is to end or not",
        r"
PROT_NONE, RESERVED_NOWHERE, GUARD_INSTALL = 0, 0x4022, 102
size = max(int(128 * scale * (1 << 30)), 32 << 20)
place = outcome(lambda: call('mmap', None, size, PROT_NONE, RESERVED_NOWHERE, -1, 0), ('ENOMEM', 'EACCES'))
x = place if place[0] == 'denied' else outcome(
    lambda: call('madvise', place[1], size, GUARD_INSTALL), ('ENOMEM', 'EACCES'), ('EINVAL',))
",
    ),
    Probe::cost(
        "deny_asking_which_pages_of_a_great_range_are_there",
        "A run that asks which pages of 1 TiB are there ends as soon as others.",
        "the kernel looks at each, whether the process is to end or not",
        r"
PROT_NONE, READ_WRITE, RESERVED_NOWHERE = 0, 3, 0x4022
size = max(int((1 << 40) * scale), 2 << 30)
def ask():
    place = call('mmap', None, size, PROT_NONE, RESERVED_NOWHERE, -1, 0)
    told = call('mmap', None, size >> 12, READ_WRITE, RESERVED_NOWHERE, -1, 0)
    return call('mincore', int(place), size, int(told))
x = outcome(ask, ('ENOMEM', 'EACCES'))
",
    ),
    Probe::cost(
        "deny_moving_a_great_range",
        "A run that moves 256 GiB of addresses by less than a page table's reach ends as soon as others.",
        "the kernel moves each page's entry, whether the process is to end or not",
        r"
PROT_NONE, READ_WRITE, RESERVED_NOWHERE, MAYMOVE_FIXED = 0, 3, 0x4022, 3
size, step = max(int(256 * scale * (1 << 30)), 32 << 30), 2 << 20
def move():
    place = call('mmap', None, size, READ_WRITE, RESERVED_NOWHERE, -1, 0)
    for address in range(int(place), int(place) + size, step):
        ctypes.c_char.from_address(address).value
        if address % (1 << 30) == 0 and spent(0.7): break
    target = call('mmap', None, size + step, PROT_NONE, RESERVED_NOWHERE, -1, 0)
    return call('mremap', int(place), size, size, MAYMOVE_FIXED, int(target) + 4096)
x = outcome(move, ('ENOMEM', 'EACCES'))
",
    ),
];
