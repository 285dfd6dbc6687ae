//! How much is kept, and how fast it goes out.

use super::{
    guard,
    handle::{self, losant_device},
};
use crate::{
    device,
    outbox::WhenFull,
    status::{Error, Status, Status::*},
};
use std::ffi::c_int;

/// Sets how much the outbox holds before it is full. The defaults, 50,000 states and 8 MB, keep a night of one state a
/// second, in a size that a device with 64 MB of memory can spare.
///
/// @param device the device, not connecting or connected
/// @param max_states 1 to 10,000,000
/// @param max_bytes 1,024 to 1,073,741,824 (1 GB); each state counts the length of its text and about 100 bytes. A state
/// that alone counts more is refused with LOSANT_ERR_TOO_LARGE. What the outbox holds beyond a lowered limit is dropped.
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_INVALID_ARGUMENT; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_set_outbox_limits(
    device: *mut losant_device,
    max_states: u32,
    max_bytes: u32,
) -> Status {
    guard("losant_device_set_outbox_limits", || {
        handle::find(device)?.set_outbox_limits(max_states.into(), max_bytes.into())
    })
}

/// Sets what happens to a state that finds the outbox full. The default is that the oldest states make room for it.
///
/// @param device the device, not connecting or connected
/// @param policy a losant_when_full
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_INVALID_ARGUMENT; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_set_when_full(device: *mut losant_device, policy: c_int) -> Status {
    guard("losant_device_set_when_full", || {
        let found = handle::find(device)?;
        let policy = WhenFull::from_code(policy).ok_or_else(|| {
            Error::new(LOSANT_ERR_INVALID_ARGUMENT, format!("policy is {policy}, which is no losant_when_full"))
        })?;
        found.set_when_full(policy)
    })
}

/// Sets how many messages may be under way before the broker has acknowledged the first. The default is 100.
///
/// @param device the device, not connecting or connected
/// @param messages 1 to 1,000; with 1 a state that went out twice never comes after a newer one
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_INVALID_ARGUMENT; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_set_max_in_flight(device: *mut losant_device, messages: u32) -> Status {
    guard("losant_device_set_max_in_flight", || handle::find(device)?.set_max_in_flight(messages))
}

/// Sets the largest message that states are merged into. States that the rate limit would hold back go out together, as
/// one array, the oldest first, each with its own time; Losant takes such an array for as many states. As long as nothing
/// has to wait, each state goes alone.
///
/// The order of states is never changed for it. So a fresh state waits for those before it, yet never long: the largest
/// outbox by default is 32 messages. Without merging it may be hours.
///
/// @param device the device, not connecting or connected
/// @param max_bytes 1,024 to 262,144, the default and the largest message that Losant takes; 0: never merge
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_INVALID_ARGUMENT; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_set_merge_limit(device: *mut losant_device, max_bytes: u32) -> Status {
    guard("losant_device_set_merge_limit", || handle::find(device)?.set_merge_limit(max_bytes))
}

/// Sets whether states that Losant's schema does not allow are refused. It allows attributes whose names have 1 to 255 of the
/// characters 0-9 a-z A-Z _ - and whose values are true, false, finite numbers, or strings of at most 65,536 bytes without
/// half surrogate pairs. What Losant does with others is not documented; one of them in an array may cost the others.
///
/// By default they are accepted, as by Losant's other clients: each goes in a message of its own, behind those that nothing
/// is wrong with, and each attribute is warned of once in the log. The same is done where `meta` holds what some JSON parsers
/// do not read.
///
/// @param device the device, not connecting or connected
/// @param strict true: losant_device_send_state and losant_device_send return LOSANT_ERR_INVALID_STATE for them, and the log
/// names the attribute and the rule
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_set_strict(device: *mut losant_device, strict: bool) -> Status {
    guard("losant_device_set_strict", || handle::find(device)?.set_strict(strict))
}

/// Sets the rate limit. The defaults are Losant's own: a device that exceeds them is disconnected, and banned for 30
/// seconds and more. A message counts until a window after it is known to have arrived, on whatever connection; states
/// that were sent again count again.
///
/// @param device the device, not connecting or connected
/// @param per_topic messages on one topic in any window, 1 to 100,000, by default 30; 0: no limit
/// @param per_connection messages on all topics in any window, 1 to 100,000, by default 300; 0: no limit
/// @param window_ms the length of the window in milliseconds, 1 to 86400000 (a day), by default 15000
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_INVALID_ARGUMENT; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_set_rate_limit(
    device: *mut losant_device,
    per_topic: u32,
    per_connection: u32,
    window_ms: u32,
) -> Status {
    guard("losant_device_set_rate_limit", || {
        handle::find(device)?.set_rate_limit(per_topic, per_connection, window_ms.into())
    })
}

/// Sets how many connections the whole process may begin in any window, over all devices; those that must wait are
/// spread. The defaults are Losant's limit for one application: 300 in 15,000 ms. Set it before devices are connected.
///
/// @param attempts 1 to 100,000; 0: no limit
/// @param window_ms the length of the window in milliseconds, 1 to 86400000 (a day)
/// @return LOSANT_OK; LOSANT_ERR_INVALID_ARGUMENT
#[unsafe(no_mangle)]
pub extern "C" fn losant_set_connect_limit(attempts: u32, window_ms: u32) -> Status {
    guard("losant_set_connect_limit", || device::set_connect_limit(attempts, window_ms.into()))
}
