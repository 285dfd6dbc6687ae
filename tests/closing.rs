//! How a device ends: by whom and when it is closed, and that it can begin again.

use crate::support::{Broker, CProgram, Lane, in_every_lane};

/// Every connect that succeeded has one connect and one close, which is the last; the second time too.
fn closed(lane: Lane, how: &str) {
    let broker = Broker::start();
    for way in lane.ways() {
        let program = CProgram::start("closing", lane, &["127.0.0.1", &broker.port().to_string(), way, how]);
        let once = ["connect", "close\t0\t0\tclosed by request", "returned\t0"];
        assert_eq!(program.finish(), [once, once].concat(), "{way}");
    }
    // A broker that was told goodbye keeps no half-open session, and logs it.
    let goodbyes = broker.log().matches("Received DISCONNECT from 507f191e810c19729de860ea").count();
    assert_eq!(goodbyes, 2 * lane.ways().len());
}

fn from_a_callback(lane: Lane) {
    closed(lane, "callback");
}

fn from_another_thread(lane: Lane) {
    closed(lane, "thread");
}

fn from_another_thread_at_any_moment(lane: Lane) {
    let broker = Broker::start();
    let rounds = if lane == Lane::Valgrind { "5" } else { "200" };
    CProgram::start("closing_race", lane, &["127.0.0.1", &broker.port().to_string(), rounds]).finish();
}

fn freed_in_a_callback(lane: Lane) {
    let broker = Broker::start();
    for way in lane.ways() {
        let program = CProgram::start("freeing", lane, &["127.0.0.1", &broker.port().to_string(), way]);
        assert_eq!(program.finish(), ["freed"], "{way}");
    }
}

in_every_lane!(from_a_callback, from_another_thread, from_another_thread_at_any_moment, freed_in_a_callback);
