//! Commands reach a C callback whole; those that are none do no harm.

use crate::support::{
    Broker, CProgram, FakeBroker, Lane, Process, command_topic, fake_broker::read_packet, over_every_transport,
};
use std::{
    io::Write,
    time::{SystemTime, UNIX_EPOCH},
};

/// A command as the C program told it.
#[derive(Debug, PartialEq)]
struct Command {
    name: String,
    payload: String,
    time_ms: i64,
    time: String,
    message: String,
}

fn next(program: &mut Process) -> Command {
    let line = program.expect("command\t");
    let fields: Vec<&str> = line.split('\t').skip(1).collect();
    let [name, payload, time_ms, time, topic, message] = fields[..] else { panic!("not a command: {line}") };
    assert_eq!(topic, command_topic());
    Command {
        name: name.to_owned(),
        payload: payload.to_owned(),
        time_ms: time_ms.parse().unwrap(),
        time: time.to_owned(),
        message: message.to_owned(),
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// Runs the program in each way, with a broker, once it is connected; then stops it.
fn in_each_way(lane: Lane, check: impl Fn(&Broker, &mut Process)) {
    let broker = Broker::start(lane);
    for way in lane.ways() {
        let mut program = CProgram::start("commands", lane, &["127.0.0.1", &broker.device_port(lane).to_string(), way]);
        program.expect("connect");
        check(&broker, &mut program);
        broker.command(r#"{"name":"stop"}"#);
        let told = program.finish();
        assert!(told.last().unwrap().starts_with("close\t0\t"), "{way}: {told:?}");
    }
}

fn delivered_with_all_they_hold(lane: Lane) {
    const TIME: &str = "2016-06-01T01:09:51.145Z";
    const TIME_MS: i64 = 1_464_743_391_145;
    in_each_way(lane, |broker, program| {
        let full = r#"{"name":"set point","payload":{"n":[1.50,"ü"]},"time":{"$date":"2016-06-01T01:09:51.145Z"}}"#;
        broker.command(full);
        assert_eq!(
            next(program),
            Command {
                name: "set point".into(),
                payload: r#"{"n":[1.50,"ü"]}"#.into(),
                time_ms: TIME_MS,
                time: format!("{{\"$date\":\"{TIME}\"}}"),
                message: full.into(),
            }
        );
        for (time, text) in [
            (format!("\"{TIME}\""), TIME),
            (r#"{"$date":1464743391145}"#.into(), r#"{"$date":1464743391145}"#),
            (r#"{"$date":{"$numberLong":"1464743391145"}}"#.into(), r#"{"$date":{"$numberLong":"1464743391145"}}"#),
            (r#""2016-06-01T03:09:51.145+0200""#.into(), "2016-06-01T03:09:51.145+0200"),
        ] {
            broker.command(&format!("{{\"time\":{time},\"name\":\"timed\"}}"));
            let command = next(program);
            assert_eq!((command.time_ms, command.time.as_str()), (TIME_MS, text));
            assert_eq!(command.payload, "null");
        }

        let before = now_ms();
        broker.command(r#"{"name":"now","payload":null}"#);
        let command = next(program);
        assert!((before..=now_ms()).contains(&command.time_ms), "the time of arrival");
        assert_eq!((command.time.as_str(), command.payload.as_str()), ("", "null"));
    });
}

/// Undefined becomes null wherever it stands; dates, and text that only looks alike, stay as they are.
fn extended_json(lane: Lane) {
    in_each_way(lane, |broker, program| {
        for (sent, told) in [
            (r#"{"$undefined":true}"#, "null"),
            (
                r#"{"a":{"$undefined":true},"b":[1,{ "$undefined" : true },{"c":{"$undefined":true}}]}"#,
                r#"{"a":null,"b":[1,null,{"c":null}]}"#,
            ),
            (r#"{"at":{"$date":"2016-06-01T01:09:51.145Z"}}"#, r#"{"at":{"$date":"2016-06-01T01:09:51.145Z"}}"#),
            (r#""{\"$undefined\":true}""#, r#""{\"$undefined\":true}""#),
            (r#"{"$undefined":true,"more":1}"#, r#"{"$undefined":true,"more":1}"#),
            ("[ 1 , 2.50 ]", "[ 1 , 2.50 ]"),
            ("0", "0"),
        ] {
            broker.command(&format!("{{\"name\":\"json\",\"payload\":{sent}}}"));
            assert_eq!(next(program).payload, told);
        }
    });
}

/// What is no command is logged and passed over; the good one after it arrives.
fn malformed_ones(lane: Lane) {
    const MALFORMED: [&[u8]; 11] = [
        b"",
        b"not JSON",
        b"null",
        b"[]",
        br#"["list",{},null]"#,
        b"{}",
        br#"{"name":1}"#,
        br#"{"name":null,"payload":1}"#,
        br#"{"name":"cut off","payload":{"a":"#,
        b"{\"name\":\"\xff\"}",
        br#"{"name":"two"}{"name":"at once"}"#,
    ];
    in_each_way(lane, |broker, program| {
        for payload in MALFORMED {
            broker.publish(&command_topic(), payload);
            program.expect("warning\t");
        }
        broker.command(r#"{"name":"good"}"#);
        program.expect("command\tgood\t");
    });
}

/// A broker that sends commands as fast as it can gets 16 reads of 8 KB at a time, then others have their turn.
#[test]
fn a_flood_is_handed_over_in_portions() {
    const COUNT: usize = 20_000;
    let packet = [&[0x30, 53, 0, 39], command_topic().as_bytes(), br#"{"name":"n"}"#].concat();
    let portion = 16 * 8192 / packet.len() + 1;
    let broker = FakeBroker::serving(move |mut stream| {
        read_packet(&mut stream)?;
        stream.write_all(&[0x20, 2, 0, 0, 0x90, 3, 0, 1, 0])?;
        stream.write_all(&packet.repeat(COUNT))?;
        std::io::copy(&mut stream, &mut std::io::sink()).map(drop)
    });
    let arguments = ["127.0.0.1", &broker.port().to_string(), &COUNT.to_string()];
    let told = CProgram::start("flood", Lane::Shared, &arguments).finish();
    let most: usize = told[0].strip_prefix("most\t").unwrap().parse().unwrap();
    assert!(most <= portion, "{most} commands in one call, not {portion}");
}

over_every_transport!(delivered_with_all_they_hold, extended_json, malformed_ones);
