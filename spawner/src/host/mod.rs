//! What this host gives, found out once: namespaces, cgroups, AppArmor, Python.

pub mod apparmor;
pub mod cgroup;
pub mod namespaces;
pub mod python_paths;
