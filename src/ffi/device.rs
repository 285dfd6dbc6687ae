//! Everything a device can do, for C.

use super::{
    event::{losant_event_callback, with_c_event},
    guard, guard_or,
    handle::{self, CDevice, ObserverKey, losant_device},
    text::{optional_text_argument, out_argument, text_argument},
};
use crate::{
    device::Device,
    event::EventType,
    observers::ObserverId,
    options::{Transport, check_range},
    status::{Error, Status, Status::*},
};
use std::{
    ffi::{c_char, c_int, c_void},
    path::Path,
    time::Duration,
};

// ---- Making and freeing -----------------------------------------------------------------------------------------

/// Makes a device. It does nothing until it is connected; set its options first.
///
/// @param device_id the Losant device id, which is also the MQTT client id; not empty, without / + # and control
/// characters; copied
/// @param key the access key; copied. NULL, together with secret, for a device that only its client certificate names
/// @param secret the access secret; copied, and wiped from memory with the device
/// @param device receives the handle; to be given back with losant_device_free
/// @return LOSANT_OK; LOSANT_ERR_NULL_ARGUMENT; LOSANT_ERR_INVALID_UTF8; LOSANT_ERR_INVALID_ARGUMENT for a device id or
/// text that MQTT cannot carry; LOSANT_ERR_SYSTEM if there are a million devices already
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_device_new(
    device_id: *const c_char,
    key: *const c_char,
    secret: *const c_char,
    device: *mut *mut losant_device,
) -> Status {
    guard("losant_device_new", || {
        // SAFETY: the caller passes NULL or NUL-terminated strings.
        let id = unsafe { text_argument("device_id", device_id)? };
        let login = if key.is_null() && secret.is_null() {
            None
        } else {
            // SAFETY: as above.
            Some(unsafe { (text_argument("key", key)?, text_argument("secret", secret)?) })
        };
        // SAFETY: the caller passes NULL or a place for a handle.
        let place = unsafe { out_argument("device", device)? };
        *place = handle::issue(Device::new(id, login)?)?;
        Ok(())
    })
}

/// Frees a device: legal at any time, on any thread, also inside its own callbacks. A connection is closed, without a
/// close event; states that were not delivered are lost.
///
/// After it returns, no callback of the device starts. Called outside of callbacks, it also waits for one that runs on
/// another thread; called inside any callback, it does not wait. So do not hold a lock that a callback takes.
///
/// @param device the handle; invalid from now on, in every function
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE if it is NULL, was never issued, or is freed already
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_free(device: *mut losant_device) -> Status {
    guard("losant_device_free", || {
        handle::revoke(device)?.device.shut_down();
        Ok(())
    })
}

// ---- Options: to be set before connecting -----------------------------------------------------------------------

/// Sets the broker's host: a name, an IPv4 or an IPv6 address. The default is "broker.losant.com".
///
/// @param device the device, not connecting or connected
/// @param host UTF-8, NUL-terminated, at most 255 bytes, not a URL; copied
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_NULL_ARGUMENT; LOSANT_ERR_INVALID_UTF8;
/// LOSANT_ERR_INVALID_ARGUMENT; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_device_set_host(device: *mut losant_device, host: *const c_char) -> Status {
    guard("losant_device_set_host", || {
        let found = handle::find(device)?;
        // SAFETY: the caller passes NULL or a NUL-terminated string.
        found.device.set_host(unsafe { text_argument("host", host)? })
    })
}

/// Sets the broker's port.
///
/// @param device the device, not connecting or connected
/// @param port 1 to 65535, or 0, the default, for the usual one: 1883; 8883 when secure; 80 over WebSocket; 443 over
/// WebSocket when secure
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_INVALID_ARGUMENT; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_set_port(device: *mut losant_device, port: c_int) -> Status {
    guard("losant_device_set_port", || {
        let found = handle::find(device)?;
        let port = u16::try_from(port)
            .map_err(|_| Error::new(LOSANT_ERR_INVALID_ARGUMENT, format!("port is {port}; it must be 0 to 65535")))?;
        found.device.set_port(port)
    })
}

