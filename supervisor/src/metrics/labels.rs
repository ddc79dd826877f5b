//! The values of labels that come from lists in the code. No request can add one.

/// A list of label values, as an enum whose order is the list's.
macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// All values, in the order of the enum.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The value's text in metrics and in the log.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

labels! {
    /// How an execution ended.
    End {
        /// It came to its end, and its globals are the answer.
        Success = "success",
        /// An exception that the code did not catch.
        Exception = "exception",
        /// It ended itself, with a status or without a result.
        Exit = "exit",
        /// It reached the CPU limit.
        Cpu = "cpu",
        /// It reached the limit on time by the wall clock.
        Wall = "wall",
        /// It reached the limit on memory.
        Memory = "memory",
        /// Its standard output is not an answer, or is too long for one.
        Output = "output",
        /// A signal killed it, or its client hung up.
        Killed = "killed",
        /// The service had a fault.
        Fault = "fault",
    }
}

labels! {
    /// A limit, by the name of its key.
    Limit {
        /// `limits.CPU`
        Cpu = "CPU",
        /// `limits.REALTIME`
        Realtime = "REALTIME",
        /// `limits.VMEM`
        Vmem = "VMEM",
        /// `limits.FSIZE`
        Fsize = "FSIZE",
        /// `limits.NPROC`
        Nproc = "NPROC",
        /// `scratch_bytes_max` or `scratch_files_max`
        Scratch = "scratch",
        /// `reply_bytes_max`
        Reply = "reply_bytes_max",
    }
}

labels! {
    /// Why a request was refused with 503.
    Refusal {
        /// `queue_length_max`
        QueueFull = "queue_full",
        /// `queue_wait_max_ms`
        WaitedTooLong = "waited_too_long",
        /// `bodies_bytes_max`
        NoRoom = "no_room",
    }
}

labels! {
    /// The result of a worker's start.
    Start {
        /// It serves.
        Served = "served",
        /// It could not be started.
        Failed = "failed",
        /// It failed a safety check.
        Unsafe = "unsafe",
        /// Python's files changed during the start.
        Outdated = "outdated",
    }
}

labels! {
    /// Why a worker that has served no longer serves.
    Recycle {
        /// `max_requests`
        MaxRequests = "max_requests",
        /// `HUP`
        Reload = "reload",
        /// Python's files have changed.
        Python = "python",
        /// Fewer workers are wanted, or none since the service ends.
        Stopped = "stopped",
        /// It is lost.
        Lost = "lost",
    }
}

labels! {
    /// The list of networks that an address is not in.
    PeerList {
        /// Executions.
        Api = "peers.api",
        /// Metrics, and pages for people.
        Metrics = "peers.metrics",
    }
}

labels! {
    /// The state of a worker.
    WorkerState {
        /// It is launched, warms up, and is checked.
        Starting = "starting",
        /// It has passed its checks, and requests get its sandboxes.
        Serving = "serving",
        /// It finishes its executions, and then ends.
        Draining = "draining",
    }
}

/// `codejail.exec.status`: the original's words, and words of our own where the original has none.
pub const STATUSES: &[&str] = &[
    "executed.success",
    "executed.error",
    "executed.abandoned",
    "disabled.feature_switch",
    "disabled.safety_checks_failed",
    "invalid.payload.missing",
    "invalid.payload.bad_json",
    "invalid.payload.schema_mismatch",
    "invalid.python_path",
    "invalid.files",
    "invalid.unsafely",
    "invalid.media_type",
    "invalid.too_large",
    "invalid.too_slow",
    "invalid.body",
    "refused.busy",
    "refused.no_room",
];
