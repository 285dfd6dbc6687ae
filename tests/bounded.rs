//! Closing, freeing and waiting end in time, whatever the network does, and leave neither thread nor memory behind.

use crate::support::{
    Broker, CProgram, DEADLINE, FakeBroker, Lane, Process, Proxy, dark, in_every_lane, over_every_transport,
};
use std::{io::Read, sync::mpsc};

const ENDS: [&str; 4] = ["close", "drain", "flush", "free"];

/// Runs the device in every way and ends it in every way; `help` is called at each end.
fn ends_in_time(lane: Lane, host: &str, port: u16, network: &str, mut help: impl FnMut(&mut Process, &str)) {
    for way in lane.ways().iter().copied().chain(["alone"]) {
        let mut program = CProgram::start("bounded", lane, &[host, &port.to_string(), way, network]);
        for end in ENDS {
            help(&mut program, end);
        }
        let took: Vec<String> = program.finish().into_iter().filter(|line| line != "connected").collect();
        println!("{network}, {way}: {took:?}");
        assert_eq!(took.len(), ENDS.len());
    }
}

fn with_a_silent_broker(lane: Lane) {
    let (sender, heard) = mpsc::channel();
    let broker = FakeBroker::serving(move |mut stream| {
        let mut chunk = [0; 4096];
        let mut count = stream.read(&mut chunk)?;
        let _ = sender.send(());
        while count > 0 {
            count = stream.read(&mut chunk)?;
        }
        Ok(())
    });
    ends_in_time(lane, "127.0.0.1", broker.port(), "silent", |program, _| {
        heard.recv_timeout(DEADLINE).expect("the device says something");
        program.say("now");
    });
}

fn with_nobody_there(lane: Lane) {
    let place = dark::Place::new();
    ends_in_time(lane, "127.0.0.1", place.port(), "dark", |_, _| {});
}

fn without_a_name_server(lane: Lane) {
    ends_in_time(lane, "no-such-host.invalid", 1883, "nameless", |_, _| {});
}

fn with_a_broker_that_reads_no_more(lane: Lane) {
    let broker = Broker::start(lane);
    let proxy = Proxy::to(broker.device_port(lane));
    ends_in_time(lane, "127.0.0.1", proxy.port(), "full", |program, end| {
        program.expect("connected");
        proxy.fall_silent();
        program.say("go");
        program.expect(&format!("{end} "));
        proxy.recover();
    });
}

over_every_transport!(with_a_silent_broker, with_a_broker_that_reads_no_more);

in_every_lane!(with_nobody_there, without_a_name_server);
