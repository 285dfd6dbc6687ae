//! Each fault as a device sees it.

use std::io::{ErrorKind, Read};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use losant_simulator::{After, Drop, Fault, MALFORMED, PubackFault, Target};

use crate::client::*;

const TOPIC: &str = "losant/d/state";
const SHORT: Duration = Duration::from_millis(100);

fn puback_fault(lose: f64, duplicate: f64, reorder: f64) -> Fault {
    Fault::Puback(PubackFault { lose, duplicate, reorder, seed: 7 })
}

#[test]
fn fin_is_an_end_and_rst_a_reset() {
    for (how, expected) in [(Drop::Fin, None), (Drop::Rst, Some(ErrorKind::ConnectionReset))] {
        let simulator = start(config());
        let mut client = Client::accepted(&simulator, "d");
        assert!(simulator.set_fault("d", Fault::Drop(how, After::Now)));
        let result = client.stream.read(&mut [0; 1]);
        assert_eq!(result.as_ref().err().map(std::io::Error::kind), expected);
        assert_eq!(result.ok().unwrap_or(0), 0);
        Client::accepted(&simulator, "d");
    }
}

#[test]
fn a_drop_waits_for_packets_or_bytes() {
    let simulator = start(config());
    let mut client = Client::accepted(&simulator, "d");
    simulator.set_fault("d", Fault::Drop(Drop::Fin, After::Packets(2)));
    for id in [1, 2] {
        client.send(&publish(TOPIC, Some(id), STATE));
        assert_eq!(client.receive(), puback(id));
    }
    assert_eq!(client.receive(), None);

    let mut client = Client::accepted(&simulator, "d");
    let message = publish(TOPIC, Some(3), STATE);
    simulator.set_fault("d", Fault::Drop(Drop::Fin, After::Bytes(message.len() as u64 + 5)));
    client.send(&message.repeat(3));
    assert_eq!(client.receive(), puback(3));
    assert_eq!(client.receive(), None);
    assert_eq!(simulator.states().len(), 3);
}

#[test]
fn a_fault_waits_for_the_next_connection_and_comes_to_each_device() {
    let simulator = start(config());
    assert!(!simulator.set_fault("unknown", Fault::NoSuback));
    assert!(simulator.set_fault(Target::All, Fault::Drop(Drop::Fin, After::Now)));
    for id in ["d", "g"] {
        assert_eq!(Client::accepted(&simulator, id).receive(), None);
        Client::subscribed(&simulator, id);
    }
    assert_eq!(simulator.read(|records| records.faults.len()), 2);
}

#[test]
fn a_stalled_connection_goes_on_later() {
    let simulator = start(config());
    let mut client = Client::subscribed(&simulator, "d");
    simulator.set_fault("d", Fault::Stall(SHORT));
    wait(&simulator, |records| records.faults.len() == 1);
    let begin = Instant::now();
    assert!(simulator.send_command("d", "late", None));
    client.send(&PINGREQ);
    client.message();
    assert_eq!(client.receive(), Some(PINGRESP.to_vec()));
    assert!(begin.elapsed() >= SHORT / 2);
}

#[test]
fn pings_are_ignored_until_the_fault_is_cleared() {
    let simulator = start(config());
    let mut client = Client::accepted(&simulator, "d");
    simulator.set_fault("d", Fault::IgnorePings);
    client.send(&[PINGREQ, PINGREQ].concat());
    client.send(&publish(TOPIC, Some(1), STATE));
    assert_eq!(client.receive(), puback(1));
    assert_eq!(simulator.connections()[0].pings, 2);
    simulator.clear_faults("d");
    client.send(&PINGREQ);
    assert_eq!(client.receive(), Some(PINGRESP.to_vec()));
}

#[test]
fn connack_is_late_or_a_refusal() {
    let simulator = start(config());
    simulator.set_fault_times("d", Fault::DelayConnack(SHORT), 1);
    simulator.set_fault_times("d", Fault::RefuseConnack(3), 1);
    let begin = Instant::now();
    let mut client = Client::open(&simulator);
    client.send(&connect(0xc2, "d", "key", "secret"));
    assert_eq!(client.receive(), Some(vec![0x20, 2, 0, 3]));
    assert_eq!(client.receive(), None);
    assert!(begin.elapsed() >= SHORT);
    Client::accepted(&simulator, "d");
}

#[test]
fn there_is_no_suback_but_commands_come() {
    let simulator = start(config());
    simulator.set_fault("d", Fault::NoSuback);
    let mut client = Client::accepted(&simulator, "d");
    client.send(&subscribe("losant/d/command"));
    wait(&simulator, |records| records.faults.len() == 1);
    assert!(simulator.send_command("d", "go", None));
    client.message();
}

#[test]
fn pubacks_are_lost_doubled_or_late() {
    let simulator = start(config());
    let mut client = Client::accepted(&simulator, "d");
    simulator.set_fault("d", puback_fault(1.0, 0.0, 0.0));
    client.send(&publish(TOPIC, Some(1), STATE));
    wait(&simulator, |records| records.faults.len() == 1);
    simulator.set_fault("d", puback_fault(0.0, 1.0, 0.0));
    client.send(&publish(TOPIC, Some(2), STATE));
    assert_eq!((client.receive(), client.receive()), (puback(2), puback(2)));
    simulator.clear_faults("d");
    simulator.set_fault_times("d", puback_fault(0.0, 0.0, 1.0), 1);
    client.send(&[publish(TOPIC, Some(3), STATE), publish(TOPIC, Some(4), STATE)].concat());
    assert_eq!((client.receive(), client.receive()), (puback(4), puback(3)));
    simulator.set_fault_times("d", puback_fault(0.0, 0.0, 1.0), 1);
    client.send(&publish(TOPIC, Some(5), STATE));
    assert_eq!(client.receive(), puback(5));
}

