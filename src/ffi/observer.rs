//! Observers of events.

use super::{
    event::{losant_event_callback, with_c_event},
    guard,
    handle::{self, CDevice, ObserverKey, losant_device},
};
use crate::{
    event::EventType,
    observers::ObserverId,
    status::{Error, Status, Status::*},
};
use std::ffi::{c_int, c_void};

/// Adds an observer of one type of event. Any number may be added, also the same one several times; they are called in the
/// order they were added. One that is added inside a callback hears of later events only.
///
/// @param device the device, connected or not
/// @param event a losant_event_type
/// @param callback what to call; see losant_event_callback
/// @param user_data handed to the callback; the library never looks at it. Keep what it points to until
/// losant_device_remove_event_observer or losant_device_free has returned.
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_NULL_ARGUMENT; LOSANT_ERR_INVALID_ARGUMENT
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_add_event_observer(
    device: *mut losant_device,
    event: c_int,
    callback: losant_event_callback,
    user_data: *mut c_void,
) -> Status {
    guard("losant_device_add_event_observer", || {
        let found = handle::find(device)?;
        let (observer, key) = observer(event, callback, user_data)?;
        // Held together, or a removal in between would find one without the other.
        let mut observers = found.observers.lock();
        observers.push((key, add(&found, device, observer)));
        Ok(())
    })
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
pub extern "C" fn losant_device_remove_event_observer(
    device: *mut losant_device,
    event: c_int,
    callback: losant_event_callback,
    user_data: *mut c_void,
) -> Status {
    guard("losant_device_remove_event_observer", || {
        let found = handle::find(device)?;
        let (_, key) = observer(event, callback, user_data)?;
        let id = take_id(&found, key)?;
        found.device.remove_observer(id)
    })
}

/// An observer as C describes it.
struct Observer {
    event: EventType,
    callback: unsafe extern "C" fn(*mut losant_device, *const super::losant_event, *mut c_void),
    /// An address, so that the observer may pass between threads; what it points to is the host's affair.
    user_data: usize,
}

fn observer(
    event: c_int,
    callback: losant_event_callback,
    user_data: *mut c_void,
) -> Result<(Observer, ObserverKey), Error> {
    let callback = callback.ok_or_else(|| Error::new(LOSANT_ERR_NULL_ARGUMENT, "callback is NULL"))?;
    let user_data = user_data as usize;
    let key = ObserverKey { event, callback: callback as usize, user_data };
    Ok((Observer { event: EventType::from_argument(event)?, callback, user_data }, key))
}

fn add(found: &CDevice, handle: *mut losant_device, observer: Observer) -> ObserverId {
    let handle = handle as usize;
    found.device.add_observer(observer.event, move |device, event| {
        with_c_event(device.id(), event, |view| {
            // SAFETY: the host gave this callback for these arguments; the event lives until after the call. The handle
            // is a number, not an address.
            unsafe { (observer.callback)(handle as *mut losant_device, view, observer.user_data as *mut c_void) };
        });
    })
}

fn take_id(found: &CDevice, key: ObserverKey) -> Result<ObserverId, Error> {
    let mut observers = found.observers.lock();
    let at = observers.iter().position(|(added, _)| *added == key).ok_or_else(|| {
        Error::new(LOSANT_ERR_NO_SUCH_OBSERVER, "no observer was added with these arguments, or it is removed already")
    })?;
    Ok(observers.remove(at).1)
}
