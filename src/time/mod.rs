//! Wall time, monotonic time, and the texts that stand for them.
//!
//! Everything that depends on time takes a [`Now`], so that tests can pass any they like.

mod iso;
mod judge;
mod stamp;
mod text;

pub(crate) use judge::check_time;
pub(crate) use stamp::Stamp;
pub(crate) use text::json_time;
pub use text::parse_time;

use nix::time::{ClockId, clock_gettime};
use std::time::Instant;

/// No state was ever taken before this library was built, so a wall clock that says so is wrong. A day is forgiven to
/// the clock of the machine that built it.
const BUILT_MS: i64 = parse_decimal(env!("LOSANT_BUILT_MS")) - 86_400_000;

/// One reading of all clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// For timers.
    pub instant: Instant,
    /// Microseconds since boot, suspend included, for the ages of states.
    pub boot_us: i64,
    /// Microseconds since 1970; wrong on a device whose clock has not been set yet.
    pub wall_us: i64,
}

impl Now {
    /// Read one after the other, so that a thread that is held up in between sees them apart: enough where nothing is
    /// computed of two of them.
    pub fn read() -> Self {
        let boot_us = read_us(ClockId::CLOCK_BOOTTIME);
        // After the time since boot: what is computed of both is never before the call.
        Now { instant: Instant::now(), boot_us, wall_us: read_us(ClockId::CLOCK_REALTIME) }
    }

    /// Read as good as at once.
    pub fn read_together() -> Self {
        let mut now = Now::read();
        for _ in 0..MOST_READINGS {
            if read_us(ClockId::CLOCK_BOOTTIME).saturating_sub(now.boot_us) <= APART_US {
                break;
            }
            now = Now::read();
        }
        now
    }

    /// The moment at which the clocks say so.
    #[cfg(test)]
    pub fn at(wall_ms: i64, boot_ms: i64) -> Self {
        Now { instant: Instant::now(), boot_us: boot_ms * 1000, wall_us: wall_ms * 1000 }
    }

    /// Milliseconds since 1970, for timestamps.
    pub fn wall_ms(&self) -> i64 {
        self.wall_us / 1000
    }

    /// Whether the wall clock can be right.
    pub fn wall_is_plausible(&self) -> bool {
        self.wall_ms() >= BUILT_MS
    }
}

/// Clocks that were read within this time were read at once.
const APART_US: i64 = 300;

/// On a machine that is so busy, nothing better is to be had.
const MOST_READINGS: usize = 8;

/// What a clock says, in microseconds.
fn read_us(clock: ClockId) -> i64 {
    match clock_gettime(clock) {
        Ok(time) => time.tv_sec().saturating_mul(1_000_000).saturating_add(time.tv_nsec() / 1000),
        // Every Linux since 2.6.39 has both.
        Err(_) => 0,
    }
}

const fn parse_decimal(text: &str) -> i64 {
    let bytes = text.as_bytes();
    let mut value = 0;
    let mut i = 0;
    while i < bytes.len() {
        value = value * 10 + (bytes[i] - b'0') as i64;
        i += 1;
    }
    value
}
