//! Random calls of the C interface: any bytes are a program for several devices, a broker that says what it likes, and
//! callbacks that call back. Nothing may crash, hang, or end in the status for a defect.
//!
//! Only loopback is connected to, and only ports of this process.

mod broker;

use losant::{Stats, Status, ffi::*};
use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    ptr,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

/// Calls of one sequence, so that none takes long.
const CALLS: usize = 60;

/// Observers and calls from callbacks of one sequence: one that adds itself again and again must end too.
static BUDGET: AtomicUsize = AtomicUsize::new(0);

/// Handles of this sequence as numbers, the freed ones too.
static HANDLES: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// Runs one sequence, alone.
pub fn run(data: &[u8]) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(|broken| broken.into_inner());
    let mut bytes = Bytes(data);
    BUDGET.store(100, SeqCst);
    broker::say(bytes.byte(), bytes.slice());
    for _ in 0..CALLS {
        if bytes.0.is_empty() {
            break;
        }
        call(&mut bytes);
    }
    let handles = std::mem::take(&mut *HANDLES.lock().expect("no panic"));
    for handle in handles {
        let handle = handle as *mut losant_device;
        losant_device_free(handle);
        assert_eq!(losant_device_close(handle), Status::LOSANT_ERR_INVALID_HANDLE);
    }
    // SAFETY: there is no callback.
    check(unsafe { losant_set_log_callback(None, 1, ptr::null_mut()) });
    broker::end();
}

/// The program that is left.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    fn int(&mut self) -> c_int {
        match self.byte() {
            255 => c_int::MAX,
            254 => c_int::MIN,
            253 => 65_536,
            252 => i32::from_le_bytes([0; 4].map(|_: u8| self.byte())),
            small => c_int::from(small) - 2,
        }
    }

    fn slice(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()).min(self.0.len());
        let (slice, rest) = self.0.split_at(length);
        self.0 = rest;
        slice
    }

    /// Any text, UTF-8 or not.
    fn text(&mut self) -> CString {
        let text: Vec<u8> = self.slice().iter().copied().filter(|byte| *byte != 0).collect();
        CString::new(text).unwrap_or_default()
    }

    /// A device, one that is freed, or what never was one.
    fn handle(&mut self) -> *mut losant_device {
        let which = usize::from(self.byte());
        let handles = HANDLES.lock().expect("no panic");
        let number = match which {
            250 => 0,
            251 => 1,
            252 => usize::MAX,
            253 => 1 << 62,
            254 => handles.first().map_or(7, |handle| handle + 1),
            255 => handles.last().map_or(8, |handle| handle ^ (1 << 20)),
            _ if handles.is_empty() => 0,
            _ => handles[which % handles.len()],
        };
        number as *mut losant_device
    }
}

fn check(status: Status) -> Status {
    assert_ne!(status, Status::LOSANT_ERR_INTERNAL);
    status
}

