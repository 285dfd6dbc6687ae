//! Reporting states, and what became of them.

use super::{
    guard,
    handle::{self, losant_device},
    text::{optional_text_argument, sized_text_argument, text_argument},
};
use crate::{
    device::State,
    options::check_range,
    stats::Stats,
    status::{Error, Status, Status::*},
};
use std::{ffi::c_char, ptr, slice};

/// Reports a state. Accepted means kept: connected or not, and before connecting too, the state stays in the outbox until
/// it is delivered (see losant_device_set_qos), or until it must make room for newer ones (see
/// losant_device_set_outbox_limits). Never waits for the network.
///
/// @param device the device
/// @param json the state: a JSON object of attribute names and values, UTF-8, NUL-terminated, at most 262,106 bytes; copied
/// as it is
/// @param time_ms when it was measured: 0 now, positive milliseconds since 1970 (UTC), negative that many milliseconds ago.
/// With 0 and negative values the time is right even if the system clock is set only later. With 0 each state of a topic gets a
/// time of its own, at most 1,000 ms late; times that you give are never changed.
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_NULL_ARGUMENT; LOSANT_ERR_INVALID_UTF8;
/// LOSANT_ERR_INVALID_JSON; LOSANT_ERR_NOT_AN_OBJECT; LOSANT_ERR_INVALID_STATE after
/// losant_device_set_strict; LOSANT_ERR_TOO_LARGE; LOSANT_ERR_INVALID_TIME for a time that Losant ignores: before the year 2000
/// or behind 9999, over 30 days ago, and where the system clock can be right, over a day ahead of it; LOSANT_ERR_OUTBOX_FULL if
/// the outbox is full and was told to refuse the newest; LOSANT_ERR_CLOSING after losant_device_drain
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_device_send_state(
    device: *mut losant_device,
    json: *const c_char,
    time_ms: i64,
) -> Status {
    guard("losant_device_send_state", || {
        let found = handle::find(device)?;
        // SAFETY: the caller passes NULL or a NUL-terminated string.
        let json = unsafe { text_argument("json", json) }.inspect_err(|_| found.count_invalid())?;
        found.send_state(json, time_ms).map(drop)
    })
}

/// A state with everything that it can have. Begin with LOSANT_STATE_INIT, which fills in the size, and set what you need;
/// later versions may add members at the end.
#[repr(C)]
#[allow(non_camel_case_types, reason = "the C name")]
#[derive(Clone, Copy)]
pub struct losant_state {
    /// sizeof(losant_state), as LOSANT_STATE_INIT sets it.
    pub size: u32,
    /// 0; room for a later version.
    pub reserved: u32,
    /// The attributes: a JSON object of names and values, UTF-8, as in losant_device_send_state.
    pub json: *const c_char,
    /// Length of json in bytes; 0 if it is NUL-terminated.
    pub json_len: u64,
    /// When it was measured, as in losant_device_send_state: 0 now, positive milliseconds since 1970 (UTC), negative that many
    /// milliseconds ago.
    pub time_ms: i64,
    /// The id of the peripheral that it is of, where the device is its gateway: UTF-8, NUL-terminated, not empty, without
    /// / + # and control characters. NULL: the device's own.
    pub peripheral_id: *const c_char,
    /// The workflow version that is to handle it: UTF-8, NUL-terminated. NULL: the default one.
    pub flow_version: *const c_char,
    /// Anything that is handed on with it: JSON text, UTF-8, NUL-terminated. NULL: nothing.
    pub meta: *const c_char,
}

