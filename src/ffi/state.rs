//! Reporting states, and what became of them.

use super::{
    guard,
    handle::{self, losant_device},
    text::{out_argument, text_argument},
};
use crate::{options::check_range, status::Status};
use std::ffi::{c_char, c_int};

/// Reports a state. Accepted means kept: connected or not, and before connecting too, the state stays in the outbox until
/// it is delivered (see losant_device_set_qos). The outbox holds 50,000 states or 8 MB; when it is full the oldest are
/// dropped, counted and logged.
///
/// @param device the device
/// @param json the state: a JSON object of attribute names and values, UTF-8, NUL-terminated, at most 262,106 bytes; copied
/// as it is
/// @param time_ms when it was measured: 0 now, positive milliseconds since 1970 (UTC), negative that many milliseconds ago.
/// With 0 and negative values the time is right even if the system clock is set only later.
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_NULL_ARGUMENT; LOSANT_ERR_INVALID_UTF8;
/// LOSANT_ERR_INVALID_JSON; LOSANT_ERR_NOT_AN_OBJECT; LOSANT_ERR_TOO_LARGE
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_device_send_state(
    device: *mut losant_device,
    json: *const c_char,
    time_ms: i64,
) -> Status {
    guard("losant_device_send_state", || {
        let found = handle::find(device)?;
        // SAFETY: the caller passes NULL or a NUL-terminated string.
        found.device.send_state(unsafe { text_argument("json", json)? }, time_ms)
    })
}

/// What losant_device_counter counts, since the device was made.
#[repr(C)]
#[allow(non_camel_case_types, reason = "the C names, so that one search finds every use")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum losant_counter {
    /// States accepted by losant_device_send_state.
    LOSANT_COUNTER_ACCEPTED = 1,
    /// States written to a connection, those written again included.
    LOSANT_COUNTER_SENT = 2,
    /// States written again, because a connection was lost before the broker acknowledged them.
    LOSANT_COUNTER_RESENT = 3,
    /// States acknowledged by the broker (QoS 1) or wholly written (QoS 0).
    LOSANT_COUNTER_DELIVERED = 4,
    /// States dropped because the outbox was full.
    LOSANT_COUNTER_DROPPED = 5,
    /// States in the outbox now.
    LOSANT_COUNTER_QUEUED = 6,
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
        check_range("counter", "", u64::try_from(counter).unwrap_or(0), 1..=6)?;
        let counters = handle::find(device)?.device.counters();
        // SAFETY: the caller passes NULL or a place for a number.
        *unsafe { out_argument("value", value)? } = match counter {
            1 => counters.accepted,
            2 => counters.sent,
            3 => counters.resent,
            4 => counters.delivered,
            5 => counters.dropped,
            _ => counters.queued,
        };
        Ok(())
    })
}