/// Sets whether to use TLS. The default is true.
///
/// @param device the device, not connecting or connected
/// @param secure false sends key, secret and data in the clear: for tests and closed networks only
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_set_secure(device: *mut losant_device, secure: bool) -> Status {
    guard("losant_device_set_secure", || handle::find(device)?.device.set_secure(secure))
}

/// Sets what carries MQTT. The default is LOSANT_TRANSPORT_TCP.
///
/// @param device the device, not connecting or connected
/// @param transport a losant_transport
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_INVALID_ARGUMENT; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_set_transport(device: *mut losant_device, transport: c_int) -> Status {
    guard("losant_device_set_transport", || {
        let found = handle::find(device)?;
        let transport = Transport::from_code(transport).ok_or_else(|| {
            Error::new(LOSANT_ERR_INVALID_ARGUMENT, format!("transport is {transport}, which is no losant_transport"))
        })?;
        found.device.set_transport(transport)
    })
}

/// Sets the path that a WebSocket is asked for. The default is "/mqtt".
///
/// @param device the device, not connecting or connected
/// @param path begins with "/", printable ASCII, at most 1,024 bytes; copied
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_NULL_ARGUMENT; LOSANT_ERR_INVALID_UTF8;
/// LOSANT_ERR_INVALID_ARGUMENT; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_device_set_websocket_path(device: *mut losant_device, path: *const c_char) -> Status {
    guard("losant_device_set_websocket_path", || {
        let found = handle::find(device)?;
        // SAFETY: the caller passes NULL or a NUL-terminated string.
        found.device.set_websocket_path(unsafe { text_argument("path", path)? })
    })
}

/// Sets the network interface that connections must use. Older kernels demand CAP_NET_RAW for it.
///
/// @param device the device, not connecting or connected
/// @param name for example "wwan0"; copied. NULL, the default, lets the system choose.
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_INVALID_UTF8; LOSANT_ERR_INVALID_ARGUMENT;
/// LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_device_set_interface(device: *mut losant_device, name: *const c_char) -> Status {
    guard("losant_device_set_interface", || {
        let found = handle::find(device)?;
        // SAFETY: the caller passes NULL or a NUL-terminated string.
        found.device.set_interface(unsafe { optional_text_argument("name", name)? })
    })
}

/// Sets roots to trust, as PEM text. By default only the roots that the library brings are trusted: DigiCert's, which sign
/// what broker.losant.com presents. The host name is always checked, and verification cannot be switched off.
///
/// @param device the device, not connecting or connected
/// @param pem one or more certificates; copied. NULL takes back what was set and trusts the library's roots again.
/// @param replace true: trust these instead of the library's roots; false: besides them
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_INVALID_UTF8; LOSANT_ERR_CERTIFICATE_FILE if it is not PEM with
/// certificates; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_device_set_ca_pem(
    device: *mut losant_device,
    pem: *const c_char,
    replace: bool,
) -> Status {
    guard("losant_device_set_ca_pem", || {
        let found = handle::find(device)?;
        // SAFETY: the caller passes NULL or a NUL-terminated string.
        found.device.set_ca_pem(unsafe { optional_text_argument("pem", pem)? }, replace)
    })
}

/// Sets a file with roots to trust, PEM. It is read again at each connection, so that a rotated file needs no restart; one
/// that cannot be read then is an error event with LOSANT_ERR_CERTIFICATE_FILE, and tried again.
///
/// @param device the device, not connecting or connected
/// @param path the file; copied. NULL takes back what was set and trusts the library's roots again.
/// @param replace true: trust these instead of the library's roots; false: besides them
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_INVALID_UTF8; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_device_set_ca_file(
    device: *mut losant_device,
    path: *const c_char,
    replace: bool,
) -> Status {
    guard("losant_device_set_ca_file", || {
        let found = handle::find(device)?;
        // SAFETY: the caller passes NULL or a NUL-terminated string.
        found.device.set_ca_file(unsafe { optional_text_argument("path", path)? }.map(Path::new), replace)
    })
}

/// Sets whether to trust the operating system's roots too. The default is false.
///
/// @param device the device, not connecting or connected
/// @param trusted true: besides whatever else is trusted
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_set_system_roots(device: *mut losant_device, trusted: bool) -> Status {
    guard("losant_device_set_system_roots", || handle::find(device)?.device.set_system_roots(trusted))
}

