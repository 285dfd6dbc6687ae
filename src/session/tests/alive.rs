//! A slow link is not a dead one, and a dead one is found.

use super::*;

#[test]
fn a_packet_that_never_ends_is_given_up_within_two_periods() {
    for begin in [&b"\x30\xff\xff\x3f"[..], b"\x30\xff", b"\x30", b"\x40\x02\0", b"\x30\xff\xff\x3f\0\x01t{\"name\":"] {
        let mut bench = Bench::open();
        bench.receive(begin).unwrap();
        let silent = bench.until_given_up(|bench| drop(bench.sent()));
        assert_eq!(silent, 2 * KEEP_ALIVE, "{begin:?}, then silence");

        // What comes of it hardly counts.
        for trickle in [1, 100, 400] {
            let mut bench = Bench::open();
            bench.receive(b"\x30\xff\xff\x3f\0\x01t").unwrap();
            let given_up = bench.until_given_up(|bench| {
                bench.sent();
                bench.receive(&vec![b'x'; trickle]).unwrap();
            });
            assert!(given_up <= 2 * KEEP_ALIVE + Duration::from_secs(1), "{trickle} bytes a second: {given_up:?}");
        }
    }
}

#[test]
fn a_transfer_that_breaks_off_is_found_within_two_periods_of_its_last_byte() {
    for whole in [true, false] {
        let mut bench = Bench::open();
        bench.receive(b"\x30\xff\xff\x3f\0\x01t").unwrap();
        for _ in 0..100 {
            bench.sent();
            if whole {
                bench.receive_of_a_frame(5000);
            } else {
                bench.receive(&[b'x'; 5000]).unwrap();
            }
            bench.wait(Duration::from_secs(1)).unwrap();
        }
        let silent = bench.until_given_up(|bench| drop(bench.sent()));
        assert!(silent <= 2 * KEEP_ALIVE, "{silent:?}");
    }
}

#[test]
fn a_large_command_may_come_as_slowly_as_the_slowest_link_brings_it() {
    // Bytes, and how many of them in a second; in a frame of which nothing can be read before its end, or as they come.
    for (size, rate) in [(250_000, 5000), (250_000, 1000), (100_000, 1200), (1_000_000, 5000)] {
        for in_a_frame in [true, false] {
            let mut bench = Bench::open();
            let mut packet = BytesMut::new();
            Publish::new("t", QoS::AtMostOnce, vec![b'x'; size]).write(&mut packet).unwrap();
            for piece in packet.chunks(rate) {
                bench.sent();
                if in_a_frame {
                    bench.receive_of_a_frame(piece.len());
                } else if !bench.receive(piece).unwrap().is_empty() {
                    continue;
                }
                let waited = bench.wait(Duration::from_secs(1));
                assert_eq!(waited, Ok(()), "{size} bytes, {rate} a second, in a frame: {in_a_frame}");
            }
            if in_a_frame {
                bench.session.receive(&packet, bench.now, &mut Vec::new()).unwrap();
                bench.session.passed(bench.traffic, bench.now);
            }
            // Behind it comes what was held up.
            bench.wait(Duration::from_secs(2)).unwrap();
            assert_eq!(bench.receive(PINGRESP), Ok(vec![Incoming::PingAnswered]));
            bench.wait(Duration::from_secs(1)).unwrap();
        }
    }
}

#[test]
fn a_broker_that_sends_and_never_answers_is_given_up() {
    // Messages, acknowledgements of nothing, and those of messages that it was never sent.
    for packet in [&b"\x30\x04\0\x01tx"[..], b"\x40\x02\0\x63", b"\xb0\x02\0\x01"] {
        for times in [1, 20] {
            let mut bench = Bench::open();
            let given_up = bench.until_given_up(|bench| {
                bench.publish(QoS::AtMostOnce, "t", 100);
                bench.sent();
                (0..times).for_each(|_| drop(bench.receive(packet).unwrap()));
            });
            assert!(given_up <= 2 * KEEP_ALIVE, "{packet:?}: {given_up:?}");
        }
    }
    // Nor does it gain time for ever by messages whose ends never come with them.
    let mut bench = Bench::open();
    let mut packet = BytesMut::new();
    Publish::new("t", QoS::AtMostOnce, vec![b'x'; 9_999]).write(&mut packet).unwrap();
    let (end, begin) = (packet.split_off(packet.len() - 1), packet);
    bench.receive(&begin).unwrap();
    let chunk = [end, begin].concat();
    let given_up = bench.until_given_up(|bench| {
        bench.sent();
        bench.receive(&chunk).unwrap();
    });
    assert!(given_up < Duration::from_secs(300), "{given_up:?}");
}

