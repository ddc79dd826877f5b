//! Bounds on texts in reports. What a library says of its own failure can have any length, and a
//! report that does not fit into a frame can't be sent.

use codejail_protocol::control::{Hello, WorkerReport};

/// Longest text. `python/warm_up/imports.py` has already cut the texts of failed imports.
const CHARACTERS_MAX: usize = 500;

/// Bytes of all failures in one report. Together with the names of libraries (500 of 64 bytes at
/// most, `python/warm_up/libraries.py`) and the layers they take less than a frame.
const FAILURES_BYTES_MAX: usize = 16 * 1024;

/// The failed imports, each with the module's name: as many as a report can hold. The last one says
/// how many are missing.
pub fn bounded(failed: &[(String, String)]) -> Vec<(String, String)> {
    let mut room = FAILURES_BYTES_MAX;
    let mut kept = Vec::new();
    for (index, (module, error)) in failed.iter().enumerate() {
        let (module, error) = (cut(module), cut(error));
        let Some(left) = room.checked_sub(module.len() + error.len()) else {
            let more = failed.len() - index;
            kept.push(("python.preload".to_owned(), format!("{more} more failed")));
            break;
        };
        room = left;
        kept.push((module, error));
    }
    kept
}

/// The beginning of a text.
pub fn cut(text: &str) -> String {
    text.chars().take(CHARACTERS_MAX).collect()
}

/// The same report, with texts that are short enough.
pub fn shortened(report: &WorkerReport) -> WorkerReport {
    match report.clone() {
        WorkerReport::Hello(hello) => WorkerReport::Hello(Hello {
            preload_failed: bounded(&hello.preload_failed),
            libraries: Vec::new(),
            ..hello
        }),
        WorkerReport::StartFailed { error } => WorkerReport::StartFailed { error: cut(&error) },
        WorkerReport::PrepareFailed { sandbox, error } => WorkerReport::PrepareFailed {
            sandbox,
            error: cut(&error),
        },
        fits @ WorkerReport::Exited(_) => fits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use codejail_protocol::frame;

    fn hello(failed: &[(String, String)], libraries: usize) -> WorkerReport {
        WorkerReport::Hello(Hello {
            build: String::new(),
            python: String::new(),
            preload_failed: failed.to_vec(),
            libraries: vec!["x".repeat(64); libraries],
            import_paths: Vec::new(),
            layers: Vec::new(),
            image_bytes: 0,
            memory: codejail_protocol::control::ImageMemory::default(),
        })
    }

    #[test]
    fn the_longest_failures_of_the_most_modules_fit_into_a_frame() {
        let failed = vec![("\u{10ffff}".repeat(70_000), "\u{10ffff}".repeat(70_000)); 300];
        let kept = bounded(&failed);
        assert!(frame::encode(&hello(&kept, 500)).is_ok());
        let (module, error) = kept.last().unwrap();
        assert_eq!(module, "python.preload");
        assert_eq!(*error, format!("{} more failed", 300 - (kept.len() - 1)));
    }

    #[test]
    fn failures_of_a_usual_length_stay_as_they_are() {
        let failed = [("scipy".to_owned(), "ImportError: no".to_owned())];
        assert_eq!(bounded(&failed), failed);
    }

    #[test]
    fn every_report_fits_when_it_is_shortened() {
        let long = "x".repeat(100_000);
        let failed = vec![(long.clone(), long.clone()); 100];
        for report in [
            hello(&failed, 2000),
            WorkerReport::StartFailed {
                error: long.clone(),
            },
            WorkerReport::PrepareFailed {
                sandbox: codejail_protocol::control::SandboxId(1),
                error: long.clone(),
            },
        ] {
            assert!(frame::encode(&report).is_err());
            assert!(frame::encode(&shortened(&report)).is_ok());
        }
    }
}
