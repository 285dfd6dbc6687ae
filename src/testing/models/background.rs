//! The one background thread: begun with the first device, ended with the last, whoever comes and goes meanwhile.

use super::{check, device, thread};
use crate::{Device, sync::thread::started_and_alive};

fn visit(device: &Device) {
    device.start().unwrap();
    device.send_state("{}", 0).unwrap();
    // Nobody but the background thread can deliver it.
    device.flush(None).unwrap();
    device.shut_down().unwrap();
}

#[test]
fn devices_that_come_and_go_are_all_served_and_leave_no_thread() {
    check(|| {
        let visitors: Vec<_> = (0..3).map(|_| thread::spawn(|| visit(&device()))).collect();
        visitors.into_iter().for_each(|visitor| visitor.join().unwrap());
        let (started, alive) = started_and_alive();
        assert!((1..=3).contains(&started));
        assert_eq!(alive, 0, "ended with the last device");
    });
}

#[test]
fn one_thread_serves_all_that_are_there_together() {
    check(|| {
        let first = device();
        first.start().unwrap();
        let visitors: Vec<_> = (0..2).map(|_| thread::spawn(|| visit(&device()))).collect();
        visitors.into_iter().for_each(|visitor| visitor.join().unwrap());
        assert_eq!(started_and_alive(), (1, 1));
        first.shut_down().unwrap();
        assert_eq!(started_and_alive(), (1, 0));
    });
}

#[test]
fn closed_and_started_again_and_freed() {
    check(|| {
        let device = device();
        device.start().unwrap();
        let other = {
            let device = device.clone();
            thread::spawn(move || {
                device.close().unwrap();
                // Too early if the close is not done yet.
                let _ = device.start();
            })
        };
        let third = thread::spawn(|| visit(&super::device()));
        other.join().unwrap();
        third.join().unwrap();
        device.shut_down().unwrap();
        assert_eq!(started_and_alive().1, 0);
    });
}

#[test]
fn freed_after_a_change_from_the_background_thread_to_a_loop() {
    check(|| {
        let device = device();
        device.start().unwrap();
        device.close().unwrap();
        let freer = {
            let device = device.clone();
            thread::spawn(move || device.shut_down().unwrap())
        };
        if device.connect().is_ok() {
            let _ = device.run_loop(Some(std::time::Duration::ZERO));
            let _ = device.close();
        }
        freer.join().unwrap();
        device.shut_down().unwrap();
        assert_eq!(started_and_alive().1, 0);
    });
}

/// Somebody else frees the device between a thread's finding it and its beginning: the connection must not outlive the
/// handle, for nobody could end it.
#[test]
fn freed_just_before_it_is_started() {
    check(|| {
        let device = device();
        let starter = {
            let device = device.clone();
            thread::spawn(move || drop(device.start()))
        };
        device.shut_down().unwrap();
        starter.join().unwrap();
        assert!(device.fd().is_ok(), "not on the background thread");
        device.shut_down().unwrap();
        assert_eq!(started_and_alive().1, 0);
    });
}

#[test]
fn freed_just_before_a_blocking_connect() {
    check(|| {
        let device = device();
        let connecter = {
            let device = device.clone();
            thread::spawn(move || drop(device.connect_blocking()))
        };
        device.shut_down().unwrap();
        connecter.join().unwrap();
    });
}
