//! Tests of the probes. Probes are executed against real services, executed in a Python without any
//! confinement, and started by their program `codejail-api-tests`.

mod command_line;
mod every_probe;
mod fake;
mod leftovers;
mod original;
mod runs;
mod sabotage;
mod services;
mod victim;
