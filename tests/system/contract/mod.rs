//! What clients rely on: requests, answers, limits, waiting.

mod bodies;
mod executions;
mod hash_seed;
mod http;
mod limits;
mod loading;
mod peers;
mod queue;
mod requests;
mod slow_clients;
mod surroundings;
mod trickling;
mod values;
