//! Random bursts, outages and faults.

use crate::course::{Course, Kind, Summary, now_ms};
use losant_simulator::{After, Drop, Fault, PubackFault};
use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

fn any_fault(random: &mut fastrand::Rng) -> Fault {
    let ms = |random: &mut fastrand::Rng, most| Duration::from_millis(random.u64(0..most));
    let how = if random.bool() { Drop::Fin } else { Drop::Rst };
    match random.u8(0..16) {
        0 => Fault::Drop(how, After::Now),
        1 | 2 => Fault::Drop(how, After::Packets(random.u64(1..60))),
        3 | 4 => Fault::Drop(how, After::Bytes(random.u64(1..20_000))),
        5 | 6 => Fault::Stall(ms(random, 400)),
        7 => Fault::IgnorePings,
        8 => Fault::DelayConnack(ms(random, 1_500)),
        9 => Fault::RefuseConnack(random.u8(1..6)),
        10 => Fault::NoSuback,
        11 | 12 => {
            let (lose, duplicate, reorder) = (random.f64() * 0.2, random.f64() * 0.5, random.f64() * 0.5);
            Fault::Puback(PubackFault { lose, duplicate, reorder, seed: random.u64(..) })
        }
        13 => Fault::Garbage { bytes: random.usize(1..200), seed: random.u64(..) },
        14 => Fault::Truncated { close: random.bool() },
        _ if random.bool() => Fault::MalformedCommands,
        _ => Fault::HugeCommand { bytes: 300 * 1024 },
    }
}

fn run(seed: u64) -> Summary {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut course = Course::new(100);
    if random.bool() {
        course.device.set_merge_limit(*random.choice(&[0, 1024, 16 * 1024]).unwrap()).unwrap();
    }
    course.device.set_max_in_flight(random.u32(1..200)).unwrap();
    // The blocking connect does not survive the refusal of its first attempt.
    let refused = random.bool();
    if refused {
        course.simulator.set_fault("gateway", Fault::RefuseConnack(3));
    }
    let ways = if refused { &["start", "loop"][..] } else { &["start", "loop", "blocking"] };
    course.run(random.choice(ways).unwrap());
    course.send("a", 0);
    course.simulator.clear_faults("gateway");
    // A device that the broker has accepted before stays with it through all refusals; a new one need not.
    course.wait_for_connects(1);
    // In every third run there are states that end the connection.
    let poison = if random.u8(0..3) == 0 { 0.02 } else { 0.0 };
    for _ in 0..random.u32(10..60) {
        match random.u8(0..9) {
            0..=3 => {
                let most = if random.u8(0..8) == 0 { 1_000 } else { 40 };
                let whose = *random.choice(&["gateway", "gateway", "a", "b"]).unwrap();
                for _ in 0..random.u32(1..most) {
                    let time = match random.u8(0..3) {
                        0 => 0,
                        1 => -random.i64(1..86_400_000),
                        _ => now_ms() - random.i64(0..86_400_000),
                    };
                    let kind = match random.f64() {
                        share if share < poison => Kind::Poison,
                        share if share < 0.05 => Kind::Bad,
                        _ => Kind::Good,
                    };
                    course.send_kind(whose, time, kind);
                }
            }
            4..=7 => {
                course.simulator.set_fault_times("gateway", any_fault(&mut random), random.u32(1..4));
            }
            _ => {
                course.simulator.send_command("gateway", "go", None);
            }
        }
        // For things to happen in.
        thread::sleep(Duration::from_millis(random.u64(0..100)));
    }
    course.simulator.clear_faults("gateway");
    course.finish()
}

/// LOSANT_RUNS tells how many, LOSANT_SEED which is the first.
#[test]
fn nothing_is_lost_and_nobody_is_banned() {
    // Each run has an application of its own.
    losant::set_connect_limit(0, 1).unwrap();
    let (runs, first) = (number("LOSANT_RUNS", 30), number("LOSANT_SEED", 1));
    let (next, sum) = (AtomicU64::new(first), Mutex::new(Summary::default()));
    thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + runs {
                        return;
                    }
                    match thread::Builder::new().name(format!("run {seed}")).spawn(move || run(seed)).unwrap().join() {
                        Ok(summary) => sum.lock().unwrap().add(summary),
                        Err(_) => panic!("run {seed} failed: LOSANT_SEED={seed} LOSANT_RUNS=1 repeats it"),
                    }
                }
            });
        }
    });
    println!("{runs} runs, 0 bans, 0 lost: {:?}", sum.into_inner().unwrap());
}
