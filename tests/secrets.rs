//! Key, secret and client key leave no trace: not in memory when the device is freed, never in the log.

use crate::support::{
    Broker, CProgram, FakeBroker, LONG_KEY, LONG_SECRET, Lane, Listener, certificates::Authority,
    fake_broker::read_packet,
};
use std::{fs, io::Write};
use tempfile::TempDir;

/// As the C program takes what it must not hold in the clear.
fn masked(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{:02x}", byte ^ 0x55)).collect()
}

fn run(lane: Lane, port: u16, way: &str, end: &str, more: &[String]) {
    let (port, key) = (port.to_string(), masked(LONG_KEY));
    let secret = masked(if end == "refused" {
        "a-wrong-secret-of-the-same-length-as-a-right-one-0123456789abcde"
    } else {
        LONG_SECRET
    });
    let mut arguments = vec!["127.0.0.1", &port, way, end, &key, &secret];
    arguments.extend(more.iter().map(String::as_str));
    CProgram::start("secrets", lane, &arguments).finish();
}

fn wiped_with_the_device(lane: Lane) {
    let broker = Broker::start(lane);
    for way in lane.ways() {
        run(lane, broker.device_port(lane), way, "closed", &[]);
    }
    for way in ["loop", "start"] {
        run(lane, broker.device_port(lane), way, "refused", &[]);
    }
}

/// The broker takes part of CONNECT at most, and answers nothing.
fn wiped_when_it_was_never_connected(lane: Lane) {
    let silent = FakeBroker::serving(|mut stream| std::io::copy(&mut stream, &mut std::io::sink()).map(drop));
    run(lane, silent.port(), "", "connecting", &[]);
    let hasty = FakeBroker::serving(|mut stream| {
        let connack_and_commands = [&[0x20, 2, 0, 0][..], b"\x32\x05\0\x01t\0\x01".repeat(50).as_slice()].concat();
        stream.write_all(&connack_and_commands)?;
        read_packet(&mut stream).map(drop)
    });
    run(lane, hasty.port(), "", "connecting", &[]);
}

#[test]
fn the_client_key_is_wiped_too() {
    let broker = Broker::with(&[Listener::Tcp, Listener::MutualTls], "");
    let ours = Authority::shared();
    let leaf = ours.leaf(|_| {});
    let dir = TempDir::new().unwrap();
    let (chain, key) = (dir.path().join("chain.pem"), dir.path().join("key.pem"));
    fs::write(&chain, ours.chain(&leaf)).unwrap();
    fs::write(&key, leaf.key_pem()).unwrap();

    // The middle of the secret number: as PEM has it, and as a number in memory, last byte first. Of a third form, the
    // bytes that PEM stands for, OpenSSL 3.0 leaves copies in memory that it has freed, whoever reads a key with it.
    let text = leaf.key_pem().lines().nth(2).expect("the key has more than one line")[..24].to_owned();
    let parsed = openssl::pkey::PKey::private_key_from_pem(leaf.key_pem().as_bytes()).unwrap();
    let number = parsed.ec_key().unwrap().private_key().to_vec_padded(32).unwrap();
    let reversed: Vec<u8> = number[8..24].iter().rev().copied().collect();
    let patterns = [masked(text), masked(reversed.clone())];
    let run_with = |patterns: &[String]| {
        for form in ["pem", "files"] {
            let mut more = vec![chain.display().to_string(), key.display().to_string(), form.to_owned()];
            more.extend(patterns.iter().cloned());
            for way in ["loop", "start"] {
                run(Lane::Tls, broker.port_of(Listener::MutualTls), way, "closed", &more);
            }
        }
    };
    run_with(&patterns);

    // In another form, which is converted to the first, and in the file of the certificates too.
    let sec1 = String::from_utf8(parsed.ec_key().unwrap().private_key_to_pem().unwrap()).unwrap();
    let text = sec1.lines().nth(1).expect("the key has a line")[8..40].to_owned();
    fs::write(&key, &sec1).unwrap();
    fs::write(&chain, ours.chain(&leaf) + &sec1).unwrap();
    run_with(&[&patterns[..], &[masked(text)]].concat());
}

// Not under valgrind: its own memory would be looked through.
mod wiped_with_the_device {
    crate::support::lane::lane_tests!(
        wiped_with_the_device: shared Shared, statically_linked Static, over_tls Tls, over_ws Ws, over_wss Wss
    );
}

mod wiped_when_it_was_never_connected {
    crate::support::lane::lane_tests!(
        wiped_when_it_was_never_connected: shared Shared, statically_linked Static, over_tls Tls, over_ws Ws, over_wss Wss
    );
}
