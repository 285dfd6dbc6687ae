//! The order of events, and that none is lost that somebody waited for.

use crate::support::{
    Broker, DEVICE_ID, FakeBroker, KEY, Lane, SECRET,
    fake_broker::{answer_in_pieces, read_packet},
};
use losant::{
    Device, Event,
    EventType::{self, *},
};
use std::{
    io::Write,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

fn device(port: u16) -> Device {
    let device = Device::new(DEVICE_ID, Some((KEY, SECRET))).unwrap();
    device.set_host("127.0.0.1").unwrap();
    device.set_port(port).unwrap();
    device.set_secure(false).unwrap();
    device.set_rate_limit(0, 0, 1).unwrap();
    device
}

/// All events of a device, in order.
fn heard(device: &Device) -> Arc<Mutex<Vec<EventType>>> {
    let heard: Arc<Mutex<Vec<EventType>>> = Arc::default();
    for kind in EventType::ALL {
        let heard = heard.clone();
        device.add_observer(*kind, move |_, event| heard.lock().unwrap().push(event.event_type()));
    }
    heard
}

/// SUBACK, PUBACK and a command in every order that a broker may send them in, in one segment and in several: connect
/// comes first.
#[test]
fn connect_comes_before_all_that_its_connection_brings() {
    for order in
        [["sub", "pub", "command"], ["pub", "sub", "command"], ["command", "pub", "sub"], ["pub", "command", "sub"]]
    {
        for pieces in [1, 3, usize::MAX] {
            let broker = FakeBroker::serving(move |mut stream| {
                let _ = read_packet(&mut stream)?;
                stream.write_all(&[0x20, 2, 0, 0])?;
                let (mut suback, mut puback) = (Vec::new(), Vec::new());
                while suback.is_empty() || puback.is_empty() {
                    let (first, body) = read_packet(&mut stream)?;
                    match first >> 4 {
                        8 => suback = vec![0x90, 3, body[0], body[1], 0],
                        3 => {
                            let at = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
                            puback = vec![0x40, 2, body[at], body[at + 1]];
                        }
                        _ => {}
                    }
                }
                let topic = format!("losant/{DEVICE_ID}/command");
                let body = [&(topic.len() as u16).to_be_bytes()[..], topic.as_bytes(), b"{\"name\":\"go\"}"].concat();
                let command = [&[0x30, body.len() as u8][..], &body].concat();
                let answer: Vec<u8> = order
                    .iter()
                    .flat_map(|what| match *what {
                        "sub" => suback.clone(),
                        "pub" => puback.clone(),
                        _ => command.clone(),
                    })
                    .collect();
                answer_in_pieces(&mut stream, &answer, pieces)?;
                while read_packet(&mut stream).is_ok() {}
                Ok(())
            });
            let device = device(broker.port());
            let heard = heard(&device);
            device.add_observer(LOSANT_EVENT_COMMAND, |device, _| device.close().unwrap());
            device.send_state("{}", 0).unwrap();
            device.add_observer(LOSANT_EVENT_DELIVERED, |_, _| {});
            device.connect_blocking().unwrap();
            let heard = heard.lock().unwrap().clone();
            assert_eq!(heard[0], LOSANT_EVENT_CONNECT, "{order:?} in pieces of {pieces}: {heard:?}");
            assert_eq!(heard.last(), Some(&LOSANT_EVENT_CLOSE), "{heard:?}");
            assert_eq!(heard.len(), 4, "{order:?}: {heard:?}");
        }
    }
}

/// However late the observers are: whoever has waited for delivery and then frees the device misses nothing.
#[test]
fn free_after_flush_loses_no_event() {
    let broker = Broker::start(Lane::Shared);
    for way in ["start", "loop"] {
        let device = device(broker.device_port(Lane::Shared));
        let delivered = Arc::new(AtomicUsize::new(0));
        let count = delivered.clone();
        device.add_observer(LOSANT_EVENT_DELIVERED, move |_, event| {
            assert!(matches!(event, Event::Delivered { .. }));
            count.fetch_add(1, SeqCst);
            std::thread::yield_now();
        });
        match way {
            "start" => device.start().unwrap(),
            _ => device.connect().unwrap(),
        }
        for number in 0..5_000 {
            device.send_state(&format!("{{\"n\":{number}}}"), 0).unwrap();
        }
        device.flush(Some(Duration::from_secs(60))).unwrap();
        device.shut_down().unwrap();
        assert_eq!(delivered.load(SeqCst), 5_000, "{way}");
    }
}
