//! Whoever waits for delivery hears of it, whoever ran the loop.

use super::{check, device, device_for, run_until_closed, thread};
use crate::{Device, Status::*, sync::thread::started_and_alive};
use std::time::Duration;

fn flusher(device: &Device) -> thread::JoinHandle<()> {
    let device = device.clone();
    thread::spawn(move || {
        device.send_state("{}", 0).unwrap();
        device.flush(None).unwrap();
    })
}

#[test]
fn flush_while_others_turn_the_loop_or_leave_it() {
    check(|| {
        let device = device();
        device.connect().unwrap();
        let flushers = [flusher(&device), flusher(&device)];
        // Comes and goes: when it is gone, those who wait must do its work.
        for _ in 0..2 {
            let _ = device.run_loop(Some(Duration::ZERO));
        }
        flushers.into_iter().for_each(|flusher| flusher.join().unwrap());
        device.close().unwrap();
        device.shut_down().unwrap();
    });
}

#[test]
fn flush_while_another_thread_sleeps_in_the_loop() {
    check(|| {
        let device = device();
        device.connect().unwrap();
        let flusher = flusher(&device);
        let closer = {
            let device = device.clone();
            thread::spawn(move || {
                flusher.join().unwrap();
                device.close().unwrap();
            })
        };
        run_until_closed(&device);
        closer.join().unwrap();
        device.shut_down().unwrap();
    });
}

#[test]
fn flush_on_the_background_thread() {
    check(|| {
        let device = device();
        device.start().unwrap();
        let flushers = [flusher(&device), flusher(&device)];
        flushers.into_iter().for_each(|flusher| flusher.join().unwrap());
        device.shut_down().unwrap();
    });
}

#[test]
fn flush_ends_when_the_device_is_closed() {
    check(|| {
        let device = device();
        device.connect().unwrap();
        let flusher = {
            let device = device.clone();
            thread::spawn(move || {
                device.send_state("{}", 0).unwrap();
                let flushed = device.flush(None).map_err(|e| e.status);
                assert!(matches!(flushed, Ok(()) | Err(LOSANT_ERR_NOT_RUNNING)), "{flushed:?}");
            })
        };
        device.close().unwrap();
        flusher.join().unwrap();
        device.shut_down().unwrap();
    });
}

fn drain_after(begin: impl Fn(&Device) + Send + Sync + 'static) {
    check(move || {
        let device = device();
        device.send_state("{}", 0).unwrap();
        begin(&device);
        let closers: Vec<_> = (0..2)
            .map(|_| {
                let device = device.clone();
                thread::spawn(move || {
                    assert!(matches!(device.drain(None).map_err(|e| e.status), Ok(()) | Err(LOSANT_ERR_NOT_RUNNING)))
                })
            })
            .collect();
        run_until_closed(&device);
        closers.into_iter().for_each(|closer| closer.join().unwrap());
        device.shut_down().unwrap();
    });
}

#[test]
fn two_close_with_a_deadline_beside_a_loop() {
    drain_after(|device| device.connect().unwrap());
}

#[test]
fn two_close_with_a_deadline_on_the_background_thread() {
    drain_after(|device| device.start().unwrap());
}

#[test]
fn a_loop_beside_a_close_in_its_own_observer() {
    check(|| {
        let device = device_for(1);
        device.connect().unwrap();
        let flusher = {
            let device = device.clone();
            thread::spawn(move || {
                device.send_state("{}", 0).unwrap();
                // Delivered all the same, though closed before it is told.
                device.flush(None).unwrap();
            })
        };
        run_until_closed(&device);
        flusher.join().unwrap();
        device.shut_down().unwrap();
    });
}

/// Whoever waits when the device is freed is let go.
fn freed_while_others_wait(begin: impl Fn(&Device) + Send + Sync + 'static) {
    check(move || {
        let device = device();
        begin(&device);
        let flusher = {
            let device = device.clone();
            thread::spawn(move || {
                let _ = device.send_state("{}", 0);
                let flushed = device.flush(None).map_err(|e| e.status);
                assert!(matches!(flushed, Ok(()) | Err(LOSANT_ERR_NOT_RUNNING)), "{flushed:?}");
            })
        };
        let closer = {
            let device = device.clone();
            thread::spawn(move || {
                let _ = device.drain(None);
            })
        };
        device.shut_down().unwrap();
        flusher.join().unwrap();
        closer.join().unwrap();
        assert_eq!(started_and_alive().1, 0);
    });
}

#[test]
fn freed_while_others_wait_beside_a_loop() {
    freed_while_others_wait(|device| device.connect().unwrap());
}

#[test]
fn freed_while_others_wait_for_the_background_thread() {
    freed_while_others_wait(|device| device.start().unwrap());
}
