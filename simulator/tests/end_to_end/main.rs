//! The simulator from the outside, over real sockets.

mod client;
mod faults;
mod program;
mod rates;
mod rules;
mod states;
mod transports;
