//! Tests of the probes: against real services, without any confinement, and by their program.

mod command_line;
mod every_probe;
mod fake;
mod leftovers;
mod original;
mod runs;
mod sabotage;
mod services;
mod victim;
