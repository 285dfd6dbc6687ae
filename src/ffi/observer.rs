//! Observers of events.

use super::{
    event::{losant_event, losant_event_callback},
    guard,
    handle::{self, losant_device},
};
use crate::{
    callback,
    engine::Tag,
    event::{Event, EventType},
    status::{Error, Status, Status::*},
};
use std::{
    ffi::{c_int, c_void},
    sync::Arc,
};

/// Destroys the user data of an observer: the last that the library has to do with it.
///
/// Called exactly once for every losant_device_add_event_observer with a destructor that succeeded: when the observer has
/// been removed or its device freed, and its callback is not running any more on any thread. No library lock is held, so
/// any function may be called.
///
/// On the thread that removes or frees, before that call returns; but where the observer's callback is still running then
/// (it removes or frees itself, or the call came from inside another callback and did not wait), on the callback's thread,
/// right after the callback has returned. Where it runs after a callback, blocking calls are refused as in one.
///
/// Not called when the process ends with the device not freed, nor in a child made by fork.
///
/// @param user_data as given to losant_device_add_event_observer
#[allow(non_camel_case_types, reason = "the C name")]
pub type losant_destroy_callback = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

/// Adds an observer of one type of event. Any number may be added, also the same one several times; they are called in the
/// order they were added. One that is added inside a callback hears of later events only.
///
/// @param device the device, connected or not
/// @param event a losant_event_type
/// @param callback what to call; see losant_event_callback
/// @param user_data handed to the callback and, at the end, to destroy; the library never looks at it. Without destroy, keep
/// what it points to until losant_device_remove_event_observer or losant_device_free has returned.
/// @param destroy what to call with user_data when the observer has come to its end; see losant_destroy_callback. NULL:
/// nothing. With several observers it is called once for each. Not called if this function fails.
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_NULL_ARGUMENT; LOSANT_ERR_INVALID_ARGUMENT
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_device_add_event_observer(
    device: *mut losant_device,
    event: c_int,
    callback: losant_event_callback,
    user_data: *mut c_void,
    destroy: losant_destroy_callback,
) -> Status {
    guard("losant_device_add_event_observer", || add(device, event, callback, user_data, destroy))
}

/// Removes the first observer that was added with these arguments. After it returns, its callback is not running on
/// another thread and is not called any more: where it runs on another thread at this moment, waits for it.
///
/// Inside a callback, waiting for another one could be for ever. There the observer is removed all the same, and
/// LOSANT_ERR_BUSY tells that its callback is still running on another thread.
///
/// @param device the device
/// @param event as given to losant_device_add_event_observer
/// @param callback as given to losant_device_add_event_observer
/// @param user_data as given to losant_device_add_event_observer
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_NULL_ARGUMENT; LOSANT_ERR_INVALID_ARGUMENT;
/// LOSANT_ERR_NO_SUCH_OBSERVER; LOSANT_ERR_BUSY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_device_remove_event_observer(
    device: *mut losant_device,
    event: c_int,
    callback: losant_event_callback,
    user_data: *mut c_void,
) -> Status {
    guard("losant_device_remove_event_observer", || {
        let found = handle::find(device)?;
        let (event, _, tag) = arguments(event, callback, user_data)?;
        found.remove_tagged_observer(event, tag)
    })
}

type Callback = unsafe extern "C" fn(*mut losant_device, *const super::losant_event, *mut c_void);

/// An observer as C describes it.
fn arguments(
    event: c_int,
    callback: losant_event_callback,
    user_data: *mut c_void,
) -> Result<(EventType, Callback, Tag), Error> {
    let callback = callback.ok_or_else(|| Error::new(LOSANT_ERR_NULL_ARGUMENT, "callback is NULL"))?;
    let tag = Tag { callback: callback as usize, user_data: user_data as usize };
    Ok((EventType::from_argument(event)?, callback, tag))
}

/// User data with its destructor, which runs when the callback that owns it goes. An address, so that the observer may
/// pass between threads; what it points to is the host's affair.
struct UserData {
    address: usize,
    destroy: losant_destroy_callback,
}

impl UserData {
    /// A method, so that a closure that calls it owns the whole and not only the address.
    fn as_ptr(&self) -> *mut c_void {
        self.address as *mut c_void
    }
}

impl Drop for UserData {
    fn drop(&mut self) {
        if let Some(destroy) = self.destroy {
            // SAFETY: the host gave this function for this argument, and nothing uses it any more.
            unsafe { destroy(self.as_ptr()) };
        }
    }
}

fn add(
    handle: *mut losant_device,
    event: c_int,
    callback: losant_event_callback,
    user_data: *mut c_void,
    destroy: losant_destroy_callback,
) -> Result<(), Error> {
    let found = handle::find(handle)?;
    let (event, callback, tag) = arguments(event, callback, user_data)?;
    let handle = handle as usize;
    let user_data = UserData { address: tag.user_data, destroy };
    let id = found.c_id().clone();
    let observer = move |event: &Event| {
        let view = losant_event::lend(&id, event);
        // SAFETY: the host gave this callback for these arguments; the event lives until after the call. The handle is a
        // number, not an address.
        unsafe { callback(handle as *mut losant_device, &view, user_data.as_ptr()) };
    };
    if let Err(refused) = found.add_tagged_observer(event, tag, Arc::new(observer)) {
        // Another thread has freed the device since it was found: so the observer was added, and has ended with the device.
        callback::run(|| drop(refused))?;
    }
    Ok(())
}