#[test]
fn a_large_state_may_go_as_slowly_as_the_slowest_link_takes_it() {
    // Bytes, and how many of them in a second: taken by the network as they go, at once as one that has a large buffer
    // takes them, or as a WebSocket frame, which counts as taken when it is.
    for (size, rate) in [(100_000, 2500), (250_000, 5000), (100_000, 1200), (250_000, 1200), (16_000, 900)] {
        for way in ["as they go", "at once", "in a frame"] {
            let mut bench = Bench::open();
            let id = bench.publish(QoS::AtLeastOnce, "t", size);
            let mut pinged = 0;
            for _ in 0..size.div_ceil(rate) {
                match way {
                    "as they go" => bench.send(rate),
                    "at once" => bench.send(usize::MAX),
                    _ => {
                        bench.traffic.sent += rate as u64;
                        bench.session.passed(bench.traffic, bench.now);
                    }
                }
                bench.now += Duration::from_secs(1);
                let outcome = bench.session.on_time(bench.now).map_err(|e| e.text);
                pinged += usize::from(outcome == Ok(true));
                assert!(outcome.is_ok(), "{size} bytes, {rate} a second, {way}: {outcome:?}");
            }
            assert_eq!(pinged, 1, "{size} bytes, {rate} a second, {way}");
            bench.sent();
            bench.receive_ack(id);
            bench.wait(Duration::from_secs(1)).unwrap();
            assert_eq!(bench.receive(PINGRESP), Ok(vec![Incoming::PingAnswered]));
            // And a link that dies then is found as fast as any.
            assert!(bench.until_given_up(|bench| drop(bench.sent())) <= 2 * KEEP_ALIVE);
        }
    }
}

#[test]
fn a_network_that_takes_nothing_any_more_is_given_up() {
    let mut bench = Bench::open();
    bench.publish(QoS::AtLeastOnce, "t", 100_000);
    bench.send(5000);
    assert_eq!(bench.until_given_up(|_| {}), 2 * KEEP_ALIVE);
    let error = bench.session.on_time(bench.now).unwrap_err();
    assert_eq!(error.text.to_string(), "the network takes nothing any more");
}

#[test]
fn a_broker_that_stops_answering_under_load_is_given_up() {
    let mut bench = Bench::open();
    // An hour of more than the slowest link carries.
    for _ in 0..3600 {
        bench.publish(QoS::AtMostOnce, "t", 2000);
        if bench.sent().starts_with(PINGREQ) {
            bench.receive(PINGRESP).unwrap();
        }
        bench.wait(Duration::from_secs(1)).unwrap();
    }
    let given_up = bench.until_given_up(|bench| {
        bench.publish(QoS::AtMostOnce, "t", 2000);
        bench.sent();
    });
    // What it was sent since its last answer has the time that the slowest link needs.
    assert!(given_up < 2 * KEEP_ALIVE + 15 * Duration::from_secs(5), "{given_up:?}");
}

#[test]
fn messages_are_as_large_as_the_link_is_fast() {
    for (rate, least, most) in [(1_200, 4_096, 6_100), (2_500, 10_000, 13_000), (1_000_000, 1 << 20, 10 << 20)] {
        let mut bench = Bench::open();
        assert_eq!(bench.session.batch_limit(), None, "nothing is known yet");
        let mut backlog = 200_000;
        while backlog > 0 {
            let size = bench.session.batch_limit().unwrap_or(128 * 1024).min(backlog);
            let id = bench.publish(QoS::AtLeastOnce, "t", size);
            bench.sent();
            // It arrives when it does.
            bench.now += Duration::from_secs_f64(size as f64 / f64::from(rate));
            bench.session.on_time(bench.now).unwrap();
            bench.receive_ack(id);
            if bench.sent().ends_with(PINGREQ) {
                bench.receive(PINGRESP).unwrap();
            }
            backlog -= size;
        }
        let limit = bench.session.batch_limit().unwrap();
        assert!((least..=most).contains(&limit), "{rate} bytes a second: {limit}");
    }
}
