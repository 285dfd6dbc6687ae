//! What a device has done so far.

use crate::{
    status::Status,
    sync::{Rank, Ranked},
};
use std::time::{Duration, Instant};

/// How far the connection is.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(non_camel_case_types, reason = "the C names, so that one search finds every use")]
pub enum ConnectionState {
    /// Not connecting or connected: not begun yet, closed, or ended for the reason in the close event.
    LOSANT_CONNECTION_CLOSED = 0,
    /// On the way: from looking up the host name to the broker's answer to the subscription.
    LOSANT_CONNECTION_CONNECTING = 1,
    /// States and commands flow.
    LOSANT_CONNECTION_CONNECTED = 2,
    /// Lost or failed, and waiting for the next attempt.
    LOSANT_CONNECTION_WAITING = 3,
}

/// One snapshot of what a device has done since it was made; all of it was true at one moment. accepted = delivered +
/// dropped, by whatever cause, + queued. Later versions may add members at the end.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// The size that losant_device_stats has filled, in bytes.
    pub size: u32,
    /// A losant_connection_state.
    pub connection_state: i32,
    /// For how long the connection has been in that state, in milliseconds; the system's clock does not matter.
    pub connection_state_ms: u64,
    /// Attempts to connect.
    pub attempts: u64,
    /// Connections that became complete.
    pub connects: u64,
    /// Error events, whether anybody observed them or not.
    pub errors: u64,
    /// The losant_status of the last of them; LOSANT_OK if there was none.
    pub last_error: i32,
    /// 0; room for a later version.
    pub reserved: u32,
    /// States accepted by losant_device_send_state and losant_device_send.
    pub accepted: u64,
    /// States written to a connection, those written again included.
    pub sent: u64,
    /// States written again, because a connection was lost before the broker acknowledged them.
    pub resent: u64,
    /// States acknowledged by the broker (QoS 1) or wholly written (QoS 0).
    pub delivered: u64,
    /// Accepted states that had to make room for newer ones, because the outbox was full.
    pub dropped_outbox_full: u64,
    /// States not accepted, because the outbox was full and was told to refuse the newest (LOSANT_ERR_OUTBOX_FULL).
    pub refused_outbox_full: u64,
    /// States not accepted after losant_device_drain (LOSANT_ERR_CLOSING).
    pub refused_closing: u64,
    /// States not accepted for what they are: no JSON, no object, too large, an argument out of range, a time that Losant
    /// ignores, or, after losant_device_set_strict, outside the schema.
    pub refused_invalid: u64,
    /// States in the outbox now.
    pub queued: u64,
    /// What they count against the bound of losant_device_set_outbox_limits, in bytes.
    pub queued_bytes: u64,
    /// How long ago the oldest of them was accepted, in milliseconds; 0 if there is none.
    pub oldest_age_ms: u64,
    /// MQTT messages that states were written in, those written again included: fewer than states where they were merged.
    pub messages_sent: u64,
    /// MQTT messages received, whether they were commands or not.
    pub messages_received: u64,
    /// Bytes of MQTT written, without what TLS and WebSocket add.
    pub bytes_sent: u64,
    /// Bytes of MQTT received, without what TLS and WebSocket add.
    pub bytes_received: u64,
    /// Commands received, whether anybody observed them or not.
    pub commands: u64,
    /// Commands that could not be read, and were passed over.
    pub malformed_commands: u64,
    /// States dropped because the connection ended whenever they were sent (LOSANT_ERR_UNDELIVERABLE).
    pub dropped_undeliverable: u64,
    /// States dropped because the platform ignores states of their time (LOSANT_ERR_INVALID_TIME).
    pub dropped_invalid_time: u64,
    /// Those of the states in the outbox that are kept back because the connection has ended whenever they were sent.
    pub parked: u64,
}

/// What connections have counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LinkCounts {
    pub attempts: u64,
    pub connects: u64,
    pub errors: u64,
    pub last_error: Option<Status>,
    pub messages_received: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub commands: u64,
    pub malformed_commands: u64,
}

impl LinkCounts {
    pub fn error(&mut self, status: Status) {
        self.errors += 1;
        self.last_error = Some(status);
    }
}

/// What is known of a device's connections, beside the outbox.
#[derive(Debug)]
pub(crate) struct LinkStats {
    counts: LinkCounts,
    state: ConnectionState,
    since: Instant,
}

impl Ranked for LinkStats {
    const RANK: Rank = Rank::Last;
}

impl LinkStats {
    pub fn new(now: Instant) -> Self {
        LinkStats { counts: LinkCounts::default(), state: ConnectionState::LOSANT_CONNECTION_CLOSED, since: now }
    }

    /// Counts what a round of work has brought.
    pub fn add(&mut self, round: LinkCounts, state: ConnectionState, now: Instant) {
        self.counts.attempts += round.attempts;
        self.counts.connects += round.connects;
        self.counts.errors += round.errors;
        self.counts.last_error = round.last_error.or(self.counts.last_error);
        self.counts.messages_received += round.messages_received;
        self.counts.bytes_sent += round.bytes_sent;
        self.counts.bytes_received += round.bytes_received;
        self.counts.commands += round.commands;
        self.counts.malformed_commands += round.malformed_commands;
        self.set_state(state, now);
    }

    pub fn set_state(&mut self, state: ConnectionState, now: Instant) {
        if self.state != state {
            self.state = state;
            self.since = now;
        }
    }

    /// Fills in what connections have to say.
    pub fn fill(&self, stats: &mut Stats, now: Instant) {
        let LinkCounts { last_error, .. } = self.counts;
        stats.connection_state = self.state as i32;
        stats.connection_state_ms = milliseconds(now.saturating_duration_since(self.since));
        stats.attempts = self.counts.attempts;
        stats.connects = self.counts.connects;
        stats.errors = self.counts.errors;
        stats.last_error = last_error.map_or(0, Status::code);
        stats.messages_received = self.counts.messages_received;
        stats.bytes_sent = self.counts.bytes_sent;
        stats.bytes_received = self.counts.bytes_received;
        stats.commands = self.counts.commands;
        stats.malformed_commands = self.counts.malformed_commands;
    }
}

pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Default for Stats {
    fn default() -> Self {
        Stats {
            size: size_of::<Stats>() as u32,
            connection_state: 0,
            connection_state_ms: 0,
            attempts: 0,
            connects: 0,
            errors: 0,
            last_error: 0,
            reserved: 0,
            accepted: 0,
            sent: 0,
            resent: 0,
            delivered: 0,
            dropped_outbox_full: 0,
            refused_outbox_full: 0,
            refused_closing: 0,
            refused_invalid: 0,
            queued: 0,
            queued_bytes: 0,
            oldest_age_ms: 0,
            messages_sent: 0,
            messages_received: 0,
            bytes_sent: 0,
            bytes_received: 0,
            commands: 0,
            malformed_commands: 0,
            dropped_undeliverable: 0,
            dropped_invalid_time: 0,
            parked: 0,
        }
    }
}
