//! What observers are told.

use crate::{
    outbox::{Outcome, Verdict},
    payload::Command,
    status::{Error, Status},
    text::{CBytes, CText},
};

/// What an observer can listen for.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(non_camel_case_types, reason = "the C names, so that one search finds every use")]
pub enum EventType {
    /// The device has connected for the first time since losant_device_connect or losant_device_start: commands arrive
    /// from now on.
    LOSANT_EVENT_CONNECT = 1,
    /// The device lost its connection and has connected again.
    LOSANT_EVENT_RECONNECT = 2,
    /// The connection has ended for good: by losant_device_close, or for the reason in `status` and `text`. Raised once
    /// for every losant_device_connect or losant_device_start that succeeded, and the last event until the next one.
    LOSANT_EVENT_CLOSE = 3,
    /// Losant has sent a command: `name`, `payload`, `time_ms`, `time`.
    LOSANT_EVENT_COMMAND = 4,
    /// Something went wrong, as `status`, `stage` and `text` tell. The library goes on and tries again, unless a close
    /// event follows.
    LOSANT_EVENT_ERROR = 5,
    /// The state with the id `state_id` has been delivered: acknowledged by the broker (QoS 1), or wholly written to the
    /// network (QoS 0). Raised once for every state that is delivered, also for one without a wanted id.
    LOSANT_EVENT_DELIVERED = 6,
    /// The state with the id `state_id` has been dropped, and is lost; `status` tells why: LOSANT_ERR_OUTBOX_FULL;
    /// LOSANT_ERR_UNDELIVERABLE, where the connection ends whenever it is sent; LOSANT_ERR_INVALID_TIME, where the platform
    /// ignores states of its time, which was not known when it was accepted or has come to be so while it waited. An accepted state is either delivered or dropped, never both, or it is in the outbox when the device is freed.
    LOSANT_EVENT_DROPPED = 7,
}

impl EventType {
    /// Every type, for lookups by number.
    pub const ALL: &'static [EventType] = &[
        EventType::LOSANT_EVENT_CONNECT,
        EventType::LOSANT_EVENT_RECONNECT,
        EventType::LOSANT_EVENT_CLOSE,
        EventType::LOSANT_EVENT_COMMAND,
        EventType::LOSANT_EVENT_ERROR,
        EventType::LOSANT_EVENT_DELIVERED,
        EventType::LOSANT_EVENT_DROPPED,
    ];

    /// The type with this number, if there is one.
    pub fn from_code(code: i32) -> Option<EventType> {
        Self::ALL.iter().copied().find(|kind| *kind as i32 == code)
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// See [`EventType::LOSANT_EVENT_CONNECT`].
    Connect,
    /// See [`EventType::LOSANT_EVENT_RECONNECT`].
    Reconnect,
    /// See [`EventType::LOSANT_EVENT_CLOSE`].
    Close(Error),
    /// See [`EventType::LOSANT_EVENT_COMMAND`].
    Command {
        /// The decoded command.
        command: Command,
        /// The MQTT topic it came on.
        topic: CText,
        /// The MQTT payload as it came.
        message: CBytes,
    },
    /// See [`EventType::LOSANT_EVENT_ERROR`].
    Error(Error),
    /// See [`EventType::LOSANT_EVENT_DELIVERED`].
    Delivered {
        /// The state.
        id: u64,
    },
    /// See [`EventType::LOSANT_EVENT_DROPPED`].
    Dropped {
        /// The state.
        id: u64,
        /// Why.
        cause: Status,
    },
}

impl Event {
    /// Which observers hear it.
    pub fn event_type(&self) -> EventType {
        match self {
            Event::Connect => EventType::LOSANT_EVENT_CONNECT,
            Event::Reconnect => EventType::LOSANT_EVENT_RECONNECT,
            Event::Close(_) => EventType::LOSANT_EVENT_CLOSE,
            Event::Command { .. } => EventType::LOSANT_EVENT_COMMAND,
            Event::Error(_) => EventType::LOSANT_EVENT_ERROR,
            Event::Delivered { .. } => EventType::LOSANT_EVENT_DELIVERED,
            Event::Dropped { .. } => EventType::LOSANT_EVENT_DROPPED,
        }
    }
}

/// What waits to be told, in order.
#[derive(Debug)]
pub(crate) enum PendingEvent {
    Event(Event),
    /// One event for each state in it: thousands of them may be delivered at once.
    Outcome(Outcome),
}

impl From<Event> for PendingEvent {
    fn from(event: Event) -> Self {
        PendingEvent::Event(event)
    }
}

impl Outcome {
    /// Its events.
    pub fn events(self) -> impl Iterator<Item = Event> {
        (self.first..=self.last).map(move |id| match self.verdict {
            Verdict::Delivered => Event::Delivered { id },
            Verdict::Dropped => Event::Dropped { id, cause: Status::LOSANT_ERR_OUTBOX_FULL },
            Verdict::Undeliverable => Event::Dropped { id, cause: Status::LOSANT_ERR_UNDELIVERABLE },
            Verdict::OutOfTime => Event::Dropped { id, cause: Status::LOSANT_ERR_INVALID_TIME },
        })
    }
}
