//! What a host notices of a defect in the library: one device closes with LOSANT_ERR_INTERNAL, and everything goes on.
//! Here because a shipped library has no defect to inject; it is driven as C drives it.

use super::fault_point::FaultPoint;
use crate::{
    Stats,
    ffi::{
        guard::{guard, guard_or},
        *,
    },
    status::{Status, Status::*},
};
use std::{
    ffi::{CString, c_int, c_void},
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::Command,
    ptr::{null, null_mut},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::*},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

/// Long enough for a busy machine: only failures take it.
const DEADLINE: Duration = Duration::from_secs(60);

/// The type of an event, its status, its text.
type Heard = (c_int, Option<Status>, String);
const CONNECT: c_int = crate::EventType::LOSANT_EVENT_CONNECT as c_int;
const CLOSE: c_int = crate::EventType::LOSANT_EVENT_CLOSE as c_int;

/// A broker that accepts everything and acknowledges states; those that say "kept" only when it is told to.
fn broker(acknowledge_kept: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let acknowledge_kept = acknowledge_kept.clone();
            thread::spawn(move || serve(stream, &acknowledge_kept));
        }
    });
    port
}

fn serve(mut stream: TcpStream, acknowledge_kept: &AtomicBool) -> std::io::Result<()> {
    loop {
        // Nothing here is longer than 127 bytes.
        let mut head = [0; 2];
        stream.read_exact(&mut head)?;
        let mut body = vec![0; head[1].into()];
        stream.read_exact(&mut body)?;
        match head[0] & 0xf0 {
            0x10 => stream.write_all(&[0x20, 2, 0, 0])?,
            0x80 => stream.write_all(&[0x90, 3, body[0], body[1], 0])?,
            0x30 => {
                let at = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
                if acknowledge_kept.load(Acquire) || !String::from_utf8_lossy(&body).contains("kept") {
                    stream.write_all(&[0x40, 2, body[at], body[at + 1]])?;
                }
            }
            _ => {}
        }
    }
}

unsafe extern "C" fn hear(_: *mut losant_device, event: *const losant_event, heard: *mut c_void) {
    // SAFETY: the library lends an event, and each observer was given a sender that outlives its device.
    let (event, heard) = unsafe { (&*event, &*heard.cast::<Sender<Heard>>()) };
    let text = if event.text.is_null() {
        String::new()
    } else {
        // SAFETY: a text of the event, NUL-terminated.
        unsafe { std::ffi::CStr::from_ptr(event.text) }.to_string_lossy().into_owned()
    };
    heard.send((event.r#type, Status::from_code(event.status), text)).unwrap();
}

struct Handle {
    device: *mut losant_device,
    heard: Receiver<Heard>,
    _sender: Box<Sender<Heard>>,
}

impl Handle {
    fn new(id: &str, port: u16) -> Handle {
        let (sender, heard) = channel();
        let sender = Box::new(sender);
        let (id, mut device) = (CString::new(id).unwrap(), null_mut());
        // SAFETY: a text, no login, and a place for the handle.
        assert_eq!(unsafe { losant_device_new(id.as_ptr(), null(), null(), &mut device) }, LOSANT_OK);
        // SAFETY: a text.
        assert_eq!(unsafe { losant_device_set_host(device, c"127.0.0.1".as_ptr()) }, LOSANT_OK);
        assert_eq!(losant_device_set_port(device, port.into()), LOSANT_OK);
        assert_eq!(losant_device_set_secure(device, false), LOSANT_OK);
        let user_data = (&raw const *sender).cast_mut().cast();
        for event in [CONNECT, CLOSE] {
            // SAFETY: the callback takes what it is given, and the sender outlives the device.
            let added = unsafe { losant_device_add_event_observer(device, event, Some(hear), user_data, None) };
            assert_eq!(added, LOSANT_OK);
        }
        Handle { device, heard, _sender: sender }
    }

    fn send(&self, state: &str) {
        let state = CString::new(state).unwrap();
        // SAFETY: a text.
        assert_eq!(unsafe { losant_device_send_state(self.device, state.as_ptr(), 0) }, LOSANT_OK);
    }

    fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        // SAFETY: a place of this size.
        assert_eq!(unsafe { losant_device_stats(self.device, &mut stats, size_of::<Stats>()) }, LOSANT_OK);
        stats
    }

    /// Waits for the next event; a device that nobody else drives is driven here.
    fn next(&self, way: &str) -> Heard {
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            let wait = if way == "loop" { Duration::ZERO } else { DEADLINE };
            if let Ok(heard) = self.heard.recv_timeout(wait) {
                return heard;
            }
            let status = losant_device_loop(self.device, 100);
            assert!(matches!(status, LOSANT_OK | LOSANT_ERR_INTERNAL), "{status:?}");
        }
        panic!("nothing was heard")
    }

    fn until(&self, way: &str, what: &str, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !condition() {
            assert!(Instant::now() < deadline, "never happened: {what}");
            if way == "loop" {
                assert_eq!(losant_device_loop(self.device, 10), LOSANT_OK);
            } else {
                thread::yield_now();
            }
        }
    }

    fn inject(&self, point: FaultPoint) {
        crate::ffi::handle::find(self.device).unwrap().engine().fault.put(point);
    }

    fn begin(&self, way: &str) {
        let status =
            if way == "loop" { losant_device_connect(self.device, false) } else { losant_device_start(self.device) };
        assert_eq!(status, LOSANT_OK);
        assert_eq!(self.next(way).0, CONNECT);
    }
}

