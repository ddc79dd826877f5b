//! The pause between a run and the making of its successor.
//!
//! Forking or tearing down a large process occupies a core for milliseconds, in the kernel. On an
//! otherwise idle host we delay the fork so that the answer is sent and read first: without the
//! pause a tenth of small executions took 3 ms longer. Under load a pause would waste time, so
//! there is none.

use super::ready::Shelf;
use std::time::Duration;
use tokio::time::Instant;

/// How long the pause is. An answer is sent and read within some tenths of it.
const PAUSE: Duration = Duration::from_millis(1);

/// A time in which the tasks of workers order no new sandbox.
#[derive(Debug)]
pub struct Pause {
    until: Option<Instant>,
    /// Sandboxes of each worker that are ready when nothing runs.
    of_each: usize,
}

impl Pause {
    /// For workers of which each keeps so many sandboxes ready.
    pub fn new(of_each: usize) -> Self {
        Self {
            until: None,
            of_each,
        }
    }

    /// A run is over.
    pub fn begin(&mut self, shelf: &Shelf) {
        self.until = shelf
            .lacks_at_most_one(self.of_each)
            .then(|| Instant::now() + PAUSE);
    }

    /// The end of the pause; none if there is no pause now. The pause is over as soon as a second
    /// sandbox is missing.
    pub fn end(&mut self, shelf: &Shelf) -> Option<Instant> {
        let until = self.until.filter(|until| *until > Instant::now());
        self.until = until.filter(|_| shelf.lacks_at_most_one(self.of_each));
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::prepare::make_pipes;
    use crate::pool::ready::{ReadySandbox, SandboxGuard};
    use crate::python_files::PythonFiles;
    use codejail_protocol::control::SandboxId;
    use codejail_protocol::job::Usage;
    use codejail_protocol::spawn::WorkerId;
    use tokio::runtime::Handle;
    use tokio::sync::{mpsc, oneshot};
    use tokio::time::sleep_until;

    /// Two workers with so many ready sandboxes each.
    async fn shelf(of_first: u64, of_second: u64) -> Shelf {
        let shelf = Shelf::default();
        let python = PythonFiles::new("python".into()).settled().await;
        for (worker, count) in [(1, of_first), (2, of_second)] {
            for sandbox in 0..count {
                let (pipes, _) = make_pipes().unwrap();
                let (_, exit) = oneshot::channel();
                let (say, _) = mpsc::unbounded_channel();
                shelf.put(ReadySandbox {
                    pipes,
                    exit,
                    guard: SandboxGuard::new(WorkerId(worker), SandboxId(sandbox), say),
                    python: python.clone(),
                    image: "".into(),
                    used: Usage::default(),
                    remains: None,
                    old_runs: Handle::current(),
                });
            }
        }
        shelf
    }

    #[tokio::test]
    async fn after_the_only_run_there_is_a_rest_that_ends_by_itself() {
        let shelf = shelf(1, 2).await;
        let mut pause = Pause::new(2);
        assert_eq!(pause.end(&shelf), None);
        pause.begin(&shelf);
        let end = pause.end(&shelf).unwrap();
        sleep_until(end).await;
        assert_eq!(pause.end(&shelf), None);
    }

    #[tokio::test]
    async fn there_is_none_while_others_run() {
        let mut pause = Pause::new(2);
        pause.begin(&shelf(1, 1).await);
        assert_eq!(pause.end(&shelf(2, 2).await), None);
    }

    #[tokio::test]
    async fn a_second_run_ends_it() {
        let mut pause = Pause::new(2);
        pause.begin(&shelf(1, 2).await);
        assert_eq!(pause.end(&shelf(1, 1).await), None);
        assert_eq!(pause.end(&shelf(1, 2).await), None);
    }
}
