//! Handshakes leave nothing behind, however small the pieces they come in.

use crate::support::{Broker, CProgram, Lane, Manner, Proxy};

/// LOSANT_HANDSHAKES sets another number than the few of a normal run.
fn handshakes(lane: Lane) {
    let broker = Broker::start(lane);
    let proxy = Proxy::with(broker.device_port(lane), Manner::OneByOne);
    let count = std::env::var("LOSANT_HANDSHAKES").unwrap_or_else(|_| "20".to_owned());
    let mut program = CProgram::start("handshakes", lane, &["127.0.0.1", &proxy.port().to_string(), &count]);
    for _ in 0..count.parse::<usize>().unwrap() / 10 {
        program.expect("peak\t");
    }
    let told = program.finish();
    println!(
        "{lane:?}: {count} handshakes; KB at most: {} after 100, {} at the end",
        told[told.len().min(11) - 1],
        told[told.len() - 1]
    );
}

#[test]
fn byte_by_byte_over_wss() {
    handshakes(Lane::Wss);
}

#[test]
fn byte_by_byte_over_wss_under_valgrind() {
    handshakes(Lane::WssUnderValgrind);
}
