//! A device and the Losant simulator: whatever goes wrong in between, nothing is lost and nobody is banned.

mod course;
mod pace;
mod random_runs;
