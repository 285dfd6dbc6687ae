//! How a device ends: by whom and when it is closed, and that it can begin again.

use crate::support::{Broker, CProgram, Lane, eventually, in_every_lane, over_every_transport};

/// Every connect that succeeded has one connect and one close, which is the last; the second time too.
fn closed(lane: Lane, how: &str) {
    let broker = Broker::start(lane);
    for way in lane.ways() {
        let program = CProgram::start("closing", lane, &["127.0.0.1", &broker.device_port(lane).to_string(), way, how]);
        let once = ["connect", "close\t0\t0\tclosed by request", "returned\t0"];
        assert_eq!(program.finish(), [once, once].concat(), "{way}");
    }
    // Each time the broker was told goodbye.
    let goodbyes = || broker.log().matches("Received DISCONNECT from 507f191e810c19729de860ea").count();
    eventually("the broker has heard every goodbye", || goodbyes() == 2 * lane.ways().len());
}

fn from_a_callback(lane: Lane) {
    closed(lane, "callback");
}

fn from_another_thread(lane: Lane) {
    closed(lane, "thread");
}

fn from_another_thread_at_any_moment(lane: Lane) {
    let broker = Broker::start(lane);
    let rounds = if lane == Lane::Valgrind { "5" } else { "200" };
    CProgram::start("closing_race", lane, &["127.0.0.1", &broker.device_port(lane).to_string(), rounds]).finish();
}

fn freed_in_a_callback(lane: Lane) {
    let broker = Broker::start(lane);
    for way in lane.ways() {
        let program = CProgram::start("freeing", lane, &["127.0.0.1", &broker.device_port(lane).to_string(), way]);
        assert_eq!(program.finish(), ["freed"], "{way}");
    }
}

fn freed_in_the_log_callback(lane: Lane) {
    let broker = Broker::start(lane);
    for way in lane.ways() {
        let program = CProgram::start("logging", lane, &["127.0.0.1", &broker.device_port(lane).to_string(), way]);
        assert_eq!(program.finish(), [] as [&str; 0], "{way}: no callback after free");
    }
}

fn callbacks_that_wait_for_each_other(lane: Lane) {
    let broker = Broker::start(lane);
    let program = CProgram::start("crossing", lane, &["127.0.0.1", &broker.device_port(lane).to_string()]);
    assert_eq!(program.finish(), ["turned"]);
}

fn connected_again_in_the_close_callback(lane: Lane) {
    let broker = Broker::start(lane);
    for way in lane.ways() {
        let program = CProgram::start("again", lane, &["127.0.0.1", &broker.device_port(lane).to_string(), way]);
        assert_eq!(program.finish(), ["connect", "close\t0\t0\tclosed by request"].repeat(3), "{way}");
    }
}

fn run_in_one_way_after_the_other(lane: Lane) {
    let broker = Broker::start(lane);
    // Mosquitto takes a third of a second for each connection over WebSocket.
    let rounds = if matches!(lane, Lane::Valgrind | Lane::Ws | Lane::Wss) { "3" } else { "50" };
    CProgram::start("switching", lane, &["127.0.0.1", &broker.device_port(lane).to_string(), rounds]).finish();
}

fn freed_while_a_callback_waits_for_it(lane: Lane) {
    let broker = Broker::start(lane);
    CProgram::start("waiting", lane, &["127.0.0.1", &broker.device_port(lane).to_string()]).finish();
}

over_every_transport!(
    run_in_one_way_after_the_other,
    freed_while_a_callback_waits_for_it,
    connected_again_in_the_close_callback,
    from_a_callback,
    from_another_thread,
    from_another_thread_at_any_moment,
    freed_in_a_callback,
    freed_in_the_log_callback,
);

in_every_lane!(callbacks_that_wait_for_each_other);