/// Reports a state as losant_device_send_state does, with everything that a state can have, and tells its id.
///
/// States of a peripheral go out on its gateway's connection. Each peripheral's states keep their order, and have a rate
/// limit of their own beside the connection's; none waits behind another's backlog. Losant closes the connection of a device
/// that reports for one which is not its peripheral.
///
/// @param device the device, for a peripheral its gateway
/// @param state the state; all texts are copied before the function returns
/// @param id receives the id that LOSANT_EVENT_DELIVERED or LOSANT_EVENT_DROPPED will name: 1 for the device's first
/// accepted state, one more for each later one. Written before any event about the state can be raised, so a callback on
/// another thread may look there. May be NULL.
/// @return as losant_device_send_state; LOSANT_ERR_INVALID_ARGUMENT for a size that is none, for members that this version of
/// the library does not know and that are not 0, and for a peripheral id that MQTT cannot carry; LOSANT_ERR_INVALID_JSON
/// also for meta
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_device_send(
    device: *mut losant_device,
    state: *const losant_state,
    id: *mut u64,
) -> Status {
    guard("losant_device_send", || {
        let found = handle::find(device)?;
        // SAFETY: the caller passes NULL or a struct of the size that it begins with, with texts as its members say.
        let state = unsafe { losant_state::read(state).and_then(|state| state.texts()) };
        let state = state.inspect_err(|_| found.count_invalid())?;
        // SAFETY: the caller passes NULL or a place for a number.
        let place = unsafe { id.as_mut() };
        let accepted = |accepted| {
            if let Some(place) = place {
                *place = accepted;
            }
        };
        found.submit(&state, accepted).map(drop)
    })
}

impl losant_state {
    /// The size of the struct when it was first published: no header has a smaller one.
    const FIRST_SIZE: usize = size_of::<losant_state>();

    /// The state as this version knows it.
    ///
    /// # Safety
    /// `state` is NULL or points to a struct of as many bytes as its first member says.
    unsafe fn read(state: *const losant_state) -> Result<Self, Error> {
        let invalid = |text: String| Error::new(LOSANT_ERR_INVALID_ARGUMENT, text);
        // SAFETY: as this function demands.
        let known = unsafe { state.as_ref() }.ok_or_else(|| Error::new(LOSANT_ERR_NULL_ARGUMENT, "state is NULL"))?;
        let size = known.size as usize;
        if !(Self::FIRST_SIZE..=1 << 16).contains(&size) {
            let first = Self::FIRST_SIZE;
            return Err(invalid(format!("state.size is {size}; it must be sizeof(losant_state), at least {first}")));
        }
        // SAFETY: of a struct of `size` bytes, those behind the members that this version knows.
        let unknown = unsafe { slice::from_raw_parts(state.add(1).cast::<u8>(), size - size_of::<losant_state>()) };
        if known.reserved != 0 || unknown.iter().any(|byte| *byte != 0) {
            return Err(invalid("state has a member that this version of the library does not know".to_owned()));
        }
        Ok(*known)
    }

    /// Its texts, checked to be such.
    ///
    /// # Safety
    /// Its pointers are NULL or point to what its members say, and nobody changes that while the result lives.
    unsafe fn texts<'a>(&self) -> Result<State<'a>, Error> {
        // SAFETY: as this function demands.
        unsafe {
            Ok(State {
                json: sized_text_argument("state.json", self.json, self.json_len)?,
                time_ms: self.time_ms,
                peripheral_id: optional_text_argument("state.peripheral_id", self.peripheral_id)?,
                flow_version: optional_text_argument("state.flow_version", self.flow_version)?,
                meta: optional_text_argument("state.meta", self.meta)?,
            })
        }
    }
}

/// Tells what a device has done so far, all of it at one moment.
///
/// @param device the device
/// @param stats receives the snapshot
/// @param size sizeof(losant_stats). What a newer header knows and this library does not is set to 0.
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_NULL_ARGUMENT; LOSANT_ERR_INVALID_ARGUMENT if size has no room for
/// the first member
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_device_stats(device: *const losant_device, stats: *mut Stats, size: usize) -> Status {
    guard("losant_device_stats", || {
        let found = handle::find(device)?;
        if stats.is_null() {
            return Err(Error::new(LOSANT_ERR_NULL_ARGUMENT, "stats is NULL"));
        }
        check_range("size", "bytes", size as u64, 4..=1 << 16)?;
        let filled = size.min(size_of::<Stats>());
        let known = Stats { size: filled as u32, ..found.stats() };
        // SAFETY: the caller passes a place of `size` bytes; no more than those are written.
        unsafe {
            ptr::write_bytes(stats.cast::<u8>(), 0, size);
            ptr::copy_nonoverlapping((&raw const known).cast::<u8>(), stats.cast::<u8>(), filled);
        }
        Ok(())
    })
}
