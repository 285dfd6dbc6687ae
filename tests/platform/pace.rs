//! The platform's own pace.

use crate::course::{Course, DEADLINE, Kind, most_within, now_ms};
use losant::{Device, Event, EventType, State, Status};
use losant_simulator::{Config, DeviceConfig, Fault, Simulator};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// A night without a network, one state a second: within one window it is all at the platform.
#[test]
fn a_backlog_of_eight_hours_drains_within_one_window() {
    let mut course = Course::new(1);
    let begin = now_ms() - 28_800 * 1000;
    for second in 0..28_800 {
        course.send("gateway", begin + second * 1000);
    }
    let connected = Instant::now();
    course.device.start().unwrap();
    assert_eq!(course.device.flush(Some(DEADLINE)), Ok(()));
    let took = connected.elapsed();
    let summary = course.finish();
    println!("28,800 states in {} messages, {took:?}", summary.messages);
    assert!(summary.messages <= 30, "{}", summary.messages);
}

/// More states than the platform takes messages, for longer than a window: they go on arriving, a second or two late.
#[test]
fn under_a_lasting_overload_states_go_on_arriving() {
    let mut course = Course::new(10);
    course.device.start().unwrap();
    course.wait_for_connects(1);
    let begin = Instant::now();
    // Three windows of the simulator.
    while begin.elapsed() < Duration::from_millis(4_500) {
        course.send("gateway", 0);
        course.send("a", 0);
        std::thread::sleep(Duration::from_millis(2));
    }
    let latest = course.simulator.read(|records| {
        records.states.iter().map(|record| record.arrival_ms - record.state.time_ms).max().unwrap_or(0)
    });
    println!("the oldest was {latest} ms late");
    let arrivals: Vec<Instant> = course.simulator.read(|records| {
        let first = records.states.iter().filter(|record| record.index == 0 && record.device == "gateway");
        first.map(|record| record.arrival).collect()
    });
    assert!(most_within(Duration::from_millis(1500), &arrivals) <= 30);
    course.finish();
}

/// A peripheral's few states do not wait behind another's thousands.
#[test]
fn topics_do_not_wait_for_each_other() {
    let mut course = Course::new(1);
    course.device.set_merge_limit(1024).unwrap();
    for _ in 0..3_000 {
        course.send("gateway", 0);
    }
    course.send("a", 0);
    course.send("b", 0);
    course.device.start().unwrap();
    let both = |records: &losant_simulator::Records| {
        let came = |whose| records.states.iter().any(|record| record.device == whose);
        came("a") && came("b")
    };
    assert!(course.simulator.wait_until(both, DEADLINE));
    let ahead =
        course.simulator.read(|records| records.states.iter().filter(|record| record.device == "gateway").count());
    assert!(ahead < 300, "{ahead} of the gateway's came before");
    // The rest would take minutes at the platform's pace.
    course.device.close().unwrap();
    assert_eq!(course.simulator.bans(), []);
}

/// The platform closes the connection of a gateway that reports for a device which is not its peripheral. The others'
/// states get through all the same.
#[test]
fn a_stranger_among_the_peripherals_holds_up_nobody() {
    let course = Course::new(1);
    course.device.start().unwrap();
    course.device.send(&of_peripheral("stranger")).unwrap();
    let arrived = |count| move |records: &losant_simulator::Records| records.states.len() >= count;
    for round in 1..=10 {
        for whose in ["gateway", "a"] {
            let status = match whose {
                "gateway" => course.device.send_state("{}", 0),
                peripheral => course.device.send(&of_peripheral(peripheral)),
            };
            status.unwrap();
        }
        assert!(course.simulator.wait_until(arrived(2 * round), DEADLINE), "round {round}");
    }
    let begin = Instant::now();
    while course.device.stats().queued > 1 {
        assert!(begin.elapsed() < DEADLINE, "all but the stranger's are acknowledged");
        let _ = course.device.flush(Some(Duration::from_millis(20)));
    }
    assert_eq!(course.device.drain(Some(Duration::ZERO)).map_err(|e| e.status), Err(Status::LOSANT_ERR_NOT_DELIVERED));
    assert_eq!(course.device.stats().queued, 1);
    assert_eq!(course.simulator.bans(), []);
}

