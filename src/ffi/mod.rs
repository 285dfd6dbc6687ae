//! The C interface: pointers and strings in, status codes out. Checks, converts, calls, maps; the rules live elsewhere.
//!
//! The only module with `unsafe` but for `process`, which asks the kernel. Every exported function enters through
//! `guard` or `guard_or`.

#![allow(clippy::missing_safety_doc, reason = "the comments are for C; each parameter says what may be passed")]

pub(crate) mod guard;
pub(crate) mod handle;
mod text;

// In the order of the header; the blank lines keep it.
mod device;

mod options;

mod limits;

mod run;

mod state;

mod event;

mod observer;

mod global;

mod log;

pub use device::*;
pub use event::*;
pub use global::*;
pub use handle::losant_device;
pub use limits::*;
pub use log::*;
pub use observer::*;
pub use options::*;
pub use run::*;
pub use state::*;

use guard::{guard, guard_or};

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_header_is_what_the_source_gives() {
        let generated = include_str!(env!("LOSANT_GENERATED_HEADER"));
        assert!(include_str!("../../include/losant.h") == generated, "include/losant.h is out of date: build anew");
    }
}