/// Sets the device's own certificate, for brokers that ask for one; key and secret of losant_device_new are sent as well
/// unless they are NULL.
///
/// @param device the device, not connecting or connected
/// @param certificates PEM: the certificate, then any intermediate ones; copied
/// @param key PEM: the private key, PKCS#8 ("BEGIN PRIVATE KEY"), unencrypted; copied, and wiped from memory with the device
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_NULL_ARGUMENT; LOSANT_ERR_INVALID_UTF8;
/// LOSANT_ERR_CERTIFICATE_FILE if they are not that; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_device_set_client_certificate_pem(
    device: *mut losant_device,
    certificates: *const c_char,
    key: *const c_char,
) -> Status {
    guard("losant_device_set_client_certificate_pem", || {
        let found = handle::find(device)?;
        // SAFETY: the caller passes NULL or NUL-terminated strings.
        let (certificates, key) = unsafe { (text_argument("certificates", certificates)?, text_argument("key", key)?) };
        found.device.set_client_certificate_pem(certificates, key)
    })
}

/// The same as losant_device_set_client_certificate_pem from files, which are read again at each connection, so that they can
/// be renewed without a restart; one that cannot be read then is an error event with LOSANT_ERR_CERTIFICATE_FILE.
///
/// @param device the device, not connecting or connected
/// @param certificates path of the certificate file; copied
/// @param key path of the key file; copied
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_NULL_ARGUMENT; LOSANT_ERR_INVALID_UTF8;
/// LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_device_set_client_certificate_files(
    device: *mut losant_device,
    certificates: *const c_char,
    key: *const c_char,
) -> Status {
    guard("losant_device_set_client_certificate_files", || {
        let found = handle::find(device)?;
        // SAFETY: the caller passes NULL or NUL-terminated strings.
        let (certificates, key) = unsafe { (text_argument("certificates", certificates)?, text_argument("key", key)?) };
        found.device.set_client_certificate_files(Path::new(certificates), Path::new(key))
    })
}

/// Sets the MQTT keep-alive. The default is 15 seconds. A link that has died silently is found within twice this time.
///
/// @param device the device, not connecting or connected
/// @param seconds 1 to 65535
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_INVALID_ARGUMENT; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_set_keep_alive(device: *mut losant_device, seconds: u32) -> Status {
    guard("losant_device_set_keep_alive", || handle::find(device)?.device.set_keep_alive(seconds))
}

/// Sets the MQTT quality of service of states. The default is 1.
///
/// @param device the device, not connecting or connected
/// @param qos 1: a state is kept until the broker acknowledges it, and sent again on the next connection if it does not;
/// 0: until it has been written to the network. The platform has no QoS 2.
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_INVALID_ARGUMENT; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_set_qos(device: *mut losant_device, qos: c_int) -> Status {
    guard("losant_device_set_qos", || {
        let found = handle::find(device)?;
        let qos = u8::try_from(qos)
            .map_err(|_| Error::new(LOSANT_ERR_INVALID_ARGUMENT, format!("QoS is {qos}; it must be 0 or 1")))?;
        found.device.set_qos(qos)
    })
}

/// Sets the bounds of the delay before a reconnect. Each delay is random between 0 and a ceiling, which doubles with every
/// failure, so that a fleet does not come back at one moment.
///
/// @param device the device, not connecting or connected
/// @param initial_ms the first ceiling in milliseconds, 1 to 86400000 (a day); the default is 1000
/// @param max_ms the last ceiling in milliseconds, initial_ms to 86400000; the default is 60000
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_INVALID_ARGUMENT; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_set_reconnect_delay(
    device: *mut losant_device,
    initial_ms: u32,
    max_ms: u32,
) -> Status {
    guard("losant_device_set_reconnect_delay", || {
        handle::find(device)?.device.set_reconnect_delay(initial_ms.into(), max_ms.into())
    })
}