/// A device at this simulator whose windows run so many times faster.
fn device_at(simulator: &Simulator, id: &str, time_scale: u32) -> Device {
    let device = Device::new(id, Some(("key", "secret"))).unwrap();
    device.set_host("127.0.0.1").unwrap();
    device.set_port(simulator.port()).unwrap();
    device.set_secure(false).unwrap();
    device.set_reconnect_delay(1, 30).unwrap();
    device.set_rate_limit(30, 300, u64::from(15_000 / time_scale)).unwrap();
    device
}

/// The platform counts by device id: handles that come and go, and several at once, have one window.
#[test]
fn handles_of_one_device_share_its_pace() {
    const SCALE: u32 = 10;
    let config = Config {
        time_scale: SCALE.into(),
        ..Config::new(["loop", "pair"].map(|id| DeviceConfig::new(id, "key", "secret")).to_vec())
    };
    let simulator = Simulator::start(config).unwrap();
    for _ in 0..20 {
        let device = device_at(&simulator, "loop", SCALE);
        device.start().unwrap();
        for number in 0..5 {
            device.send_state(&format!("{{\"n\":{number}}}"), 0).unwrap();
        }
        device.flush(Some(DEADLINE)).unwrap();
        device.shut_down().unwrap();
    }
    // Each takes the connection from the other, again and again.
    let pair = [(); 2].map(|()| device_at(&simulator, "pair", SCALE));
    for device in &pair {
        device.start().unwrap();
    }
    for number in 0..40 {
        pair[number % 2].send_state(&format!("{{\"n\":{number}}}"), 0).unwrap();
    }
    assert!(simulator.wait_until(
        |records| {
            let of_pair = records.states.iter().filter(|record| record.device == "pair");
            of_pair.map(|record| record.state.data["n"].as_u64()).collect::<BTreeSet<_>>().len() == 40
        },
        DEADLINE,
    ));
    pair.iter().for_each(|device| device.shut_down().unwrap());
    assert_eq!(simulator.bans(), []);
}

/// States that wait for the first connection go in one message: a program that is started again and again spends one of
/// the platform's thirty each time, not one a state.
#[test]
fn what_waits_for_the_first_connection_goes_in_one_message() {
    let simulator = Simulator::start(Config::new(vec![DeviceConfig::new("fresh", "key", "secret")])).unwrap();
    let device = device_at(&simulator, "fresh", 1);
    for number in 0..5 {
        device.send_state(&format!("{{\"n\":{number}}}"), 0).unwrap();
    }
    device.start().unwrap();
    device.flush(Some(DEADLINE)).unwrap();
    let stats = device.stats();
    assert_eq!((stats.delivered, stats.messages_sent), (5, 1));
    // From then on each goes alone, as long as it may.
    device.send_state("{\"n\":6}", 0).unwrap();
    device.send_state("{\"n\":7}", 0).unwrap();
    device.flush(Some(DEADLINE)).unwrap();
    assert_eq!(device.stats().messages_sent, 3);
    device.shut_down().unwrap();
}