fn call(bytes: &mut Bytes) {
    let what = bytes.byte() % 46;
    let device = if what == 0 { ptr::null_mut() } else { bytes.handle() };
    // SAFETY: texts are NUL-terminated and live through the call; places are numbers of the right kind.
    unsafe {
        check(match what {
            0 => new(bytes),
            1 => losant_device_free(device),
            2 => losant_device_set_host(device, host(bytes.byte()).as_ptr()),
            3 => {
                let (broker, dead) = broker::ports();
                let port = match bytes.byte() {
                    0..=150 => broker.into(),
                    151..=200 => dead.into(),
                    201..=220 => -1,
                    _ => 65_536,
                };
                losant_device_set_port(device, port)
            }
            4 => losant_device_set_secure(device, bytes.byte() & 1 == 1),
            5 => losant_device_set_transport(device, bytes.int()),
            6 => {
                let text = bytes.text();
                check(losant_device_add_http_header(device, c"X-A".as_ptr(), text.as_ptr()));
                let value = if text.is_empty() { ptr::null() } else { text.as_ptr() };
                check(losant_device_add_http_header(device, text.as_ptr(), value));
                losant_device_set_websocket_path(device, text.as_ptr())
            }
            7 => losant_device_set_interface(device, optional(bytes, |bytes| bytes.text()).as_ptr()),
            8 => {
                losant_device_set_ca_pem(device, optional(bytes, |bytes| bytes.text()).as_ptr(), bytes.byte() & 1 == 1)
            }
            9 => {
                let path = optional(bytes, |_| c"/nowhere/ca.pem".to_owned());
                losant_device_set_ca_file(device, path.as_ptr(), bytes.byte() & 1 == 1)
            }
            10 => losant_device_set_system_roots(device, bytes.byte() == 1),
            11 => losant_device_set_client_certificate_pem(device, bytes.text().as_ptr(), bytes.text().as_ptr()),
            12 => {
                let nowhere = c"/nowhere/file.pem".as_ptr();
                losant_device_set_client_certificate_files(device, nowhere, nowhere)
            }
            13 => losant_device_set_keep_alive_seconds(device, bytes.int() as u32),
            14 => {
                check(losant_device_set_receive_commands(device, bytes.byte() & 1 == 0));
                losant_device_set_qos(device, bytes.int())
            }
            15 => losant_device_set_reconnect_delay(device, bytes.int() as u32, bytes.int() as u32),
            16 => losant_device_set_connect_timeout(device, bytes.int() as u32),
            17..=19 => add(device, bytes.int(), bytes.byte()),
            20 => remove(device, bytes.int(), bytes.byte()),
            21 | 22 => losant_device_connect(device, false),
            23 => blocking(device),
            24..=26 => losant_device_loop(device, c_int::from(bytes.byte() % 3)),
            27 => losant_device_start(device),
            28 => losant_device_close(device),
            29 => {
                let (mut fd, mut timeout, mut stats) = (0, 0, Stats::default());
                losant_device_is_connected(device);
                check(losant_device_fd(device, &mut fd));
                check(losant_device_next_timeout(device, &mut timeout));
                losant_device_stats(device, &mut stats, usize::from(bytes.byte()).min(size_of::<Stats>()))
            }
            30 | 31 => {
                let text = match bytes.byte() {
                    0..=127 => c"{\"a\":1}".to_owned(),
                    128..=250 => bytes.text(),
                    _ => CString::new(format!("{{\"a\":\"{}\"}}", "x".repeat(100_000))).unwrap_or_default(),
                };
                losant_device_send_state(device, text.as_ptr(), bytes.int().into())
            }
            32 => {
                let mut ms = 0;
                let _ = CStr::from_ptr(losant_status_string(bytes.int())).to_str().expect("a text");
                losant_parse_time(bytes.text().as_ptr(), &mut ms)
            }
            33 => losant_set_log_callback(Some(on_log), bytes.int(), ptr::without_provenance_mut(bytes.byte().into())),
            34 => {
                broker::say(bytes.byte(), bytes.slice());
                Status::LOSANT_OK
            }
            35 => nulls(device),
            36 => losant_device_set_outbox_limits(device, bytes.int() as u32, (bytes.int() as u32).wrapping_mul(512)),
            37 => losant_device_set_when_full(device, bytes.int()),
            38 => {
                check(losant_device_set_merge_limit(device, (bytes.int() as u32).wrapping_mul(512)));
                check(losant_device_set_strict(device, bytes.byte() & 1 == 1));
                losant_device_set_max_in_flight(device, bytes.int() as u32)
            }
            39 => losant_device_set_rate_limit(device, bytes.int() as u32, bytes.int() as u32, bytes.int() as u32),
            40 => {
                let (json, version, meta, mut id) = (bytes.slice(), bytes.text(), bytes.text(), 0);
                let mut state = state_of(json.as_ptr().cast(), bytes.int().into());
                state.json_len = json.len() as u64;
                state.flow_version = if bytes.byte() & 1 == 0 { version.as_ptr() } else { ptr::null() };
                state.meta = if bytes.byte() & 1 == 0 { meta.as_ptr() } else { ptr::null() };
                if bytes.byte() == 7 {
                    state.size = u32::from(bytes.byte());
                }
                if json.is_empty() {
                    state.json = c"{}".as_ptr();
                }
                let status = losant_device_send(device, &state, &mut id);
                assert_eq!(status == Status::LOSANT_OK, id != 0);
                status
            }
            41 => {
                let peripheral = if bytes.byte() & 1 == 0 { c"p".to_owned() } else { bytes.text() };
                let (state, mut id) = (c"{\"p\":1}".as_ptr(), 0);
                let place = if bytes.byte() & 1 == 0 { &raw mut id } else { ptr::null_mut() };
                let mut state = state_of(state, bytes.int().into());
                state.peripheral_id = peripheral.as_ptr();
                losant_device_send(device, &state, place)
            }
            42 => losant_device_flush(device, c_int::from(bytes.byte() % 3)),
            43 => losant_device_drain(device, c_int::from(bytes.byte() % 3)),
            44 => add_with_destructor(device, bytes.int(), bytes.byte()),
            _ => {
                // The background thread gets its time.
                thread::sleep(Duration::from_millis(u64::from(bytes.byte() % 4)));
                Status::LOSANT_OK
            }
        });
    }
}

