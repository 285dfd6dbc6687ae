//! How much the outbox keeps, and how fast it lets go of it.

use crate::pacer::Rate;

/// What the outbox keeps and how it lets go of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub states: usize,
    pub bytes: usize,
    /// What to do with a state that finds the outbox full.
    pub when_full: WhenFull,
    /// How many QoS 1 messages may wait for their acknowledgement.
    pub in_flight: usize,
    /// The largest message that several states are merged into, in bytes; 0 is never.
    pub merge: usize,
    /// Whether states outside the platform's schema are refused.
    pub strict: bool,
    pub per_topic: Rate,
    pub per_connection: Rate,
}

/// What happens to a state that finds the outbox full.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(non_camel_case_types, reason = "the C names, so that one search finds every use")]
pub enum WhenFull {
    /// The oldest states make room for it; they are counted, and told by dropped events.
    LOSANT_WHEN_FULL_DROP_OLDEST = 0,
    /// It is not accepted: the call returns LOSANT_ERR_OUTBOX_FULL.
    LOSANT_WHEN_FULL_REFUSE_NEWEST = 1,
}

impl WhenFull {
    /// The policy with this number, if there is one.
    pub fn from_code(code: i32) -> Option<WhenFull> {
        [WhenFull::LOSANT_WHEN_FULL_DROP_OLDEST, WhenFull::LOSANT_WHEN_FULL_REFUSE_NEWEST]
            .into_iter()
            .find(|policy| *policy as i32 == code)
    }
}
