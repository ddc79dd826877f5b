//! Runs one of the service's parts TIMES times, and does nothing else, so that callgrind can count
//! the part's instructions.
//!
//!     codejail-bench-parts PART TIMES     (without arguments: lists the parts)

use anyhow::{Context, Result};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut parts = codejail_benches::parts::all();
    let [name, times] = arguments.as_slice() else {
        for part in parts {
            println!("{}", part.name);
        }
        return Ok(());
    };
    let part = parts.iter_mut().find(|part| part.name == name);
    let part = part.with_context(|| format!("no part {name:?}"))?;
    let times = times.parse().context("TIMES")?;
    // The first run may start what later runs only use: the log calibrates a clock.
    (part.run)();
    counted(&mut *part.run, times);
    Ok(())
}

/// Callgrind counts this function alone (`--toggle-collect`), so it must not become a part of its
/// caller.
#[inline(never)]
fn counted(run: &mut dyn FnMut(), times: u32) {
    for _ in 0..times {
        run();
    }
}
