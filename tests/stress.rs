//! Everything at once, for seconds: what the other tests try one by one.

use crate::support::{CProgram, KEY, Lane, SECRET, broker::free_port, certificates::Authority, in_every_lane};
use losant_simulator::{
    After, Config, DeviceConfig, Drop, Fault, Identity, Limits, PubackFault, Simulator, Target, Transport,
};
use std::{
    sync::atomic::{AtomicBool, Ordering::*},
    thread,
    time::Duration,
};

/// As in tests/c/stress/stress.c.
const SLOTS: usize = 50;
const TRANSPORTS: [Transport; 4] = [Transport::Tcp, Transport::Tls, Transport::WebSocket, Transport::SecureWebSocket];

/// A broker that bans nobody.
fn config() -> Config {
    let device = |number| DeviceConfig {
        peripherals: vec!["peripheral".to_owned()],
        ..DeviceConfig::new(&format!("device-{number}"), KEY, SECRET)
    };
    let no_limit = usize::MAX;
    let leaf = Authority::shared().leaf(|_| {});
    let identity = Identity {
        certificate_pem: Authority::shared().chain(&leaf).into_bytes(),
        key_pem: leaf.key_pem().into_bytes(),
    };
    Config {
        listeners: TRANSPORTS.map(|transport| (transport, free_port())).to_vec(),
        identity: Some(identity),
        limits: Limits { per_topic: no_limit, per_connection: no_limit, connects: no_limit, ..Limits::default() },
        ..Config::new((0..SLOTS).map(device).collect())
    }
}

fn random_fault() -> Fault {
    let seed = fastrand::u64(..);
    match fastrand::u8(..12) {
        0 => Fault::Drop(Drop::Fin, After::Now),
        1 => Fault::Drop(Drop::Rst, After::Packets(fastrand::u64(..20))),
        2 => Fault::Drop(Drop::Rst, After::Bytes(fastrand::u64(..2_000))),
        3 => Fault::Stall(Duration::from_millis(fastrand::u64(..500))),
        4 => Fault::DelayConnack(Duration::from_millis(fastrand::u64(..300))),
        5 => Fault::RefuseConnack(fastrand::u8(1..=5)),
        6 => Fault::NoSuback,
        7 => Fault::Puback(PubackFault { lose: 0.1, duplicate: 0.2, reorder: 0.2, seed }),
        8 => Fault::MalformedCommands,
        9 => Fault::IgnorePings,
        10 => Fault::Garbage { bytes: fastrand::usize(1..100), seed },
        _ => Fault::Truncated { close: fastrand::bool() },
    }
}

/// Comes and goes, has faults, and sends commands.
fn restless_broker(config: &Config, ended: &AtomicBool) {
    let pause = |ms| thread::sleep(Duration::from_millis(fastrand::u64(..ms)));
    while !ended.load(SeqCst) {
        // The port of the one before may be taken for another moment.
        let Ok(simulator) = Simulator::start(config.clone()) else {
            pause(20);
            continue;
        };
        for _ in 0..fastrand::usize(..40) {
            let device = Target::Device(format!("device-{}", fastrand::usize(..SLOTS)));
            simulator.set_fault_times(device, random_fault(), 1);
            for number in 0..SLOTS {
                simulator.send_command(&format!("device-{number}"), "go", None);
            }
            pause(100);
        }
        std::mem::drop(simulator);
        pause(300);
    }
}

fn anything_from_anywhere(lane: Lane) {
    let seconds = std::env::var("LOSANT_STRESS_SECONDS").unwrap_or_else(|_| "4".to_owned());
    let seed = fastrand::u32(..);
    let config = config();
    let mut arguments = vec!["127.0.0.1".to_owned()];
    arguments.extend(config.listeners.iter().map(|(_, port)| port.to_string()));
    arguments.extend([seconds, seed.to_string()]);
    let mut program = CProgram::start("stress", lane, &arguments);

    let ended = AtomicBool::new(false);
    let told = thread::scope(|scope| {
        scope.spawn(|| restless_broker(&config, &ended));
        struct End<'a>(&'a AtomicBool);
        impl std::ops::Drop for End<'_> {
            fn drop(&mut self) {
                self.0.store(true, SeqCst);
            }
        }
        let _end = End(&ended);
        program.expect("stopping");
        program.finish()
    });
    println!("{lane:?}, seed {seed}: {}", told[1]);
}

/// Memory stays as it is over any number of devices.
#[test]
fn devices_leave_nothing_behind() {
    let count = std::env::var("LOSANT_CHURN").unwrap_or_else(|_| "50000".to_owned());
    for lane in [Lane::Shared, Lane::Static] {
        println!("{}", CProgram::start("churn", lane, &[&count]).finish().join("\n"));
    }
}

in_every_lane!(anything_from_anywhere);
