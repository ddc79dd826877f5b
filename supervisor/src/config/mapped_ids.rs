//! The uids and gids that exist for this process. In a user namespace these are only those in its
//! maps.

use super::model::Config;
use std::ops::Range;

/// First uids that are tried if the range of the default is not mapped. Kubernetes' pods and
/// rootless engines map the first 65,536 ids. nobody (65534) must not be in the range. Ids that an
/// image uses itself are below 20,000.
pub const BASES: [u32; 3] = [40_000, 20_000, 1_000];
/// The id that the kernel shows for every id without a map. It can be any user.
const OVERFLOW_ID: u64 = 65_534;

/// Ids that are mapped both as uid and as gid: the uid of each worker and sandbox is its gid too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedIds(Vec<Range<u64>>);

impl Default for MappedIds {
    /// All ids.
    fn default() -> Self {
        Self(std::iter::once(0..u64::from(u32::MAX)).collect())
    }
}

impl MappedIds {
    /// The ids of this process. If `/proc` does not say, all ids; the kernel refuses wrong ones
    /// later.
    #[must_use]
    pub fn of_process() -> Self {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}"));
        match (read("uid_map"), read("gid_map")) {
            (Ok(uids), Ok(gids)) => Self::of_maps(&uids, &gids),
            _ => Self::default(),
        }
    }

    /// The ids in the texts of `uid_map` and `gid_map` (user_namespaces(7)).
    #[must_use]
    pub fn of_maps(uids: &str, gids: &str) -> Self {
        let (uids, gids) = (stretches(uids), stretches(gids));
        let common = uids.iter().flat_map(|uid| {
            gids.iter()
                .map(|gid| uid.start.max(gid.start)..uid.end.min(gid.end))
        });
        Self(common.filter(|both| !both.is_empty()).collect())
    }

    /// Whether all of these ids exist.
    #[must_use]
    pub fn hold(&self, range: &Range<u64>) -> bool {
        let whole = |ids: &Range<u64>| ids.start <= range.start && range.end <= ids.end;
        self.0.iter().any(whole) && (self.is_whole() || !range.contains(&OVERFLOW_ID))
    }

    /// Whether every id exists: in no user namespace, or in one that maps all.
    fn is_whole(&self) -> bool {
        *self == Self::default()
    }

    /// The `sandbox.uid_base` of a configuration that has none: the default, or another base whose
    /// whole range exists here. None if there is no such base.
    #[must_use]
    pub fn base_for(&self, config: &Config) -> Option<u32> {
        let default = Config::default().sandbox.uid_base;
        let count = {
            let range = config.uid_range_with_tools();
            range.end - range.start
        };
        let exists = |base: &u32| self.hold(&(u64::from(*base)..u64::from(*base) + count));
        [default].into_iter().chain(BASES).find(exists)
    }
}

/// The ranges of a map: `0 100000 65536` is the ids from 0 to 65535.
fn stretches(map: &str) -> Vec<Range<u64>> {
    let stretch = |line: &str| {
        let mut fields = line.split_whitespace();
        let first: u64 = fields.next()?.parse().ok()?;
        let count: u64 = fields.nth(1)?.parse().ok()?;
        Some(first..first + count)
    };
    map.lines().filter_map(stretch).collect()
}

impl std::fmt::Display for MappedIds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = self
            .0
            .iter()
            .map(|ids| format!("{} to {}", ids.start, ids.end - 1));
        f.write_str(&shown.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "         0          0 4294967295\n";
    const POD: &str = "         0     100000      65536\n";

    fn base(uids: &str, gids: &str, workers: usize) -> Option<u32> {
        let config = Config {
            workers,
            ..Config::default()
        };
        MappedIds::of_maps(uids, gids).base_for(&config)
    }

    #[test]
    fn the_default_stays_where_its_range_exists() {
        assert_eq!(MappedIds::of_maps(HOST, HOST), MappedIds::default());
        assert_eq!(base(HOST, HOST, 2), Some(349_590_000));
    }

    #[test]
    fn a_base_is_found_among_the_ids_of_a_user_namespace() {
        assert_eq!(base(POD, POD, 2), Some(40_000));
        assert_eq!(base(POD, "0 100000 30000", 2), Some(20_000));
        assert_eq!(base("0 1000 1\n1 100000 9999", POD, 2), Some(1_000));
        // A map with root only; and two ranges, both too short.
        assert_eq!(base("0 1000 1", "0 1000 1", 2), None);
        assert_eq!(base("0 1000 1050\n1050 5000 1050", HOST, 2), None);
    }

    #[test]
    fn nobody_is_in_no_range_of_a_user_namespace() {
        let pod = MappedIds::of_maps(POD, POD);
        assert!(pod.hold(&(65_000..65_534)));
        assert!(!pod.hold(&(65_000..65_535)));
        assert!(MappedIds::default().hold(&(65_000..65_535)));
        assert_eq!(pod.to_string(), "0 to 65535");
    }
}
