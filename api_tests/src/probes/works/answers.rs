//! Whole answers: the globals that come back, and no other globals.

use crate::probe::{Asked, Expected, Probe};

const fn globals(json: &'static str) -> Expected {
    Expected::Answer {
        globals: json,
        emsg: None,
    }
}

/// The probes of this file.
pub const PROBES: &[Probe] = &[
    Probe::answers(
        "support_globals_in_and_out",
        "Globals go in and come out, whether they are bound anew or changed inside.",
        globals("{\"given\":21,\"out\":42,\"list\":[1,2,3,4]}"),
        Asked::with_globals(
            "{\"given\":21,\"list\":[1,2,3]}",
            "out = given * 2\nlist.append(4)",
        ),
    )
    .original("support_globals_input_output"),
    Probe::answers(
        "support_functions",
        "A function can be defined and called, and is not among the globals that come out.",
        globals("{\"given\":50,\"out\":100}"),
        Asked::with_globals(
            "{\"given\":50}",
            "def double(n):\n    return n * 2\nout = double(given)",
        ),
    )
    .original("support_define_function"),
    Probe::answers(
        "support_leaving_out_what_json_cannot_hold",
        "What JSON can't hold is left out of the answer.",
        globals("{\"two\":\"hi\"}"),
        Asked::with_globals("{}", "one = object(); two = 'hi'"),
    )
    .original("support_selective_serialization"),
];