#[test]
fn garbage_is_the_same_each_time() {
    let simulator = start(config());
    let mut seen = Vec::new();
    for _ in 0..2 {
        let mut client = Client::accepted(&simulator, "d");
        simulator.set_fault("d", Fault::Garbage { bytes: 40, seed: 3 });
        seen.push((0..40).map(|_| client.byte()).collect::<Vec<_>>());
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0][0], Some(0xff));
}

#[test]
fn a_packet_is_cut_off() {
    let simulator = start(config());
    let mut client = Client::accepted(&simulator, "d");
    simulator.set_fault("d", Fault::Truncated { close: true });
    assert_eq!(client.byte(), Some(0x30));
    let length = usize::from(client.byte().expect("a length"));
    let rest = std::iter::from_fn(|| client.byte()).count();
    assert!(rest > 0 && rest < length, "{rest} of {length}");
    assert!(simulator.connections()[0].closed.is_some());

    let mut client = Client::accepted(&simulator, "d");
    simulator.set_fault("d", Fault::Truncated { close: false });
    wait(&simulator, |records| records.faults.len() == 2);
    client.send(&PINGREQ);
    assert!(std::iter::from_fn(|| client.byte()).any(|byte| byte == PINGRESP[0]));
}

#[test]
fn a_packet_begins_and_never_ends() {
    for begun in [&[0x30, 0xff, 0xff, 0x3f][..], &[0x40, 0xa0, 0xf6, 0x36], &[0x90, 0xff, 0xff, 0x03]] {
        let simulator = start(config());
        let mut client = Client::subscribed(&simulator, "d");
        simulator.set_fault("d", Fault::Raw { bytes: begun.to_vec(), silent: true });
        assert_eq!([(); 4].map(|()| client.byte()), [begun[0], begun[1], begun[2], begun[3]].map(Some));
        // Nothing is answered, nothing comes, and nothing counts; that all has been read shows in the end.
        client.send(&[&publish(TOPIC, Some(1), STATE)[..], &PINGREQ].concat());
        simulator.send_command("d", "go", None);
        client.stream.shutdown(Shutdown::Write).expect("a shutdown");
        assert_eq!(client.byte(), None);
        wait(&simulator, |records| records.connections[0].closed.as_deref() == Some("closed by the device"));
        assert!(simulator.states().is_empty() && simulator.connections()[0].pings == 0);

        let mut next = Client::subscribed(&simulator, "d");
        next.send(&publish(TOPIC, Some(1), STATE));
        assert_eq!(next.receive(), puback(1));
    }
}

#[test]
fn raw_bytes_come_as_soon_as_the_device_is_connected_and_all_goes_on() {
    let simulator = start(config());
    simulator.set_fault("d", Fault::Raw { bytes: b"\xd0\0".to_vec(), silent: false });
    let mut client = Client::accepted(&simulator, "d");
    assert_eq!(client.receive(), Some(PINGRESP.to_vec()));
    client.send(&publish(TOPIC, Some(1), STATE));
    assert_eq!(client.receive(), puback(1));
}

#[test]
fn the_connection_is_closed_at_subscribe() {
    let simulator = start(config());
    simulator.set_fault("d", Fault::CloseAtSubscribe);
    for _ in 0..2 {
        let mut client = Client::accepted(&simulator, "d");
        client.send(&publish(TOPIC, Some(1), STATE));
        assert_eq!(client.receive(), puback(1));
        client.send(&subscribe("losant/d/command"));
        assert_eq!(client.receive(), None);
    }
    assert_eq!((simulator.states().len(), simulator.violations().len()), (2, 0));
    simulator.clear_faults("d");
    Client::subscribed(&simulator, "d");
}

#[test]
fn suback_and_puback_come_at_once() {
    let simulator = start(config());
    simulator.set_fault("d", Fault::JoinAcks);
    let mut client = Client::accepted(&simulator, "d");
    client.send(&subscribe("losant/d/command"));
    wait(&simulator, |records| records.faults.len() == 1);
    client.send(&publish(TOPIC, None, STATE));
    client.send(&publish(TOPIC, Some(3), STATE));
    let mut both = [0; 64];
    let length = client.stream.read(&mut both).expect("both");
    assert_eq!(both[..length], [0x90, 3, 0, 7, 0, 0x40, 2, 0, 3]);
    client.send(&publish(TOPIC, Some(4), STATE));
    assert_eq!(client.receive(), puback(4));
    assert!(simulator.send_command("d", "go", None));
    client.message();
}

#[test]
fn commands_are_malformed_or_huge() {
    let simulator = start(config());
    simulator.set_fault("d", Fault::MalformedCommands);
    let mut client = Client::subscribed(&simulator, "d");
    for (what, payload) in MALFORMED {
        assert_eq!(client.message(), ("losant/d/command".into(), payload.to_vec()), "{what}");
    }
    simulator.set_fault("d", Fault::HugeCommand { bytes: 300 * 1024 });
    let (_, payload) = client.message();
    assert!(payload.len() > 300 * 1024);
    let command: serde_json::Value = serde_json::from_slice(&payload).expect("JSON");
    assert_eq!(command["name"], "huge");
}
