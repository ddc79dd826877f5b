//! How much of the kernel's memory one run can take. No limit of a process counts it; only a memory
//! cgroup does.

use std::fs;

/// Bytes of one epoll watch: 1.5 million took 330 MB (Linux 6.18, 64 bits).
const WATCH_BYTES: u64 = 220;
/// Bytes of a page.
const PAGE_BYTES: u64 = 4096;

/// The bounds that the host sets.
struct Host {
    /// Bytes of a socket's send buffer, socket(7). A run can't change its size (decision 14).
    wmem_default: u64,
    /// Most pages in the pipes of one user, pipe(7). Beyond it, new pipes are small.
    pipe_pages: u64,
    /// Most epoll watches of one user, epoll(7).
    watches: u64,
}

/// The memory that a run with so many descriptors can take, by kind. None if this host does not
/// tell its bounds.
#[must_use]
pub fn unbounded(descriptors: u64) -> Option<String> {
    let host = Host {
        wmem_default: setting("net/core/wmem_default")?,
        pipe_pages: setting("fs/pipe-user-pages-soft")?,
        watches: setting("fs/epoll/max_user_watches")?,
    };
    Some(of_host(descriptors, &host))
}

fn of_host(descriptors: u64, host: &Host) -> String {
    // What is on its way may be as much as the buffer, and one message more, which is no larger.
    let sockets = descriptors
        .saturating_mul(2)
        .saturating_mul(host.wmem_default);
    let pipes = host.pipe_pages.saturating_mul(PAGE_BYTES);
    // A watch is of a file under a number, and stays when the number is given to another file. A
    // third of the descriptors are epoll instances, a third are files, and a third are numbers.
    let watches = (descriptors / 3).saturating_pow(3).min(host.watches);
    let watches = watches.saturating_mul(WATCH_BYTES);
    let all = sockets.saturating_add(pipes).saturating_add(watches);
    format!(
        "one run can take {all} bytes of the kernel's memory, which only a memory cgroup would count: \
         {sockets} in buffers of sockets (NOFILE {descriptors}, net.core.wmem_default), {pipes} in pipes \
         (fs.pipe-user-pages-soft), {watches} in epoll watches (NOFILE, \
         fs.epoll.max_user_watches); and names of files that it looks for and that do not exist, \
         which the kernel drops when memory is short"
    )
}

/// A number below /proc/sys.
fn setting(name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/sys/{name}")).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_said_in_bytes_with_the_limit_that_bounds_it() {
        let host = Host {
            wmem_default: 212_992,
            pipe_pages: 16384,
            watches: 5_000_000,
        };
        let said = of_host(256, &host);
        for part in [
            "one run can take 311268268 bytes",
            "109051904 in buffers of sockets (NOFILE 256",
            "67108864 in pipes",
            "135107500 in epoll watches",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let few = Host {
            watches: 50_000,
            ..host
        };
        assert!(of_host(256, &few).contains("11000000 in epoll watches"));
        assert!(unbounded(1).is_some_and(|said| said.contains("NOFILE 1,")));
    }
}
