//! From start to end: configuration, checks, signals, command line.

mod command_line;
mod configuration;
mod end;
mod life;
mod mistakes;
mod odd_signals;
mod reload;
mod signals;
mod startup_checks;
mod upgrades;