/// A text or NULL.
enum Optional {
    Text(CString),
    Null,
}

impl Optional {
    fn as_ptr(&self) -> *const c_char {
        match self {
            Optional::Text(text) => text.as_ptr(),
            Optional::Null => ptr::null(),
        }
    }
}

fn optional(bytes: &mut Bytes, text: impl FnOnce(&mut Bytes) -> CString) -> Optional {
    if bytes.byte() & 1 == 1 { Optional::Text(text(bytes)) } else { Optional::Null }
}

fn host(which: u8) -> CString {
    let host = match which {
        0..=150 => "127.0.0.1",
        151..=170 => "localhost",
        171..=180 => "::1",
        181..=190 => "[::1]",
        191..=200 => "",
        201..=210 => "two words",
        211..=220 => "tcp://localhost",
        _ => "[",
    };
    CString::new(host).unwrap_or_default()
}

/// A device that connects to this process alone.
fn new(bytes: &mut Bytes) -> Status {
    if HANDLES.lock().expect("no panic").len() >= 8 {
        return Status::LOSANT_OK;
    }
    let id = if bytes.byte() < 200 { c"d1".to_owned() } else { bytes.text() };
    let key = optional(bytes, |_| c"a-key".to_owned());
    let secret = optional(bytes, |bytes| if bytes.byte() < 200 { c"a-secret".to_owned() } else { bytes.text() });
    let mut device = ptr::null_mut();
    // SAFETY: texts are NUL-terminated and live through the call; `device` is a place for a handle.
    let status = unsafe { losant_device_new(id.as_ptr(), key.as_ptr(), secret.as_ptr(), &mut device) };
    if status == Status::LOSANT_OK {
        // SAFETY: as above.
        check(unsafe { losant_device_set_host(device, c"127.0.0.1".as_ptr()) });
        check(losant_device_set_port(device, broker::ports().0.into()));
        check(losant_device_set_secure(device, false));
        check(losant_device_set_reconnect_delay(device, 1, 1));
        HANDLES.lock().expect("no panic").push(device as usize);
    } else {
        assert!(device.is_null());
    }
    status
}

/// A blocking connect that is sure to end: by the first failure, or by the observer that closes.
fn blocking(device: *mut losant_device) -> Status {
    let user_data = ptr::without_provenance_mut(1000);
    if losant_device_set_connect_timeout(device, 20) != Status::LOSANT_OK
        || add_observer(device, 1, Some(on_event), user_data, None) != Status::LOSANT_OK
    {
        return Status::LOSANT_OK;
    }
    losant_device_connect(device, true)
}

/// Every place for something that may not be NULL.
fn nulls(device: *mut losant_device) -> Status {
    let null = ptr::null();
    // SAFETY: NULL is what these functions are to find out.
    let answers = unsafe {
        [
            losant_device_new(null, null, null, ptr::null_mut()),
            losant_device_set_host(device, null),
            losant_device_set_websocket_path(device, null),
            losant_device_add_http_header(device, null, null),
            losant_device_set_client_certificate_pem(device, null, null),
            losant_device_set_client_certificate_files(device, null, null),
            losant_device_add_event_observer(device, 1, None, ptr::null_mut(), None),
            losant_device_remove_event_observer(device, 1, None, ptr::null_mut()),
            losant_device_send_state(device, null, 0),
            losant_device_send(device, ptr::null(), ptr::null_mut()),
            losant_device_send(device, &state_of(null, 0), ptr::null_mut()),
            losant_device_fd(device, ptr::null_mut()),
            losant_device_next_timeout(device, ptr::null_mut()),
            losant_device_stats(device, ptr::null_mut(), size_of::<Stats>()),
            losant_parse_time(null, ptr::null_mut()),
        ]
    };
    for answer in answers {
        assert!(
            matches!(answer, Status::LOSANT_ERR_NULL_ARGUMENT | Status::LOSANT_ERR_INVALID_HANDLE),
            "{answer}: NULL was taken"
        );
    }
    Status::LOSANT_OK
}

fn add_observer(
    device: *mut losant_device,
    event: c_int,
    callback: losant_event_callback,
    user_data: *mut c_void,
    destroy: losant_destroy_callback,
) -> Status {
    // SAFETY: the callbacks take their user data for a number.
    unsafe { losant_device_add_event_observer(device, event, callback, user_data, destroy) }
}

