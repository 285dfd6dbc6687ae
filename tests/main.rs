//! Drives the library as its users do: C programs, linked to the real libraries, talk to a real broker, and an observer
//! that knows nothing of the library tells what arrived. What is where: README.md.

mod abi;
mod alive;
mod attempts;
mod bounded;
mod closing;
mod commands;
mod contract;
mod delivery;
mod events;
mod forks;
mod guest;
mod handshakes;
mod header;
mod hosts;
mod installing;
mod layers;
mod losses;
mod observers;
mod offline;
mod pages;
mod reporting;
mod secrets;
mod snippets;
mod stress;
mod support;
mod symbols;
mod transports;
mod trust;
