//! What a reload may change.

use super::model::Config;

impl Config {
    /// This configuration, but with what can't be changed while a service runs as in `started`; and
    /// the keys that were therefore kept. Ports, users, uids, layers, and what the spawner was told are
    /// fixed when a service starts.
    #[must_use]
    pub fn keeping_what_is_fixed(mut self, started: &Self) -> (Self, Vec<&'static str>) {
        let mut kept = Vec::new();
        macro_rules! keep {
            ($($($name:ident).+),* $(,)?) => {$(
                if self.$($name).+ != started.$($name).+ {
                    kept.push(stringify!($($name).+));
                    self.$($name).+ = started.$($name).+.clone();
                }
            )*};
        }
        keep!(
            bind,
            user,
            sandboxes_per_worker,
            connections_max,
            python.bin,
            python.read_paths,
            python.worker_module,
            python.env,
            python.hash_seed,
            sandbox.uid_base,
            sandbox.scratch_dir,
            layers.uid,
            layers.namespaces,
            layers.landlock,
        );
        if self.workers > started.workers_max() {
            kept.push("workers");
            self.workers = started.workers_max();
        }
        (self, kept)
    }
}
