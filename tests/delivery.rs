//! What becomes of accepted states: ids and ends, flush, close with a deadline, and connections begun at a bearable rate.

use crate::support::{
    Answers, Broker, CProgram, DEADLINE, FakeBroker, KEY, Lane, SECRET, in_every_lane, over_every_transport,
};
use losant_simulator::{After, Config, DeviceConfig, Drop, Fault, Limits, Simulator, Target};
use std::time::Duration;

fn each_state_has_an_id_and_one_end(lane: Lane) {
    let broker = Broker::start(lane);
    for way in lane.ways() {
        let program = CProgram::start("ends", lane, &["127.0.0.1", &broker.device_port(lane).to_string(), way]);
        assert_eq!(program.finish(), ["told"], "{way}");
    }
}

fn waiting_ends_in_time(lane: Lane) {
    let broker =
        FakeBroker::start(Answers { connack: Some(0), suback: Some(0), keeps_acks: true, ..Answers::default() });
    for way in lane.ways() {
        let program = CProgram::start("deadline", lane, &["127.0.0.1", &broker.port().to_string(), way]);
        assert_eq!(program.finish(), ["left 10"], "{way}");
    }
}

/// The simulator bans an application that connects too often.
fn many_devices_come_back_no_faster_than_the_platform_allows(lane: Lane) {
    let (count, window_ms) = if lane == Lane::Valgrind { (15, 1_000) } else { (60, 500) };
    let (limit, window) = (count / 3, Duration::from_millis(window_ms));
    let devices = (0..count).map(|number| DeviceConfig::new(&format!("device-{number}"), KEY, SECRET)).collect();
    let limits = Limits { connects: limit, window, ..Limits::default() };
    let simulator = Simulator::start(Config { limits, ..Config::new(devices) }).unwrap();
    let numbers = [u64::from(simulator.port()), count as u64, limit as u64, window_ms].map(|number| number.to_string());
    let arguments = [&["127.0.0.1".to_owned()], &numbers[..]].concat();
    let mut program = CProgram::start("many", lane, &arguments);
    program.expect("connected");
    simulator.set_fault(Target::All, Fault::Drop(Drop::Rst, After::Now));
    assert!(simulator.wait_until(|records| records.connections.len() >= 2 * count, DEADLINE));
    program.finish();
    assert_eq!(simulator.bans(), []);
}

over_every_transport!(each_state_has_an_id_and_one_end);

in_every_lane!(waiting_ends_in_time, many_devices_come_back_no_faster_than_the_platform_allows);
