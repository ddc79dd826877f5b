//! System calls that go on after a kill, and the bounds of their arguments.

use super::kernel::{both, without};
use serde_json::json;

/// Makes calls with arguments over the bounds and within them, and says the error of each. seccomp
/// answers a call over the bound with ENOMEM, as if memory were short.
const CALLS: &str = r"
import ctypes, errno, mmap
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = libc.mremap.restype = ctypes.c_void_p
MIB, GIB, NORESERVE, HUGETLB, FAILED = 1 << 20, 1 << 30, 0x4000, 0x40000, ctypes.c_void_p(-1).value
def place(size, protection=0, more=0):
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NORESERVE | more
    return libc.mmap(None, ctypes.c_size_t(size), protection, flags, -1, ctypes.c_long(0))
def said(result):
    return errno.errorcode.get(ctypes.get_errno(), 'done') if result in (-1, FAILED) else 'done'
def guard(size, advice): return said(libc.madvise(ctypes.c_void_p(place(size)), ctypes.c_size_t(size), advice))
def ask(size):
    pages = place(size >> 12, mmap.PROT_READ | mmap.PROT_WRITE)
    return said(libc.mincore(ctypes.c_void_p(place(size)), ctypes.c_size_t(size), ctypes.c_void_p(pages)))
def move(size):
    sizes = [ctypes.c_size_t(size), ctypes.c_size_t(2 * size)]
    return said(libc.mremap(ctypes.c_void_p(place(size)), *sizes, 1, None))
x = {
    'much': [guard(32 * MIB, 102), guard(32 * MIB, 103), ask(2 * GIB), move(32 * GIB)],
    'little': [guard(MIB, 102), guard(MIB, 103), ask(GIB), move(GIB)],
    'pool': said(place(MIB, more=HUGETLB)),
}
del libc
";

#[test]
fn a_run_makes_no_call_that_goes_on_long_after_a_kill() {
    let service = without(false, "[layers]\nseccomp = 'off'");
    let open = service.value_of_x(CALLS);
    // Kernels before 6.13 have no guards.
    let guards = open["little"][0].clone();
    assert!(guards == "done" || guards == "EINVAL", "{open}");
    assert_eq!(open["much"], json!([guards, guards, "done", "done"]));
    assert_eq!(open["little"], open["much"]);
    // `mincore` tells the owner of a file which of its pages are in memory. Where all runs are one
    // user, no run may call `mincore`.
    for (service, asked) in both("").iter().zip(["done", "EACCES"]) {
        let confined = service.value_of_x(CALLS);
        assert_eq!(
            confined["much"],
            json!(["ENOMEM", "ENOMEM", "ENOMEM", "ENOMEM"])
        );
        assert_eq!(confined["little"], json!([guards, guards, asked, "done"]));
        assert_eq!(confined["pool"], "ENOMEM");
    }
}
