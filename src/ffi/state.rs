//! Reporting states, and what became of them.

use super::{
    guard,
    handle::{self, losant_device},
    text::{out_argument, text_argument},
};
use crate::{options::check_range, status::Status};
use std::ffi::{c_char, c_int};

/// Reports a state. Accepted means kept: connected or not, and before connecting too, the state stays in the outbox until
/// it is delivered (see losant_device_set_qos), or until it must make room for newer ones (see
/// losant_device_set_outbox_limits). Never waits for the network.
///
/// @param device the device
/// @param json the state: a JSON object of attribute names and values, UTF-8, NUL-terminated, at most 262,106 bytes; copied
/// as it is
/// @param time_ms when it was measured: 0 now, positive milliseconds since 1970 (UTC), negative that many milliseconds ago.
/// With 0 and negative values the time is right even if the system clock is set only later.
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_NULL_ARGUMENT; LOSANT_ERR_INVALID_UTF8;
/// LOSANT_ERR_INVALID_JSON; LOSANT_ERR_NOT_AN_OBJECT; LOSANT_ERR_TOO_LARGE; LOSANT_ERR_OUTBOX_FULL if the outbox is full
/// and was told to refuse the newest; LOSANT_ERR_CLOSING after losant_device_close_timeout
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_device_send_state(
    device: *mut losant_device,
    json: *const c_char,
    time_ms: i64,
) -> Status {
    guard("losant_device_send_state", || {
        let found = handle::find(device)?;
        // SAFETY: the caller passes NULL or a NUL-terminated string.
        found.send_state(unsafe { text_argument("json", json)? }, time_ms).map(drop)
    })
}

/// Reports a state and returns its id, which LOSANT_EVENT_DELIVERED or LOSANT_EVENT_DROPPED will name.
///
/// @param device the device
/// @param json as in losant_device_send_state
/// @param time_ms as in losant_device_send_state
/// @param id receives the id: 1 for the device's first accepted state, one more for each later one. Written before any
/// event about the state can be raised, so a callback on another thread may look there.
/// @return as losant_device_send_state
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_device_send_state_id(
    device: *mut losant_device,
    json: *const c_char,
    time_ms: i64,
    id: *mut u64,
) -> Status {
    guard("losant_device_send_state_id", || {
        let found = handle::find(device)?;
        // SAFETY: the caller passes NULL or a NUL-terminated string, and NULL or a place for a number.
        let (json, id) = unsafe { (text_argument("json", json)?, out_argument("id", id)?) };
        found.submit(None, json, time_ms, |accepted| *id = accepted).map(drop)
    })
}

/// Reports a state of a peripheral whose gateway this device is, on the gateway's connection. Each peripheral's states
/// keep their order, and have a rate limit of their own beside the connection's; none waits behind another's backlog.
///
/// @param device the gateway
/// @param peripheral_id the peripheral's Losant device id; not empty, without / + # and control characters; copied. Losant
/// closes the connection of a device that reports for one which is not its peripheral; where that seems to be so, the log
/// says it, and such states go last and alone, so that they hold up no others.
/// @param json as in losant_device_send_state
/// @param time_ms as in losant_device_send_state
/// @param id NULL, or receives the id as in losant_device_send_state_id
/// @return as losant_device_send_state; LOSANT_ERR_INVALID_ARGUMENT for a peripheral id that MQTT cannot carry
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_device_send_peripheral_state(
    device: *mut losant_device,
    peripheral_id: *const c_char,
    json: *const c_char,
    time_ms: i64,
    id: *mut u64,
) -> Status {
    guard("losant_device_send_peripheral_state", || {
        let found = handle::find(device)?;
        // SAFETY: the caller passes NULL or NUL-terminated strings.
        let (peripheral, json) =
            unsafe { (text_argument("peripheral_id", peripheral_id)?, text_argument("json", json)?) };
        // SAFETY: the caller passes NULL or a place for a number.
        let id = unsafe { id.as_mut() };
        let accepted = |accepted| {
            if let Some(id) = id {
                *id = accepted;
            }
        };
        found.submit(Some(peripheral), json, time_ms, accepted).map(drop)
    })
}

/// What losant_device_counter counts, since the device was made.
#[repr(C)]
#[allow(non_camel_case_types, reason = "the C names, so that one search finds every use")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum losant_counter {
    /// States accepted by losant_device_send_state and its like.
    LOSANT_COUNTER_ACCEPTED = 1,
    /// States written to a connection, those written again included.
    LOSANT_COUNTER_SENT = 2,
    /// States written again, because a connection was lost before the broker acknowledged them.
    LOSANT_COUNTER_RESENT = 3,
    /// States acknowledged by the broker (QoS 1) or wholly written (QoS 0).
    LOSANT_COUNTER_DELIVERED = 4,
    /// Accepted states dropped because the outbox was full: the only cause there is.
    LOSANT_COUNTER_DROPPED = 5,
    /// States in the outbox now.
    LOSANT_COUNTER_QUEUED = 6,
    /// States not accepted, because the outbox was full and was told to refuse the newest.
    LOSANT_COUNTER_REFUSED = 7,
    /// MQTT messages that states were written in, those written again included: fewer than states where they were merged.
    LOSANT_COUNTER_MESSAGES = 8,
}

/// Reads one counter. Accepted = delivered + dropped + queued, whenever nothing else is going on.
///
/// @param device the device
/// @param counter a losant_counter
/// @param value receives the count
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_NULL_ARGUMENT; LOSANT_ERR_INVALID_ARGUMENT
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_device_counter(device: *mut losant_device, counter: c_int, value: *mut u64) -> Status {
    guard("losant_device_counter", || {
        let counters = handle::find(device)?.counters();
        check_range("counter", "", u64::try_from(counter).unwrap_or(0), 1..=8)?;
        // SAFETY: the caller passes NULL or a place for a number.
        *unsafe { out_argument("value", value)? } = match counter {
            1 => counters.accepted,
            2 => counters.sent,
            3 => counters.resent,
            4 => counters.delivered,
            5 => counters.dropped,
            6 => counters.queued,
            7 => counters.refused,
            _ => counters.messages,
        };
        Ok(())
    })
}
