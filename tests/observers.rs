//! Who is called, in which order, and who no longer.

use crate::support::{Broker, CProgram, Lane, in_every_lane, over_every_transport};

fn in_the_order_added_until_removed(lane: Lane) {
    let broker = Broker::start(lane);
    for way in lane.ways() {
        let mut program =
            CProgram::start("observers", lane, &["127.0.0.1", &broker.device_port(lane).to_string(), way]);
        program.expect("connect");
        // Those that were added and removed before leave the order: first, third, second.
        for name in ["one", "remove second", "two", "remove first", "three", "add late", "four", "stop"] {
            broker.command(&format!("{{\"name\":\"{name}\"}}"));
        }
        assert_eq!(
            program.finish(),
            [
                "connect",
                "first hears one",
                "third hears one",
                "second hears one",
                "first hears remove second",
                "third hears remove second",
                "first hears two",
                "third hears two",
                "first hears remove first",
                "third hears remove first",
                "third hears three",
                "third hears add late",
                "third hears four",
                "late hears four",
                "third hears stop",
                "late hears stop",
            ],
            "{way}"
        );
    }
}

fn while_a_callback_runs(lane: Lane) {
    let broker = Broker::start(lane);
    let program = CProgram::start("removal", lane, &["127.0.0.1", &broker.device_port(lane).to_string()]);
    assert_eq!(program.finish(), ["removed", "freed", "not waited for"]);
}

fn user_data_is_destroyed_once_and_last(lane: Lane) {
    let broker = Broker::start(lane);
    for way in lane.ways() {
        let program = CProgram::start("destructor", lane, &["127.0.0.1", &broker.device_port(lane).to_string(), way]);
        assert_eq!(program.finish(), [] as [&str; 0], "{way}");
    }
}

/// What would wait is refused inside a callback of any device, the loop inside one of its own.
fn refused_inside_a_callback(lane: Lane) {
    let broker = Broker::start(lane);
    for way in lane.ways() {
        let program = CProgram::start("inside", lane, &["127.0.0.1", &broker.device_port(lane).to_string(), way]);
        assert_eq!(program.finish(), [] as [&str; 0], "{way}");
    }
}

in_every_lane!(user_data_is_destroyed_once_and_last, refused_inside_a_callback);

over_every_transport!(in_the_order_added_until_removed, while_a_callback_runs);
