//! Handshakes leave nothing behind, however small the pieces they come in.

use crate::support::{Broker, CProgram, Lane, Manner, Proxy};

/// Eight programs share the work: most of a handshake is waiting for the broker, which looks at its WebSockets every 100 ms.
/// LOSANT_HANDSHAKES sets another number for each than the few of a normal run.
fn handshakes(lane: Lane, manner: Manner, programs: usize) {
    let broker = Broker::start(lane);
    let proxy = Proxy::with(broker.device_port(lane), manner);
    let count = std::env::var("LOSANT_HANDSHAKES").unwrap_or_else(|_| "10".to_owned());
    let arguments = ["127.0.0.1", &proxy.port().to_string(), &count];
    let mut programs: Vec<_> = (0..programs).map(|_| CProgram::start("handshakes", lane, &arguments)).collect();
    for _ in 0..count.parse::<usize>().unwrap() / 10 {
        for program in &mut programs {
            program.expect("peak\t");
        }
    }
    for program in programs {
        let told = program.finish();
        let (early, late) = (&told[told.len().min(11) - 1], &told[told.len() - 1]);
        println!("{lane:?}: {count} handshakes; memory in KB: {early} after 100, {late} at the end");
    }
}

#[test]
fn byte_by_byte_over_wss() {
    handshakes(Lane::Wss, Manner::OneByOne, 8);
}

/// Not over WebSocket: mosquitto gives up on those that are as slow as this on a busy machine.
#[test]
fn over_tls_under_valgrind() {
    handshakes(Lane::TlsUnderValgrind, Manner::Whole, 1);
}
