//! Why a user can't reach a file: which directory on the way keeps it out.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Links that are followed one after the other: what the kernel allows.
const LINKS_MAX: usize = 40;

/// The first directory on the way that user `id` may not enter, or the file that they may not
/// execute, with its mode. The user is in group `id` alone. Links are followed, since the user must
/// enter what they lead to. This looks at permission bits alone and knows no access lists. So it
/// may explain a refusal, and must never decide one.
pub fn what_keeps_out(path: &Path, id: u32) -> Option<String> {
    let mut ways = vec![path.to_owned()];
    for _ in 0..LINKS_MAX {
        let way = ways.pop()?;
        let mut passed = PathBuf::new();
        for step in way.components() {
            passed.push(step);
            let found = fs::symlink_metadata(&passed).ok()?;
            if found.is_symlink() {
                let target = fs::read_link(&passed).ok()?;
                let target = passed.parent().unwrap_or(Path::new("/")).join(target);
                let rest = way.strip_prefix(&passed).ok()?;
                ways.push(target.join(rest));
                break;
            }
            if !may_execute(&found, id) {
                let what = if found.is_dir() { "enter" } else { "execute" };
                let mode = found.permissions().mode() & 0o7777;
                return Some(format!(
                    "uid {id} may not {what} {} (mode {mode:04o})",
                    passed.display()
                ));
            }
        }
    }
    None
}

fn may_execute(found: &fs::Metadata, id: u32) -> bool {
    let bit = match () {
        () if found.uid() == id => 0o100,
        () if found.gid() == id => 0o010,
        () => 0o001,
    };
    found.mode() & bit != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_directory_that_is_closed_is_named_behind_links_too() {
        let top = std::env::temp_dir().join(format!("cj-reach-{}", std::process::id()));
        let top = fs::canonicalize(top.parent().unwrap())
            .unwrap()
            .join(top.file_name().unwrap());
        fs::create_dir_all(top.join("open/closed")).unwrap();
        let file = top.join("open/closed/python");
        fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink("open/closed", top.join("link")).unwrap();
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(&top.join("open"), 0o755);
        mode(&top.join("open/closed"), 0o750);
        mode(&file, 0o755);
        mode(&top, 0o755);
        let closed = format!(
            "uid 77 may not enter {} (mode 0750)",
            top.join("open/closed").display()
        );
        for way in [&file, &top.join("link/python")] {
            assert_eq!(what_keeps_out(way, 77).as_deref(), Some(&*closed));
        }
        mode(&top.join("open/closed"), 0o755);
        assert_eq!(what_keeps_out(&file, 77), None);
        mode(&file, 0o644);
        assert!(
            what_keeps_out(&file, 77)
                .unwrap()
                .contains("may not execute")
        );
        fs::remove_dir_all(&top).unwrap();
    }
}
