//! The service from start to end: configuration, checks, signals, command line.

mod busy_clients;
mod command_line;
mod configuration;
mod end;
mod handover;
mod life;
mod manager;
mod mistakes;
mod odd_signals;
mod passed_sockets;
mod reload;
mod signals;
mod sizes;
mod startup_checks;
mod upgrades;