fn closed_and_kept(way: &str, point: FaultPoint) {
    let acknowledge = Arc::new(AtomicBool::new(false));
    let port = broker(acknowledge.clone());
    let (failing, other) = (Handle::new("failing", port), Handle::new("other", port));
    failing.begin(way);
    other.begin("start");
    for n in 0..3 {
        failing.send(&format!("{{\"kept\":{n}}}"));
    }
    failing.until(way, "the states are sent", || failing.stats().sent == 3);

    failing.inject(point);
    // Wakes the loop.
    failing.send("{\"kept\":3}");
    let (event, status, text) = failing.next(way);
    assert_eq!((event, status), (CLOSE, Some(LOSANT_ERR_INTERNAL)), "{text}");
    assert!(text.contains("a defect in liblosant") && text.contains("injected"), "{text}");
    assert!(text.contains("fault_point.rs:"), "the place is told: {text}");
    assert!(!losant_device_is_connected(failing.device));
    assert_eq!(failing.stats().queued, 4, "accepted means kept");

    if point == FaultPoint::Thread {
        // It was the thread of both.
        assert_eq!(other.next("start").1, Some(LOSANT_ERR_INTERNAL));
        other.begin("start");
    }
    other.send("{\"other\":1}");
    let delivered = |device: &Handle, count| device.stats().delivered == count;
    other.until("start", "the other device goes on", || delivered(&other, 1));
    acknowledge.store(true, Release);
    failing.begin(way);
    failing.until(way, "what was kept is delivered", || delivered(&failing, 4));
    for device in [&failing, &other] {
        assert_eq!(losant_device_free(device.device), LOSANT_OK);
    }
}

#[test]
fn a_defect_closes_one_device_and_loses_nothing() {
    for way in ["start", "loop"] {
        closed_and_kept(way, FaultPoint::Work);
    }
}

/// In processes of its own: on the background thread of this one live other tests' devices, and its output is shared.
#[test]
fn nothing_is_printed_and_a_defect_of_the_thread_closes_its_devices() {
    const CHILD: &str = "LOSANT_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        closed_and_kept("start", FaultPoint::Thread);
        return closed_and_kept("loop", FaultPoint::Work);
    }
    let name = "nothing_is_printed_and_a_defect_of_the_thread_closes_its_devices";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("testing::defects::{name}"), "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_panic_does_not_leave_a_function() {
    assert_eq!(guard("test", || panic!("injected")), LOSANT_ERR_INTERNAL);
    assert_eq!(guard_or(7, "test", || panic!("injected")), 7);
}
