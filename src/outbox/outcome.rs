//! What became of states, until their observers have been told.

use std::collections::VecDeque;

/// How a state ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Delivered,
    /// Pushed out by newer ones.
    Dropped,
    /// Given up: the connection ends whenever it is sent.
    Undeliverable,
    /// Given up: the platform ignores states of its time.
    OutOfTime,
}

/// States with neighbouring ids that ended alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub first: u64,
    pub last: u64,
    pub verdict: Verdict,
}

/// Verdicts in the order in which they fell. Neighbours share one entry, so a device that drops states for a year with
/// nobody turning its loop needs no more memory for it.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    queue: VecDeque<Outcome>,
    /// Whether there is anyone to tell.
    pub wanted: bool,
    /// Whether some were taken that are not told yet.
    pub telling: bool,
}

impl Outcomes {
    pub fn add(&mut self, id: u64, verdict: Verdict) {
        if !self.wanted {
            return;
        }
        match self.queue.back_mut() {
            Some(last) if last.verdict == verdict && last.last + 1 == id => last.last = id,
            _ => self.queue.push_back(Outcome { first: id, last: id, verdict }),
        }
    }

    pub fn take(&mut self) -> VecDeque<Outcome> {
        self.telling |= !self.queue.is_empty();
        std::mem::take(&mut self.queue)
    }

    pub fn are_untold(&self) -> bool {
        self.telling || !self.queue.is_empty()
    }
}