/// A broker that closes at SUBSCRIBE is told by name, and a device that only reports does without.
#[test]
fn a_device_that_may_not_subscribe_reports_all_the_same() {
    let simulator = Simulator::start(Config::new(vec![DeviceConfig::new("reporter", "key", "secret")])).unwrap();
    simulator.set_fault("reporter", Fault::CloseAtSubscribe);
    let device = device_at(&simulator, "reporter", 1);
    let (told, errors) = std::sync::mpsc::channel();
    device.add_observer(EventType::LOSANT_EVENT_ERROR, move |_, event| {
        if let Event::Error(error) = event {
            let _ = told.send(error.clone());
        }
    });
    device.start().unwrap();
    let error = errors.recv_timeout(DEADLINE).unwrap();
    assert_eq!(error.status, Status::LOSANT_ERR_CONNECTION_LOST);
    assert!(error.text.contains("SUBSCRIBE to losant/reporter/command"), "{}", error.text);
    device.close().unwrap();

    let only_reports = device_at(&simulator, "reporter", 1);
    only_reports.set_receive_commands(false).unwrap();
    simulator.set_fault("reporter", Fault::CloseAtSubscribe);
    only_reports.send_state("{\"a\":1}", 0).unwrap();
    only_reports.start().unwrap();
    only_reports.flush(Some(DEADLINE)).unwrap();
    assert!(only_reports.is_connected());
    let stats = only_reports.stats();
    assert_eq!((stats.connects, stats.errors), (1, 0));
    [device, only_reports].iter().for_each(|device| device.shut_down().unwrap());
}

/// Case: a gateway reports for a device that is not its peripheral, again and again. Own states get through within three
/// seconds, and 99 % of commands are received.
#[test]
fn a_removed_peripheral_costs_next_to_nothing() {
    // Ten minutes in thirty seconds.
    const SCALE: u32 = 20;
    let course = Course::new(SCALE);
    course.device.set_reconnect_delay(1_000 / u64::from(SCALE), 60_000 / u64::from(SCALE)).unwrap();
    course.device.start().unwrap();
    course.wait_for_connects(1);
    let second = Duration::from_secs(1) / SCALE;
    let begin = Instant::now();
    let mut commands = 0;
    for number in 0..600u32 {
        course.device.send_state(&format!("{{\"n\":{number}}}"), 0).unwrap();
        if number % 10 == 0 {
            course.device.send(&of_peripheral("stranger")).unwrap();
        }
        course.simulator.send_command("gateway", "go", None);
        commands += 1;
        std::thread::sleep((begin + second * (number + 1)).saturating_duration_since(Instant::now()));
    }
    let own =
        |records: &losant_simulator::Records| records.states.iter().filter(|r| r.device == "gateway").count() >= 600;
    assert!(course.simulator.wait_until(own, DEADLINE));
    let late = course.simulator.read(|records| {
        let mut first = std::collections::BTreeMap::new();
        for record in &records.states {
            first.entry(record.state.data["n"].as_u64()).or_insert(record.arrival_ms - record.state.time_ms);
        }
        first.into_values().max().unwrap_or(0)
    });
    let stats = course.device.stats();
    println!(
        "{} of {commands} commands, the latest state {} ms late, {} errors",
        stats.commands,
        late * 20,
        stats.errors
    );
    assert!(stats.commands * 100 >= commands * 99, "{} of {commands} commands", stats.commands);
    assert!(late <= i64::from(3_000 / SCALE) + 100, "{late} ms, times {SCALE}");
    assert!(stats.dropped_undeliverable == 0 && stats.queued > 0);
    course.device.shut_down().unwrap();
}

