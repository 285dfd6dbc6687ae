//! Drives the library as its users do: C programs, linked to the real libraries, talk to a real broker, and an observer
//! that knows nothing of the library tells what arrived. The programs are in `c/`, what the tests share in `support/`.

mod alive;
mod attempts;
mod bounded;
mod closing;
mod commands;
mod delivery;
mod events;
mod forks;
mod guest;
mod handshakes;
mod header;
mod layers;
mod losses;
mod observers;
mod offline;
mod reporting;
mod secrets;
mod stress;
mod support;
mod symbols;
mod transports;
mod trust;
