//! Wall time, monotonic time, and the texts that stand for them.
//!
//! Everything that depends on time takes a [`Now`], so that tests can pass any they like.

mod iso;
mod stamp;
mod text;

pub(crate) use stamp::Stamp;
pub(crate) use text::json_time;
pub use text::parse_time;

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// No state was ever taken before this library was built, so a wall clock that says so is wrong. A day is forgiven to
/// the clock of the machine that built it.
const BUILT_MS: i64 = parse_decimal(env!("LOSANT_BUILT_MS")) - 86_400_000;

/// One reading of both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// For timers and ages.
    pub instant: Instant,
    /// Milliseconds since 1970, for timestamps; wrong on a device whose clock has not been set yet.
    pub wall_ms: i64,
}

impl Now {
    pub fn read() -> Self {
        Now { instant: Instant::now(), wall_ms: wall_ms() }
    }

    /// Whether the wall clock can be right.
    pub fn wall_is_plausible(&self) -> bool {
        self.wall_ms >= BUILT_MS
    }
}

fn wall_ms() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
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
