use super::*;
use std::fs;
use std::sync::atomic::AtomicUsize;

/// A standard library, and a directory with an installed distribution. Both are in a directory of
/// the test.
struct Tree(PathBuf);

impl Tree {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("cj-python-files-{}-{number}", std::process::id());
        let tree = Self(std::env::temp_dir().join(name));
        for dir in ["bin", "lib/json", "site-packages/dist.dist-info"] {
            fs::create_dir_all(tree.0.join(dir)).unwrap();
        }
        for file in ["bin/python", "lib/csv.py", "lib/json/__init__.py"] {
            tree.write(file, "old");
        }
        tree.write("site-packages/dist.dist-info/RECORD", "old");
        tree
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.0.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn replace(&self, file: &str, text: &str) {
        self.write("new", text);
        fs::rename(self.0.join("new"), self.0.join(file)).unwrap();
    }

    fn libraries(&self) -> [PathBuf; 2] {
        ["lib", "site-packages"].map(|name| self.0.join(name))
    }

    fn places(&self) -> Places {
        Places {
            program: self.0.join("bin/python"),
            libraries: self.libraries().to_vec(),
        }
    }

    /// Watches the files, for a worker that was started when they were as they are now.
    async fn watched(&self) -> Arc<PythonFiles> {
        let files = PythonFiles::new(self.0.join("bin/python"));
        let nowhere = Path::new("/nonexistent");
        let started = SystemTime::now() + Duration::from_secs(1);
        files.look_at(&self.libraries(), nowhere, started);
        tokio::spawn(Arc::clone(&files).keep_watch());
        while files.watched.lock().is_none() {
            sleep(Duration::from_millis(1)).await;
        }
        files
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn a_fingerprint_is_of_every_file_that_counts_and_of_no_other() {
    let tree = Tree::new();
    let mut before = Fingerprint::take(&tree.places());
    assert_eq!(Fingerprint::take(&tree.places()), before);
    for file in [
        "bin/python",
        "lib/csv.py",
        "lib/json/__init__.py",
        "site-packages/dist.dist-info/RECORD",
    ] {
        tree.replace(file, "new");
        let after = Fingerprint::take(&tree.places());
        assert_ne!(after, before, "{file}");
        before = after;
    }
    // If a module of a distribution changes, its RECORD changes too.
    for file in [
        "lib/__pycache__/csv.pyc",
        "site-packages/dist.dist-info/x",
        "bin/other",
    ] {
        tree.write(file, "new");
        assert_eq!(Fingerprint::take(&tree.places()), before, "{file}");
    }
    assert!(before.is_newer_than(SystemTime::now() - Duration::from_secs(5)));
    assert!(!before.is_newer_than(SystemTime::now() + Duration::from_secs(5)));
}

#[tokio::test]
async fn each_change_of_code_is_there_at_once_and_no_other_file_counts() {
    let tree = Tree::new();
    let files = tree.watched().await;
    let version = files.settled().await;
    for file in [
        "site-packages/data.json",
        "lib/__pycache__/csv.pyc",
        "lib/csv.py.new",
        "bin/other",
    ] {
        tree.write(file, "text");
        assert!(version.is_current(), "{file}");
    }
    type Change = fn(&Tree);
    let changes: [Change; 7] = [
        |tree| tree.write("lib/csv.py", "longer"),
        |tree| tree.replace("lib/csv.py", "other"),
        |tree| tree.replace("bin/python", "other"),
        |tree| tree.write("site-packages/new_package/__init__.py", ""),
        |tree| tree.write("site-packages/new_package/module.py", ""),
        |tree| fs::remove_file(tree.0.join("lib/json/__init__.py")).unwrap(),
        |tree| fs::rename(tree.0.join("lib/json"), tree.0.join("lib/nosj")).unwrap(),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let version = files.settled().await;
        assert!(version.is_current(), "{number}");
        change(&tree);
        assert!(!version.is_current(), "{number}");
        version.changed().await;
    }
}

#[tokio::test]
async fn it_is_settled_when_nothing_has_changed_for_a_while() {
    let tree = Tree::new();
    let files = tree.watched().await;
    let version = files.settled().await;
    let mut last = Instant::now();
    for number in 0..10 {
        tree.write(&format!("lib/package{number}/module.py"), "");
        last = Instant::now();
        sleep(SETTLED_AFTER / 4).await;
    }
    version.changed().await;
    let next = files.settled().await;
    assert!(last.elapsed() >= SETTLED_AFTER);
    assert_eq!(next.number, version.number + 1, "all of it is one change");
    assert!(next.is_current());
}

#[tokio::test]
async fn what_never_settles_is_not_waited_for_and_counts_once_it_does() {
    let tree = Tree::new();
    let files = tree.watched().await;
    let before = files.settled().await;
    let settled = async {
        before.changed().await;
        files.settled().await
    };
    let writing = async {
        loop {
            tree.write("lib/csv.py", "again");
            sleep(SETTLED_AFTER / 10).await;
        }
    };
    let meanwhile = tokio::select! {
        version = settled => version,
        never = writing => never,
    };
    assert!(meanwhile.is_current());
    meanwhile.changed().await;
    let last = files.settled().await;
    assert_eq!(last.number, meanwhile.number + 1);
}

#[tokio::test]
async fn a_change_that_the_kernel_does_not_tell_of_is_found_by_looking() {
    let tree = Tree::new();
    let files = tree.watched().await;
    let version = files.settled().await;
    *files.watched.lock() = None;
    tree.replace("lib/csv.py", "other");
    assert!(version.is_current());
    timeout(20 * LOOK_EVERY, version.changed()).await.unwrap();
}

#[tokio::test]
async fn a_change_while_the_first_worker_starts_is_found_when_it_has() {
    let tree = Tree::new();
    let files = PythonFiles::new(tree.0.join("bin/python"));
    let version = files.settled().await;
    let started = SystemTime::now();
    sleep(2 * TICK).await;
    tree.replace("lib/csv.py", "other");
    files.look_at(&tree.libraries(), Path::new("/nonexistent"), started);
    tokio::spawn(Arc::clone(&files).keep_watch());
    timeout(20 * LOOK_EVERY, version.changed()).await.unwrap();
}
