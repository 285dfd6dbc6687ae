//! Connecting, the three ways to run, and closing.

use super::{
    guard, guard_or,
    handle::{self, losant_device},
    text::out_argument,
};
use crate::status::Status;
use std::{ffi::c_int, time::Duration};

/// Connects the device. For the third way, the background thread, see losant_device_start.
///
/// A broker that refuses a device that it has never accepted (CONNACK 1, 2, 4, 5) ends the attempt: a close event tells.
/// Every other failure is told by an error event and tried again, for ever, after a random and growing delay; so is a
/// lost connection.
///
/// @param device the device, not connecting or connected
/// @param blocking true: this thread does all the work, callbacks included, and the function returns when the device has
/// been closed, when the first connection fails, or when the broker refuses it. false: the function returns at once, and
/// the caller calls losant_device_loop.
/// @return LOSANT_OK: begun, or, blocking, closed by losant_device_close or losant_device_free;
/// LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_ALREADY_RUNNING; LOSANT_ERR_IN_CALLBACK for a blocking connect inside a callback; LOSANT_ERR_SYSTEM.
/// Blocking, also what ended it: LOSANT_ERR_RESOLVE, LOSANT_ERR_REFUSED, LOSANT_ERR_TIMED_OUT, LOSANT_ERR_NETWORK,
/// LOSANT_ERR_CONNECTION_LOST, LOSANT_ERR_KEEP_ALIVE, LOSANT_ERR_PROTOCOL, LOSANT_ERR_PROTOCOL_VERSION,
/// LOSANT_ERR_DEVICE_ID, LOSANT_ERR_SERVER_UNAVAILABLE, LOSANT_ERR_CREDENTIALS, LOSANT_ERR_NOT_AUTHORIZED, one of the
/// TLS, certificate and WebSocket errors, LOSANT_ERR_INTERNAL
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_connect(device: *mut losant_device, blocking: bool) -> Status {
    guard("losant_device_connect", || {
        let found = handle::find(device)?;
        if blocking { found.connect_blocking() } else { found.connect() }
    })
}

/// Does the network work and the callbacks of a device connected with blocking false, on this thread: one round of work, as
/// soon as there is some. While a connection is being made it goes on within the timeout until that has succeeded or
/// failed, so a program that calls it and then sleeps, again and again, is connected after its first call. Call it again
/// and again, at the latest when losant_device_next_timeout says.
///
/// @param device the device
/// @param timeout_ms how long to wait, in milliseconds; 0 does not wait, negative waits as long as it takes. A signal
/// handled on this thread, or a call of another thread, may end the wait early.
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_NOT_RUNNING if the device is not connecting or connected, or
/// is run by the background thread; LOSANT_ERR_BUSY if another thread is in the loop; LOSANT_ERR_IN_CALLBACK inside a
/// callback of the same device; LOSANT_ERR_SYSTEM. If the broker refused the device, what losant_device_connect lists.
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_loop(device: *mut losant_device, timeout_ms: c_int) -> Status {
    guard("losant_device_loop", || {
        let found = handle::find(device)?;
        found.run_loop(timeout(timeout_ms))
    })
}

/// Connects the device and lets the library's background thread do all the work, callbacks included. All started devices
/// share the one thread, which begins with the first and ends with the last. Returns at once; what happens then is as in
/// losant_device_connect.
///
/// @param device the device, not connecting or connected
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_ALREADY_RUNNING; LOSANT_ERR_SYSTEM
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_start(device: *mut losant_device) -> Status {
    guard("losant_device_start", || handle::find(device)?.start())
}

/// Whether the device is connected: the broker has accepted it and its subscription, states and commands flow.
///
/// @param device the device
/// @return true if it is; false if not, and for an invalid handle
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_is_connected(device: *const losant_device) -> bool {
    guard_or(false, "losant_device_is_connected", || handle::find(device).is_ok_and(|found| found.is_connected()))
}

/// Closes the connection and ends the attempts to connect. What is in the outbox stays there and goes out after the next
/// connect.
///
/// Never waits. A device that no thread is working on is closed at once, and the close event raised, on this thread;
/// else the thread that runs the loop does it. Closing a closed device does nothing.
///
/// @param device the device
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_close(device: *mut losant_device) -> Status {
    guard("losant_device_close", || {
        let found = handle::find(device)?;
        found.close()
    })
}