fn state_of(json: *const c_char, time_ms: i64) -> losant_state {
    losant_state {
        size: size_of::<losant_state>() as u32,
        reserved: 0,
        json,
        json_len: 0,
        time_ms,
        peripheral_id: ptr::null(),
        flow_version: ptr::null(),
        meta: ptr::null(),
    }
}

fn add(device: *mut losant_device, event: c_int, action: u8) -> Status {
    if !spend() {
        return Status::LOSANT_OK;
    }
    add_observer(device, event, Some(on_event), ptr::without_provenance_mut(action.into()), None)
}

/// One whose end looks at its user data, and calls the library.
fn add_with_destructor(device: *mut losant_device, event: c_int, action: u8) -> Status {
    if !spend() {
        return Status::LOSANT_OK;
    }
    let user_data = ptr::without_provenance_mut(action.into());
    add_observer(device, event, Some(on_event), user_data, Some(on_end))
}

extern "C" fn on_end(user_data: *mut c_void) {
    assert!(user_data as usize <= u8::MAX.into());
    let first = HANDLES.lock().expect("no panic").first().copied().unwrap_or_default();
    losant_device_is_connected(first as *mut losant_device);
}

fn remove(device: *mut losant_device, event: c_int, action: u8) -> Status {
    let user_data = ptr::without_provenance_mut(action.into());
    // SAFETY: arguments that are compared and not followed.
    unsafe { losant_device_remove_event_observer(device, event, Some(on_event), user_data) }
}

fn spend() -> bool {
    BUDGET.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok()
}

/// Does what its user data tells, with its own device or another.
extern "C" fn on_event(device: *mut losant_device, event: *const losant_event, user_data: *mut c_void) {
    // SAFETY: the library lends an event for this call.
    let event = unsafe { &*event };
    look_at(event);
    let action = user_data as usize;
    if action == 1000 {
        losant_device_close(device);
    }
    if action >= 1000 || !spend() {
        return;
    }
    let target = if action & 16 == 0 {
        device
    } else {
        let handles = HANDLES.lock().expect("no panic");
        handles[(action >> 5) % handles.len()] as *mut losant_device
    };
    let type_ = event.r#type;
    check(match action % 16 {
        0 => losant_device_close(target),
        1 => losant_device_free(target),
        // SAFETY: a NUL-terminated text.
        2 | 3 => unsafe { losant_device_send_state(target, c"{\"b\":2}".as_ptr(), -1) },
        4 => add(target, type_, action as u8),
        5 => remove(target, type_, action as u8),
        6 => losant_device_loop(target, 0),
        7 if target == device => losant_device_connect(target, true),
        7 | 8 => losant_device_connect(target, false),
        9 => losant_device_start(target),
        // SAFETY: there is no callback.
        10 => unsafe { losant_set_log_callback(None, 4, ptr::null_mut()) },
        11 => losant_device_set_qos(target, 0),
        12 => {
            check(losant_device_free(target));
            losant_device_free(target)
        }
        13 => losant_device_flush(target, -1),
        14 => losant_device_drain(target, -1),
        _ => Status::LOSANT_OK,
    });
}

/// Reads all that an event lends.
fn look_at(event: &losant_event) {
    assert_ne!(event.status, Status::LOSANT_ERR_INTERNAL.code());
    assert_eq!(event.size as usize, size_of::<losant_event>());
    for (text, length) in [
        (event.text, event.text_len),
        (event.device_id, event.device_id_len),
        (event.name, event.name_len),
        (event.payload, event.payload_len),
        (event.time, event.time_len),
        (event.topic, event.topic_len),
        (event.message, event.message_len),
    ] {
        if text.is_null() {
            assert_eq!(length, 0);
            continue;
        }
        // SAFETY: the event says that there are so many bytes and a NUL.
        let bytes = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), length as usize + 1) };
        assert_eq!(bytes.last(), Some(&0));
        if text != event.message {
            assert!(std::str::from_utf8(bytes).is_ok());
        }
    }
}

extern "C" fn on_log(level: c_int, message: *const c_char, length: usize, user_data: *mut c_void) {
    // SAFETY: the library lends a NUL-terminated text for this call.
    let message = unsafe { CStr::from_ptr(message) };
    assert!((1..=4).contains(&level) && message.to_bytes().len() == length);
    let text = message.to_str().expect("the log is UTF-8");
    assert!(!text.contains("a-secret") && !text.contains("a defect in liblosant"), "{text}");
    if spend() && user_data as usize & 7 == 7 {
        let first = HANDLES.lock().expect("no panic").first().copied().unwrap_or_default();
        losant_device_close(first as *mut losant_device);
    }
}
