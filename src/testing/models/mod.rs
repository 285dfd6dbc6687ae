//! Models of what threads do to devices at the same time; see [`super::schedule`]. The code is the library's own; only
//! the broker is made up. A wake-up that is lost, a wait that nobody ends and a lock that is held for ever all show as a
//! deadlock.

mod background;
mod delivery;
mod handles;
mod observers;
mod waking;

use crate::{
    Device, EventType,
    testing::schedule::{check, poll},
};
use shuttle::{
    sync::{Condvar, Mutex},
    thread,
};
use std::sync::Arc;

const DELIVERED: EventType = EventType::LOSANT_EVENT_DELIVERED;
const CONNECT: EventType = EventType::LOSANT_EVENT_CONNECT;
const CLOSE: EventType = EventType::LOSANT_EVENT_CLOSE;

fn device() -> Device {
    Device::new("model", None).unwrap()
}

/// One that is closed by its observers when this many states have been delivered.
fn device_for(states: usize) -> Device {
    let device = device();
    let left = Mutex::new(states);
    device.add_observer(DELIVERED, move |device, _| {
        let mut left = left.lock().unwrap();
        *left -= 1;
        if *left == 0 {
            drop(left);
            device.close().unwrap();
        }
    });
    device
}

/// How a device is driven until it is closed.
#[derive(Clone, Copy, Debug)]
enum Way {
    Blocking,
    Loop,
    /// By an event loop of the host's own.
    Descriptor,
    Start,
}

impl Way {
    fn run(self, device: &Device) {
        match self {
            Way::Blocking => device.connect_blocking().unwrap(),
            Way::Loop => {
                device.connect().unwrap();
                run_until_closed(device);
            }
            Way::Descriptor => {
                device.connect().unwrap();
                let fd = device.fd().unwrap();
                while let Ok(timeout) = device.next_timeout() {
                    if timeout.is_none_or(|timeout| !timeout.is_zero()) {
                        poll::wait_readable(fd);
                    } else {
                        // What is to be done at once may be another thread's to do.
                        thread::yield_now();
                    }
                    let _ = device.run_loop(Some(std::time::Duration::ZERO));
                }
            }
            Way::Start => {
                let closed = Latch::new();
                let sign = closed.clone();
                device.add_observer(CLOSE, move |_, _| sign.open());
                device.start().unwrap();
                closed.wait();
            }
        }
    }
}

/// Runs the loop until the device has ended.
fn run_until_closed(device: &Device) {
    while device.run_loop(None).is_ok() {}
}

/// Something that another thread waits for.
#[derive(Clone)]
struct Latch(Arc<(Mutex<bool>, Condvar)>);

impl Latch {
    fn new() -> Self {
        Latch(Arc::new((Mutex::new(false), Condvar::new())))
    }

    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        let mut open = self.0.0.lock().unwrap();
        while !*open {
            open = self.0.1.wait(open).unwrap();
        }
    }
}
