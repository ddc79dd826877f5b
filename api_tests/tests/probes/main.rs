//! The probes themselves: against real services, where nothing confines them, and by their binary.

mod command_line;
mod every_probe;
mod fake;
mod leftovers;
mod original;
mod runs;
mod sabotage;
mod services;
mod victim;