/// Sets the deadline of one attempt to connect: name resolution, TCP, TLS, WebSocket and the broker's acceptance
/// together.
///
/// @param device the device, not connecting or connected
/// @param timeout_ms milliseconds, 1 to 86400000 (a day); the default is 30000
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_INVALID_ARGUMENT; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_set_connect_timeout(device: *mut losant_device, timeout_ms: u32) -> Status {
    guard("losant_device_set_connect_timeout", || handle::find(device)?.device.set_connect_timeout(timeout_ms.into()))
}

// ---- Connecting: three ways to run ------------------------------------------------------------------------------

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
        let found = handle::find(device)?.device.clone();
        if blocking { found.connect_blocking() } else { found.connect() }
    })
}

/// Does the network work and the callbacks of a device connected with blocking false, on this thread. Call it again and
/// again, at the latest when losant_device_next_timeout says.
///
/// @param device the device
/// @param timeout_ms how long to wait for something to do, in milliseconds; 0 does not wait, negative waits as long as
/// it takes. A signal handled on this thread, or a call of another thread, may end the wait early.
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_NOT_RUNNING if the device is not connecting or connected, or
/// is run by the background thread; LOSANT_ERR_BUSY if another thread is in the loop; LOSANT_ERR_IN_CALLBACK inside a
/// callback of the same device; LOSANT_ERR_SYSTEM. If the broker refused the device, what losant_device_connect lists.
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_loop(device: *mut losant_device, timeout_ms: c_int) -> Status {
    guard("losant_device_loop", || {
        let found = handle::find(device)?.device.clone();
        found.turn(u64::try_from(timeout_ms).ok().map(Duration::from_millis))
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
    guard("losant_device_start", || handle::find(device)?.device.start())
}

/// Whether the device is connected: the broker has accepted it and its subscription, states and commands flow.
///
/// @param device the device
/// @return true if it is; false if not, and for an invalid handle
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_is_connected(device: *const losant_device) -> bool {
    guard_or(false, "losant_device_is_connected", || {
        handle::find(device).is_ok_and(|found| found.device.is_connected())
    })
}

/// Closes the connection and ends the attempts to connect. What is in the outbox stays there and goes out after the next
/// connect.
///
/// Never waits. A device that no thread is working on is closed at once, and the close event raised, on this thread;
/// else the thread that turns the loop does it. Closing a closed device does nothing.
///
/// @param device the device
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_close(device: *mut losant_device) -> Status {
    guard("losant_device_close", || {
        let found = handle::find(device)?.device.clone();
        found.close()
    })
}

/// A descriptor for epoll, libuv, GLib and the like: readable when losant_device_loop with timeout 0 has work to do. Only
/// poll it; the library reads and closes it.
///
/// @param device the device, not run by the background thread; may be connected later
/// @param fd receives the descriptor; the same for the life of the device, closed by losant_device_free
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_NULL_ARGUMENT; LOSANT_ERR_NOT_RUNNING if the device is run by
/// the background thread; LOSANT_ERR_SYSTEM
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_device_fd(device: *mut losant_device, fd: *mut c_int) -> Status {
    guard("losant_device_fd", || {
        let found = handle::find(device)?;
        // SAFETY: the caller passes NULL or a place for a number.
        let fd = unsafe { out_argument("fd", fd)? };
        *fd = found.device.fd()?;
        Ok(())
    })
}

/// When to call losant_device_loop if the descriptor stays silent: the timeout for epoll_wait or poll.
///
/// @param device the device, connected with blocking false
/// @param timeout_ms receives milliseconds, rounded up; 0: now; -1: no need
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_NULL_ARGUMENT; LOSANT_ERR_NOT_RUNNING
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_device_next_timeout(device: *mut losant_device, timeout_ms: *mut c_int) -> Status {
    guard("losant_device_next_timeout", || {
        let found = handle::find(device)?;
        // SAFETY: the caller passes NULL or a place for a number.
        let timeout_ms = unsafe { out_argument("timeout_ms", timeout_ms)? };
        *timeout_ms = found
            .device
            .next_timeout()?
            .map_or(-1, |timeout| c_int::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(c_int::MAX));
        Ok(())
    })
}

// ---- States -----------------------------------------------------------------------------------------------------

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

// ---- Observers --------------------------------------------------------------------------------------------------

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