/// Case: one state over a private broker's limit, then small ones. They arrive, and the culprit is told.
#[test]
fn a_state_over_the_brokers_limit_is_told_and_the_others_arrive() {
    let config =
        Config { max_packet: Some(20_000), ..Config::new(vec![DeviceConfig::new("private", "key", "secret")]) };
    let simulator = Simulator::start(config).unwrap();
    let device = device_at(&simulator, "private", 1);
    let (told, errors) = std::sync::mpsc::channel();
    device.add_observer(EventType::LOSANT_EVENT_ERROR, move |_, event| {
        if let Event::Error(error) = event {
            let _ = told.send(error.clone());
        }
    });
    let large = format!("{{\"n\":0,\"text\":\"{}\"}}", "x".repeat(30_000));
    let culprit = device.send_state(&large, 0).unwrap();
    for number in 1..=5 {
        device.send_state(&format!("{{\"n\":{number}}}"), 0).unwrap();
    }
    device.start().unwrap();
    let error = loop {
        let error = errors.recv_timeout(DEADLINE).unwrap();
        if error.status == Status::LOSANT_ERR_UNDELIVERABLE {
            break error;
        }
        assert_eq!(error.status, Status::LOSANT_ERR_CONNECTION_LOST);
    };
    let named = format!("state {culprit} of 300");
    assert!(error.text.contains(&named) && error.text.contains("losant/private/state"), "{}", error.text);
    assert!(simulator.wait_until(|records| records.states.len() >= 5, DEADLINE));
    let numbers =
        simulator.read(|records| records.states.iter().map(|r| r.state.data["n"].as_u64()).collect::<BTreeSet<_>>());
    assert_eq!(numbers, (1..=5).map(Some).collect());
    while device.stats().queued > 1 {
        let _ = device.flush(Some(Duration::from_millis(20)));
    }
    assert_eq!(device.stats().parked, 1);
    device.shut_down().unwrap();
}

/// Case: a topic that the access key has no right to.
#[test]
fn a_topic_without_rights_holds_up_no_other() {
    let mut gateway = DeviceConfig::new("limited", "key", "secret");
    gateway.peripherals = vec!["a".to_owned()];
    gateway.denied_topics = vec!["losant/limited/state".to_owned()];
    let simulator = Simulator::start(Config::new(vec![gateway])).unwrap();
    let device = device_at(&simulator, "limited", 1);
    device.start().unwrap();
    for number in 1..=20 {
        device.send_state("{\"n\":0}", 0).unwrap();
        device.send(&of_peripheral("a")).unwrap();
        assert!(simulator.wait_until(|records| records.states.len() >= number, DEADLINE), "{number}");
    }
    assert_eq!(simulator.bans(), []);
    assert!(simulator.violations().len() <= 8, "{} connections lost", simulator.violations().len());
    device.shut_down().unwrap();
}

/// Case: one bad state in a hundred while offline, or every second one: the good ones arrive all the same, and at once.
#[test]
fn bad_states_take_no_good_one_with_them() {
    for every in [100, 20, 2] {
        let mut course = Course::new(10);
        for number in 0..400 {
            course.send_kind("gateway", 0, if number % every == 0 { Kind::Bad } else { Kind::Good });
        }
        course.device.start().unwrap();
        let good = 400 - 400usize.div_ceil(every);
        let begin = Instant::now();
        assert!(course.simulator.wait_until(|records| records.states.len() >= good, DEADLINE));
        println!("every {every}th is bad: {good} good ones after {:?}", begin.elapsed());
        assert_eq!(course.simulator.rejected().iter().filter(|r| r.cause != losant_simulator::Cause::State).count(), 0);
        if every == 100 {
            course.finish();
        } else {
            course.device.shut_down().unwrap();
        }
    }
}

/// Case: 200 states of one attribute in a row, of which the platform would keep one a millisecond.
#[test]
fn states_in_a_row_have_times_of_their_own() {
    let mut course = Course::new(1);
    course.device.start().unwrap();
    course.wait_for_connects(1);
    for number in 0..200 {
        course.send(if number % 4 == 0 { "a" } else { "gateway" }, 0);
    }
    assert_eq!(course.device.flush(Some(DEADLINE)), Ok(()));
    for whose in ["gateway", "a"] {
        let times: Vec<i64> = course.simulator.read(|records| {
            records.states.iter().filter(|record| record.device == whose).map(|record| record.state.time_ms).collect()
        });
        assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
    }
    course.finish();
}

fn of_peripheral(id: &str) -> State<'_> {
    State { json: "{}", peripheral_id: Some(id), ..State::default() }
}
