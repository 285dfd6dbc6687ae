//! A wake-up is never lost: whatever a thread asks of a device while another is going to sleep in its loop.

use super::{Way, check, device, device_for, thread};

fn states_are_sent(way: Way) {
    check(move || {
        let device = device_for(2);
        let senders: Vec<_> = (0..2)
            .map(|_| {
                let device = device.clone();
                thread::spawn(move || {
                    device.send_state("{}", 0).unwrap();
                })
            })
            .collect();
        way.run(&device);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        assert_eq!(device.stats().delivered, 2);
        device.shut_down().unwrap();
    });
}

fn close_is_heard(way: Way) {
    check(move || {
        let device = device();
        let connected = super::Latch::new();
        let sign = connected.clone();
        device.add_observer(super::CONNECT, move |_, _| sign.open());
        let closer = {
            let device = device.clone();
            thread::spawn(move || {
                connected.wait();
                device.close().unwrap();
            })
        };
        way.run(&device);
        closer.join().unwrap();
        device.shut_down().unwrap();
    });
}

#[test]
fn states_sent_to_a_blocking_connect() {
    states_are_sent(Way::Blocking);
}

#[test]
fn states_sent_to_a_loop() {
    states_are_sent(Way::Loop);
}

#[test]
fn states_sent_to_a_host_that_polls_the_descriptor() {
    states_are_sent(Way::Descriptor);
}

#[test]
fn states_sent_to_the_background_thread() {
    states_are_sent(Way::Start);
}

#[test]
fn close_is_heard_by_a_blocking_connect() {
    close_is_heard(Way::Blocking);
}

#[test]
fn close_is_heard_by_a_loop() {
    close_is_heard(Way::Loop);
}

#[test]
fn close_is_heard_by_a_host_that_polls_the_descriptor() {
    close_is_heard(Way::Descriptor);
}

#[test]
fn close_is_heard_by_the_background_thread() {
    close_is_heard(Way::Start);
}
