use super::*;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::{self, File};
use std::path::Path;

/// A cleaner in a directory of its own, and the supervisor's end of its socket.
struct Tried {
    cleaner: Cleaner,
    supervisor: PacketSocket,
    root: PathBuf,
    queue: Receiver<Task>,
}

fn name(number: usize) -> ScratchName {
    // There are 37 characters.
    let digit = |power: u32| u8::try_from(number / 37_usize.pow(power) % 37).unwrap();
    ScratchName::from_random([1, 2, 3, 4, digit(3), digit(2), digit(1), digit(0)])
}

impl Tried {
    fn start(test: &str, threads: usize) -> Self {
        let root = std::env::temp_dir().join(format!("cj-cleaner-{test}-{}", std::process::id()));
        fs::create_dir(&root).unwrap();
        let (ours, supervisor) = PacketSocket::pair().unwrap();
        let (tag, owners) = (name(0), Owners(0..0));
        let (tasks, queue) = bounded(QUEUE_LENGTH_MAX);
        let ours = Arc::new(ours);
        let mut cleaner = Cleaner::new(root.clone(), &tag, owners, ours, tasks).unwrap();
        for _ in 0..threads {
            cleaner.start_thread(queue.clone()).unwrap();
        }
        Self {
            cleaner,
            supervisor,
            root,
            queue,
        }
    }

    fn make(&self, number: usize, files: usize) -> PathBuf {
        let dir = self.root.join(name(number).as_str());
        fs::create_dir(&dir).unwrap();
        for file in 0..files {
            File::create(dir.join(file.to_string())).unwrap();
        }
        dir
    }

    fn seat(&self, number: usize, files: usize) -> Arc<OwnedFd> {
        Arc::new(File::open(self.make(number, files)).unwrap().into())
    }

    /// The next report to the supervisor; none if no report is there now.
    fn hear_now(&self) -> Option<SpawnerReport> {
        let mut polled = [PollFd::new(self.supervisor.as_fd(), PollFlags::POLLIN)];
        (poll(&mut polled, PollTimeout::ZERO) == Ok(1)).then(|| self.hear())
    }

    fn hear(&self) -> SpawnerReport {
        self.supervisor.receive().unwrap().unwrap()
    }

    fn finish(self) {
        // Nobody listens any more. The threads must not wait for a listener.
        drop((self.supervisor, self.queue));
        self.cleaner.finish(&name(0));
        assert_eq!(entries(&self.root), 0);
        fs::remove_dir(self.root).unwrap();
    }
}

fn entries(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

fn cleaned(number: usize) -> SpawnerReport {
    SpawnerReport::Cleaned {
        dir: name(number),
        error: None,
        bytes: None,
    }
}

#[test]
fn nobody_waits_for_the_threads_and_a_full_queue_holds_reports_back() {
    let tried = Tried::start("queue", 0);
    let clean = |number| {
        tried.make(number, 0);
        tried.cleaner.clean(name(number)).unwrap();
        assert!(!tried.root.join(name(number).as_str()).exists());
        tried.hear_now()
    };
    for number in 1..=QUEUE_LENGTH_EASY {
        assert_eq!(clean(number), Some(cleaned(number)));
    }
    for number in QUEUE_LENGTH_EASY + 1..=QUEUE_LENGTH_MAX {
        assert_eq!(clean(number), None, "{number}");
    }
    let Some(SpawnerReport::Cleaned { error, .. }) = clean(QUEUE_LENGTH_MAX + 1) else {
        panic!("not told");
    };
    assert_eq!(error.as_deref(), Some(TOO_MUCH));
    tried.finish();
}

#[test]
fn a_report_that_was_held_back_comes_when_the_removal_begins() {
    let tried = Tried::start("late", 1);
    tried.make(1, 3);
    let (dir, trash) = (name(1), tried.root.join(name(0).as_str()));
    assert_eq!(tried.cleaner.take_away(&dir), Ok(true));
    let task = Task::Remove {
        dir: dir.clone(),
        report_first: true,
    };
    assert!(tried.cleaner.give(task));
    assert_eq!(tried.hear(), cleaned(1));
    let error = None;
    assert_eq!(tried.hear(), SpawnerReport::Removed { dir, error });
    // The only entry is the mark of a living service.
    assert_eq!(entries(&trash), 1);
    tried.finish();
}

#[test]
fn a_full_seat_delays_no_other() {
    let tried = Tried::start("seats", THREADS);
    let full = tried.seat(1, 20_000);
    let others: Vec<_> = (2..10).map(|number| tried.seat(number, 1)).collect();
    tried.cleaner.empty(name(1), full).unwrap();
    for (seat, number) in others.into_iter().zip(2..) {
        tried.cleaner.empty(name(number), seat).unwrap();
    }
    let mut heard: Vec<_> = (1..10).map(|_| tried.hear()).collect();
    let Some(SpawnerReport::Cleaned { dir, error, bytes }) = heard.pop() else {
        panic!("not cleaned");
    };
    assert_eq!((dir, error), (name(1), None));
    // The number is about the whole file system, which in this test is not the seat's own.
    assert!(bytes.is_some());
    tried.finish();
}

#[test]
fn a_file_and_a_link_of_a_services_name_are_left_alone() {
    let tried = Tried::start("kinds", 1);
    let elsewhere = tried.root.join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let (file, link) = (name(1), name(2));
    fs::write(tried.root.join(file.as_str()), "").unwrap();
    std::os::unix::fs::symlink(&elsewhere, tried.root.join(link.as_str())).unwrap();
    for dir in [file, link] {
        tried.cleaner.clean(dir.clone()).unwrap();
        let report = tried.hear();
        assert!(
            matches!(&report, SpawnerReport::Cleaned { error: Some(error), .. }
                if error.contains("ENOTDIR")),
            "{report:?}"
        );
        let path = tried.root.join(dir.as_str());
        assert!(path.symlink_metadata().is_ok());
        fs::remove_file(path).unwrap();
    }
    fs::remove_dir(elsewhere).unwrap();
    tried.finish();
}
