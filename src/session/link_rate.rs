//! How fast the link carries what is sent, and how large a message may be for it.

use std::time::{Duration, Instant};

/// Less than this tells of the way's delay, not of its rate.
const SAMPLE: u64 = 4 * 1024;

/// A message costs one of few, however small it is.
const SMALLEST_BATCH: usize = 4 * 1024;

#[derive(Debug, Default)]
pub(crate) struct LinkRate {
    /// Bytes per second.
    rate: Option<u64>,
    /// Positions in all that was sent: its end, and up to where it has arrived.
    sent: u64,
    arrived: u64,
    /// Since when there has been something under way, and up to where everything had arrived then.
    since: Option<(Instant, u64)>,
}

impl LinkRate {
    /// Something goes out, after which so many bytes have been sent in all.
    pub fn sent(&mut self, total: u64, now: Instant) {
        self.since.get_or_insert((now, self.arrived));
        self.sent = total;
    }

    /// All up to this byte has arrived.
    pub fn arrived(&mut self, total: u64, now: Instant) {
        self.arrived = self.arrived.max(total);
        let Some((since, base)) = self.since else { return };
        let bytes = self.arrived.saturating_sub(base);
        if bytes >= SAMPLE {
            let ms = u64::try_from(now.saturating_duration_since(since).as_millis()).unwrap_or(u64::MAX).max(1);
            let seen = bytes.saturating_mul(1000) / ms;
            // A link that has become slow is believed at once, one that has become fast by and by.
            self.rate = Some(self.rate.map_or(seen, |rate| seen.min(rate / 2 + seen / 2)));
            self.since = Some((now, self.arrived));
        }
        if self.arrived >= self.sent {
            self.since = None;
        }
    }

    /// How large a message may be to take a third of the keep-alive period at most; `None` while nothing is known.
    pub fn batch_limit(&self, keep_alive: Duration) -> Option<usize> {
        let ms = u64::try_from(keep_alive.as_millis()).unwrap_or(u64::MAX);
        let limit = self.rate?.saturating_mul(ms) / 3000;
        Some(usize::try_from(limit).unwrap_or(usize::MAX).max(SMALLEST_BATCH))
    }
}
