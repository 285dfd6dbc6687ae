use super::*;

mod alive;

const KEEP_ALIVE: Duration = Duration::from_secs(15);
const DEADLINE: Duration = Duration::from_secs(30);
const CONNACK: &[u8] = &[0x20, 2, 0, 0];
const SUBACK: &[u8] = &[0x90, 3, 0, 1, 0];
const PINGREQ: &[u8] = &[0xc0, 0];
const PINGRESP: &[u8] = &[0xd0, 0];

struct Bench {
    session: Session,
    now: Instant,
    traffic: Traffic,
}

impl Bench {
    fn new() -> Self {
        Bench::subscribing(true)
    }

    fn subscribing(subscribe: bool) -> Self {
        let now = Instant::now();
        let identity = Identity {
            client_id: "d1".into(),
            credentials: Some(Credentials {
                key: Zeroizing::new("key".into()),
                secret: Zeroizing::new("secret".into()),
            }),
            command_topic: "losant/d1/command".into(),
            subscribe,
            keep_alive: KEEP_ALIVE,
        };
        let mut session = Session::new(&identity, now, now + DEADLINE, DEADLINE);
        session.passed(Traffic::default(), now);
        Bench { session, now, traffic: Traffic::default() }
    }

    fn open() -> Self {
        let mut bench = Bench::new();
        bench.receive(CONNACK).unwrap();
        bench.receive(SUBACK).unwrap();
        bench.sent();
        bench
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<Vec<Incoming>, Error> {
        let mut happened = Vec::new();
        let outcome = self.session.receive(bytes, self.now, &mut happened);
        self.receive_of_a_frame(bytes.len());
        outcome.map(|()| happened)
    }

    /// Bytes that the layers beneath keep.
    fn receive_of_a_frame(&mut self, count: usize) {
        self.traffic.received += count as u64;
        self.session.passed(self.traffic, self.now);
    }

    fn publish(&mut self, qos: QoS, topic: &str, bytes: usize) -> u16 {
        let mut publish = Publish::new(topic, qos, vec![b'x'; bytes]);
        publish.pkid = self.session.next_packet_id();
        self.session.publish(&publish, self.now);
        publish.pkid
    }

    fn receive_ack(&mut self, id: u16) {
        let [high, low] = id.to_be_bytes();
        self.receive(&[0x40, 2, high, low]).unwrap();
    }

    /// The network takes some of the output.
    fn send(&mut self, most: usize) {
        let count = most.min(self.session.output().len());
        self.traffic.sent += count as u64;
        self.session.passed(self.traffic, self.now);
        self.session.take(count, self.now);
    }

    fn sent(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while !self.session.output().is_empty() {
            bytes.extend_from_slice(self.session.output());
            self.send(usize::MAX);
        }
        bytes
    }

    /// Until it is given up, with something happening every second; for how long it was not.
    fn until_given_up(&mut self, mut every_second: impl FnMut(&mut Bench)) -> Duration {
        let begun = self.now;
        while self.now - begun < Duration::from_secs(10_000) {
            every_second(self);
            match self.wait(Duration::from_secs(1)) {
                Ok(()) => {}
                Err(LOSANT_ERR_KEEP_ALIVE) => break,
                Err(other) => panic!("{other}"),
            }
        }
        self.now - begun
    }

    fn wait(&mut self, duration: Duration) -> Result<(), Status> {
        self.now += duration;
        self.session.on_time(self.now).map(drop).map_err(|e| e.status)
    }
}

#[test]
fn the_connection_opens_with_connect_and_then_subscribe() {
    let mut bench = Bench::new();
    let connect = b"\x10\x1b\0\x04MQTT\x04\xc2\0\x0f\0\x02d1\0\x03key\0\x06secret";
    assert_eq!(bench.sent(), connect);
    assert!(!bench.session.may_publish());
    assert_eq!(bench.receive(CONNACK), Ok(vec![Incoming::Accepted]));
    assert_eq!(bench.sent(), b"\x82\x16\0\x01\0\x11losant/d1/command\0");
    assert!(bench.session.may_publish() && !bench.session.is_open());
    assert_eq!(bench.receive(SUBACK), Ok(vec![Incoming::Subscribed { refused: false }]));
    assert!(bench.session.is_open());
}

#[test]
fn every_refusal_has_its_status() {
    for (code, status) in [
        (1, LOSANT_ERR_PROTOCOL_VERSION),
        (2, LOSANT_ERR_DEVICE_ID),
        (3, LOSANT_ERR_SERVER_UNAVAILABLE),
        (4, LOSANT_ERR_CREDENTIALS),
        (5, LOSANT_ERR_NOT_AUTHORIZED),
        (6, LOSANT_ERR_PROTOCOL),
    ] {
        let answer = Bench::new().receive(&[0x20, 2, 0, code]).map_err(|e| e.status);
        assert_eq!(answer, Err(status), "return code {code}");
    }
}

#[test]
fn a_refused_subscription_is_told_and_the_connection_goes_on() {
    let mut bench = Bench::new();
    bench.receive(CONNACK).unwrap();
    assert_eq!(bench.receive(&[0x90, 3, 0, 1, 0x80]), Ok(vec![Incoming::Subscribed { refused: true }]));
    assert!(bench.session.is_open());
}

#[test]
fn a_silent_broker_is_given_up() {
    let mut bench = Bench::new();
    assert_eq!(bench.wait(DEADLINE - Duration::from_millis(1)), Ok(()));
    assert_eq!(bench.wait(Duration::from_millis(1)), Err(LOSANT_ERR_TIMED_OUT));

    let mut bench = Bench::new();
    bench.receive(CONNACK).unwrap();
    bench.wait(KEEP_ALIVE).unwrap();
    bench.sent();
    bench.receive(PINGRESP).unwrap();
    assert_eq!(bench.wait(DEADLINE - KEEP_ALIVE), Err(LOSANT_ERR_TIMED_OUT), "no SUBACK");
}

#[test]
fn an_idle_link_is_pinged_and_a_dead_one_found_within_two_periods() {
    let mut bench = Bench::open();
    assert_eq!(bench.wait(KEEP_ALIVE - Duration::from_millis(1)), Ok(()));
    assert_eq!(bench.sent(), b"");
    assert_eq!(bench.wait(Duration::from_millis(1)), Ok(()));
    assert_eq!(bench.sent(), PINGREQ);
    bench.receive(PINGRESP).unwrap();
    assert_eq!(bench.wait(KEEP_ALIVE), Ok(()));
    assert_eq!(bench.sent(), PINGREQ);
    assert_eq!(bench.receive(PINGRESP), Ok(vec![Incoming::PingAnswered]));
    assert_eq!(bench.receive(PINGRESP), Ok(vec![]), "one that was not asked for");
    assert_eq!(bench.wait(KEEP_ALIVE), Ok(()));
    assert_eq!(bench.sent(), PINGREQ);
    assert_eq!(bench.session.deadline(), bench.now + KEEP_ALIVE);
    assert_eq!(bench.wait(KEEP_ALIVE), Err(LOSANT_ERR_KEEP_ALIVE));
}

#[test]
fn a_link_that_only_swallows_is_found_while_states_are_sent() {
    let mut bench = Bench::open();
    let state = Publish::new("t", QoS::AtMostOnce, "x");
    let mut waited = Duration::ZERO;
    let error = loop {
        bench.session.publish(&state, bench.now);
        bench.sent();
        waited += Duration::from_secs(1);
        if let Err(status) = bench.wait(Duration::from_secs(1)) {
            break status;
        }
    };
    assert_eq!((error, waited), (LOSANT_ERR_KEEP_ALIVE, 2 * KEEP_ALIVE));
}

#[test]
fn a_device_that_only_listens_is_pinged_for_the_broker() {
    let mut bench = Bench::open();
    for _ in 0..KEEP_ALIVE.as_secs() {
        bench.wait(Duration::from_secs(1)).unwrap();
        bench.receive(b"\x30\x04\0\x01tx").unwrap();
    }
    assert_eq!(bench.sent(), PINGREQ, "the broker counts what the device sends");
}

#[test]
fn messages_and_acks_arrive_however_the_bytes_are_cut() {
    let stream: Vec<u8> = [CONNACK, SUBACK, b"\x30\x04\0\x01tx", b"\x40\x02\0\x07"].concat();
    let expected = [
        Incoming::Accepted,
        Incoming::Subscribed { refused: false },
        Incoming::Message { topic: "t".into(), payload: Bytes::from_static(b"x") },
        Incoming::Acked(7),
    ];
    for size in 1..=stream.len() {
        let mut bench = Bench::new();
        let happened: Vec<_> = stream.chunks(size).flat_map(|chunk| bench.receive(chunk).unwrap()).collect();
        assert_eq!(happened, expected, "chunks of {size}");
    }
}

#[test]
fn a_qos_1_message_is_acknowledged() {
    let mut bench = Bench::open();
    assert_eq!(bench.receive(b"\x32\x06\0\x01t\0\x09x").unwrap().len(), 1);
    assert_eq!(bench.sent(), [0x40, 2, 0, 9]);
}

#[test]
fn what_is_not_mqtt_ends_the_connection() {
    for bytes in [
        &b"HTTP/1.1 200 OK"[..],
        b"\x30\xff\xff\xff\x7f",     // a length of 256 MB
        b"\x30\xff\xff\xff\xff\x01", // a length that does not end
        b"\x34\x06\0\x01t\0\x09x",   // QoS 2
        b"\x36\x06\0\x01t\0\x09x",   // QoS 3
        b"\x30\x03\0\x09t",          // a topic longer than its packet
        b"\x30\x03\0\x01\xff",       // a topic that is not UTF-8
        b"\x20\x02\0\0",             // a second CONNACK
        b"\x10\0",                   // CONNECT from the broker
        b"\xf0\0",
        b"\0\0",
    ] {
        let answer = Bench::open().receive(bytes).map_err(|e| e.status);
        assert_eq!(answer, Err(LOSANT_ERR_PROTOCOL), "{bytes:?}");
    }
    assert_eq!(Bench::new().receive(SUBACK).map_err(|e| e.status), Err(LOSANT_ERR_PROTOCOL), "before CONNACK");
}

#[test]
fn a_packet_of_256_mb_is_refused_by_its_length_alone() {
    for length in [&[0xff, 0xff, 0xff, 0x7f][..], &[0x81, 0x80, 0x40]] {
        let mut bench = Bench::open();
        bench.receive(b"\x30").unwrap();
        let (last, first) = length.split_last().unwrap();
        bench.receive(first).unwrap();
        let answer = bench.receive(&[*last]).map_err(|e| e.status);
        assert_eq!(answer, Err(LOSANT_ERR_PROTOCOL), "{length:?}");
        assert!(bench.session.input.capacity() < 1000, "{} bytes", bench.session.input.capacity());
    }
}

#[test]
fn memory_for_a_packet_is_taken_as_its_bytes_come() {
    let mut bench = Bench::open();
    // The largest there may be: 1 MB and its header.
    bench.receive(b"\x30\x80\x80\x40\0\x01t").unwrap();
    assert!(bench.session.input.capacity() < 1000, "{} bytes", bench.session.input.capacity());
    let chunk = vec![b'x'; 8192];
    let mut rest = MAX_INCOMING - 3;
    let mut happened = Vec::new();
    while rest > 0 {
        let count = rest.min(chunk.len());
        assert!(happened.is_empty());
        happened = bench.receive(&chunk[..count]).unwrap();
        rest -= count;
        assert!(bench.session.input.capacity() <= 2 * MAX_INCOMING, "{} bytes", bench.session.input.capacity());
    }
    assert!(matches!(&happened[..], [Incoming::Message { payload, .. }] if payload.len() == MAX_INCOMING - 3));
    assert_eq!(bench.session.input.capacity(), 0, "an idle connection holds no buffer");
}

#[test]
fn the_longest_topic_arrives_and_none_is_longer_than_its_packet() {
    let topic = "t".repeat(65_535);
    let packet = [b"\x30\x81\x80\x04\xff\xff", topic.as_bytes()].concat();
    assert_eq!(Bench::open().receive(&packet), Ok(vec![Incoming::Message { topic, payload: Bytes::new() }]));
    let cut = [b"\x30\x80\x80\x04\xff\xff", &packet[6..packet.len() - 1]].concat();
    assert_eq!(Bench::open().receive(&cut).map_err(|e| e.status), Err(LOSANT_ERR_PROTOCOL));
}

#[test]
fn a_broker_that_takes_no_acknowledgements_is_left() {
    let mut bench = Bench::open();
    let messages = b"\x32\x05\0\x01t\0\x09".repeat(1000);
    let end = loop {
        if let Err(e) = bench.receive(&messages) {
            break e.status;
        }
        assert!(bench.session.output().len() <= MAX_OUTPUT);
    };
    assert_eq!(end, LOSANT_ERR_PROTOCOL);
    assert!(bench.session.output().len() < MAX_OUTPUT + 4);
}

#[test]
fn a_broker_that_accepts_before_it_is_asked_gets_connect_first() {
    let mut bench = Bench::new();
    bench.send(18);
    assert_eq!(bench.receive(CONNACK), Ok(vec![Incoming::Accepted]));
    assert!(!bench.session.may_publish());
    let rest = bench.session.output_end() - bench.session.taken();
    let sent = bench.sent();
    assert!(sent.starts_with(b"key\0\x06secret\x82"), "{sent:?}");
    assert_eq!(sent.len() as u64, rest);
    assert!(bench.session.may_publish());
}

#[test]
fn packet_ids_go_round_without_zero_or_the_subscription() {
    let mut session = Bench::open().session;
    let first: Vec<_> = (0..65_534).map(|_| session.next_packet_id()).collect();
    assert_eq!((first[0], first[65_533]), (2, u16::MAX));
    assert_eq!(session.next_packet_id(), 2);
}

#[test]
fn a_length_that_no_packet_of_its_kind_has_is_found_before_the_rest() {
    for bytes in [
        &b"\x20\x03"[..],
        b"\x20\xff",
        b"\x40\xa0\xf6\x36", // a PUBACK of 900 KB
        b"\x40\x00",         // one flipped bit
        b"\x40\x06",         // another
        b"\x40\x82",         // and another
        b"\x90\xff\xff\x03", // a SUBACK of 64 KB
        b"\x90\x04",         // two return codes for one topic
        b"\xb0\x03",
        b"\xd0\x01",
        b"\xd0\x80",
        b"\x30\x00", // no room for the topic's length
        b"\x30\x01",
        b"\x32\x03",             // nor for the packet id
        b"\x30\x81\x80\x40",     // 1 MB and a byte
        b"\x30\x80\x80\x80\x80", // does not end in four bytes
        b"\x30\x80\x01\x01\0",   // a topic of 256 bytes in a packet of 128
        b"\x32\x05\0\x02",       // a topic that leaves no room for the packet id
        b"\x34\xff\xff\x3f",     // QoS 2
    ] {
        let mut bench = if bytes[0] == 0x20 { Bench::new() } else { Bench::open() };
        let end = bytes.iter().find_map(|byte| bench.receive(&[*byte]).err());
        assert_eq!(end.map(|e| e.status), Some(LOSANT_ERR_PROTOCOL), "{bytes:?}");
    }
}

#[test]
fn what_the_broker_closed_on_is_named() {
    let mut bench = Bench::new();
    assert_eq!(bench.session.unanswered(), " after CONNECT");
    bench.sent();
    bench.receive(CONNACK).unwrap();
    assert_eq!(bench.session.unanswered(), "", "nothing has gone yet");
    bench.publish(QoS::AtLeastOnce, "losant/d1/state", 10);
    bench.send(24);
    assert_eq!(bench.session.unanswered(), " after SUBSCRIBE to losant/d1/command");
    bench.sent();
    let both = " after SUBSCRIBE to losant/d1/command and PUBLISH to losant/d1/state";
    assert_eq!(bench.session.unanswered(), both);
    bench.receive(SUBACK).unwrap();
    let second = bench.publish(QoS::AtLeastOnce, "losant/\n2/state", 10);
    bench.sent();
    assert_eq!(bench.session.unanswered(), " after PUBLISH to losant/d1/state", "the first one");
    bench.receive_ack(second - 1);
    assert_eq!(bench.session.unanswered(), " after PUBLISH to losant/\\n2/state", "in one line");
    bench.receive_ack(second);
    assert_eq!(bench.session.unanswered(), "");

    bench.publish(QoS::AtMostOnce, "losant/d1/state", 10);
    assert_eq!(bench.session.unanswered(), "", "nothing has gone yet");
    bench.sent();
    assert_eq!(bench.session.unanswered(), " after PUBLISH to losant/d1/state");
    bench.wait(KEEP_ALIVE).unwrap();
    bench.sent();
    bench.receive(PINGRESP).unwrap();
    assert_eq!(bench.session.unanswered(), "", "it has been read");
}

#[test]
fn without_a_subscription_the_connection_is_complete_when_it_is_accepted() {
    let mut bench = Bench::subscribing(false);
    bench.sent();
    assert_eq!(bench.receive(CONNACK), Ok(vec![Incoming::Accepted, Incoming::Subscribed { refused: false }]));
    assert!(bench.session.is_open() && bench.session.may_publish());
    assert_eq!(bench.sent(), b"");
    assert_eq!(bench.wait(KEEP_ALIVE), Ok(()));
    assert_eq!(bench.sent(), PINGREQ);
}