/// Accepts no more states, delivers what it can within a time, and closes the device. For the end of a program: whatever the
/// network does, it returns in time.
///
/// Delivery keeps to the rate limit. What is left (losant_device_stats tells how much) stays in the outbox, and goes out
/// if the device is connected again; only then are states accepted again too.
///
/// Where no other thread runs the loop, this one does, callbacks included. When it returns, the device is closed, the close
/// event has been raised, and its callbacks have returned; they and others that run on another thread are waited for, at
/// most a second longer than the time given. So do not hold a lock that a callback takes.
///
/// @param device the device
/// @param timeout_ms milliseconds; 0: deliver only what can be sent at once; negative: as long as it takes
/// @return LOSANT_OK: all is delivered; LOSANT_ERR_NOT_DELIVERED: not within the time; LOSANT_ERR_INVALID_HANDLE;
/// LOSANT_ERR_NOT_RUNNING if states wait and the device is not connecting or connected, or is closed meanwhile;
/// LOSANT_ERR_IN_CALLBACK inside a callback of any device: then nothing is done; LOSANT_ERR_SYSTEM. If the broker refused
/// the device meanwhile, what losant_device_connect lists.
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_drain(device: *mut losant_device, timeout_ms: c_int) -> Status {
    guard("losant_device_drain", || handle::find(device)?.drain(timeout(timeout_ms)))
}

/// Waits until every accepted state is delivered, those accepted meanwhile too, and the callbacks of delivered and dropped
/// events have returned: a losant_device_free right behind it loses none of them.
///
/// Where no other thread runs the loop, this one does, callbacks included; a thread that calls losant_device_loop
/// meanwhile waits with it. Callbacks on other threads are waited for, so do not hold a lock that a callback takes.
///
/// @param device the device
/// @param timeout_ms milliseconds; negative: as long as it takes
/// @return LOSANT_OK: all is delivered; LOSANT_ERR_NOT_DELIVERED: not within the time; LOSANT_ERR_INVALID_HANDLE;
/// LOSANT_ERR_NOT_RUNNING if states wait and the device is not connecting or connected, or is closed meanwhile;
/// LOSANT_ERR_IN_CALLBACK inside a callback of any device; LOSANT_ERR_SYSTEM. If the broker refused the device meanwhile,
/// what losant_device_connect lists.
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_flush(device: *mut losant_device, timeout_ms: c_int) -> Status {
    guard("losant_device_flush", || {
        let found = handle::find(device)?;
        found.flush(timeout(timeout_ms))
    })
}

/// A time to wait; negative is for ever.
fn timeout(timeout_ms: c_int) -> Option<Duration> {
    u64::try_from(timeout_ms).ok().map(Duration::from_millis)
}

/// A descriptor for epoll, libuv, GLib and the like: readable when losant_device_loop with timeout 0 has work to do. Only
/// poll it; the library reads and closes it.
///
/// @param device the device, not run by the background thread; may be connected later
/// @param fd receives the descriptor; the same for the life of the device, closed by losant_device_free: an event loop
/// of another thread that still polls it then does not hear of it
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_NULL_ARGUMENT; LOSANT_ERR_NOT_RUNNING if the device is run by
/// the background thread; LOSANT_ERR_SYSTEM
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_device_fd(device: *mut losant_device, fd: *mut c_int) -> Status {
    guard("losant_device_fd", || {
        let found = handle::find(device)?;
        // SAFETY: the caller passes NULL or a place for a number.
        let fd = unsafe { out_argument("fd", fd)? };
        *fd = found.fd()?;
        Ok(())
    })
}

/// When to call losant_device_loop if the descriptor stays silent: the timeout for epoll_wait or poll.
///
/// @param device the device, connected with blocking false
/// @param timeout_ms receives milliseconds, rounded up; 0: now; -1: no need
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_NULL_ARGUMENT; LOSANT_ERR_NOT_RUNNING
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_device_next_timeout(device: *const losant_device, timeout_ms: *mut c_int) -> Status {
    guard("losant_device_next_timeout", || {
        let found = handle::find(device)?;
        // SAFETY: the caller passes NULL or a place for a number.
        let timeout_ms = unsafe { out_argument("timeout_ms", timeout_ms)? };
        *timeout_ms = found
            .next_timeout()?
            .map_or(-1, |timeout| c_int::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(c_int::MAX));
        Ok(())
    })
}
