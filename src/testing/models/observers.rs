//! After remove or free has returned, no callback starts, and none runs on another thread.

use super::{CONNECT, DELIVERED, Latch, Way, check, device, run_until_closed, thread};
use crate::Device;
use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::Arc;

/// User data that knows whether it may still be used.
#[derive(Default)]
struct UserData {
    gone: AtomicBool,
    destroyed: AtomicUsize,
}

/// Its last owner; a callback's.
struct Owner(Arc<UserData>);

impl Owner {
    /// What an observer does: it takes a while, and needs its data all the time. What fails here would be contained by the
    /// library, so it is remembered.
    fn call(&self) {
        for _ in 0..2 {
            if self.0.gone.load(SeqCst) {
                self.0.destroyed.fetch_add(100, SeqCst);
            }
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.destroyed.fetch_add(1, SeqCst);
    }
}

/// Ends the observer from another thread while the device runs; afterwards its data are gone.
fn ended_while_running(way: Way, end: impl Fn(&Device, crate::ObserverId) + Clone + Send + Sync + 'static) {
    check(move || {
        let device = device();
        let data = Arc::new(UserData::default());
        let owner = Owner(data.clone());
        let id = device.add_observer(CONNECT, move |_, _| owner.call());
        if let Way::Loop = way {
            device.connect().unwrap();
        }
        let ender = {
            let (device, data, end) = (device.clone(), data.clone(), end.clone());
            thread::spawn(move || {
                end(&device, id);
                data.gone.store(true, SeqCst);
                assert!(data.destroyed.load(SeqCst) > 0, "the destructor has run before the return");
                let _ = device.close();
            })
        };
        match way {
            // Unless it is freed already.
            Way::Start => drop(device.start()),
            _ => run_until_closed(&device),
        }
        ender.join().unwrap();
        device.shut_down().unwrap();
        assert_eq!(data.destroyed.load(SeqCst), 1, "more than 100: a callback after its end; else: destructor calls");
    });
}

#[test]
fn removed_beside_a_loop() {
    ended_while_running(Way::Loop, |device, id| device.remove_observer(id).unwrap());
}

#[test]
fn removed_beside_the_background_thread() {
    ended_while_running(Way::Start, |device, id| device.remove_observer(id).unwrap());
}

#[test]
fn freed_beside_a_loop() {
    ended_while_running(Way::Loop, |device, _| device.shut_down().unwrap());
}

#[test]
fn freed_beside_the_background_thread() {
    ended_while_running(Way::Start, |device, _| device.shut_down().unwrap());
}

#[test]
fn an_observer_that_frees_its_device_while_others_remove_and_free() {
    check(|| {
        let device = device();
        let data = Arc::new(UserData::default());
        let owner = Owner(data.clone());
        let freed = Latch::new();
        let sign = freed.clone();
        let id = device.add_observer(DELIVERED, move |device, _| {
            owner.call();
            device.shut_down().unwrap();
            sign.open();
        });
        device.send_state("{}", 0).unwrap();
        let remover = {
            let device = device.clone();
            thread::spawn(move || {
                let _ = device.remove_observer(id);
            })
        };
        let freer = {
            let device = device.clone();
            thread::spawn(move || device.shut_down().unwrap())
        };
        let _ = device.start();
        remover.join().unwrap();
        freer.join().unwrap();
        device.shut_down().unwrap();
        assert_eq!(data.destroyed.load(SeqCst), 1);
    });
}

#[test]
fn observers_of_two_devices_free_each_other() {
    check(|| {
        let devices = [device(), device()];
        for (at, one) in devices.iter().enumerate() {
            let other = devices[1 - at].clone();
            one.add_observer(CONNECT, move |_, _| other.shut_down().unwrap());
        }
        let loops = devices.clone().map(|device| {
            thread::spawn(move || {
                // The other may have freed it already; then it does nothing.
                if device.connect().is_ok() {
                    run_until_closed(&device);
                }
            })
        });
        // One may have been freed before it could free the other.
        devices.each_ref().into_iter().for_each(|device| device.shut_down().unwrap());
        loops.into_iter().for_each(|running| running.join().unwrap());
    });
}
