//! One device at one simulator, and all that must hold in the end.

use losant::{Device, Event, EventType, State, Status};
use losant_simulator::{Cause, Config, DeviceConfig, Offence, Simulator};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// How long a test waits for what must happen.
pub const DEADLINE: Duration = Duration::from_secs(120);
/// How often the device has connected.
#[derive(Default)]
struct Connects {
    count: Mutex<usize>,
    changed: Condvar,
}

/// What a state is to the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Good,
    /// Outside the schema: it is refused, and with it whatever shares its message.
    Bad,
    /// For a device that is no peripheral: the connection is closed.
    Poison,
}

/// When a state may say that it was measured.
type Times = std::ops::RangeInclusive<i64>;

pub struct Course {
    pub simulator: Simulator,
    pub device: Device,
    /// What each accepted state was: whose, and from when. Its number is in its data.
    accepted: BTreeMap<u64, (String, Times, Kind)>,
    ends: Arc<Mutex<BTreeMap<u64, Vec<EventType>>>>,
    /// Whether states were kept back.
    kept_back: Arc<AtomicBool>,
    /// All events, in order.
    events: Arc<Mutex<Vec<EventType>>>,
    connects: Arc<Connects>,
    /// Whoever runs the loop, but for the background thread.
    loop_thread: Option<JoinHandle<()>>,
}

pub fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

impl Course {
    /// A gateway of the peripherals `a` and `b`, not connected yet. Windows and bans run so many times faster than on the
    /// platform.
    pub fn new(time_scale: u32) -> Course {
        let mut gateway = DeviceConfig::new("gateway", "key", "secret");
        gateway.peripherals = vec!["a".to_owned(), "b".to_owned()];
        let config = Config { time_scale: time_scale.into(), ..Config::new(vec![gateway]) };
        let simulator = Simulator::start(config).unwrap();
        let device = Device::new("gateway", Some(("key", "secret"))).unwrap();
        device.set_host("127.0.0.1").unwrap();
        device.set_port(simulator.port()).unwrap();
        device.set_secure(false).unwrap();
        device.set_reconnect_delay(1, 30).unwrap();
        device.set_keep_alive_seconds(1).unwrap();
        device.set_connect_timeout(1_000).unwrap();
        device.set_rate_limit(30, 300, u64::from(15_000 / time_scale)).unwrap();

        let ends: Arc<Mutex<BTreeMap<u64, Vec<EventType>>>> = Arc::default();
        for kind in [EventType::LOSANT_EVENT_DELIVERED, EventType::LOSANT_EVENT_DROPPED] {
            let ends = ends.clone();
            device.add_observer(kind, move |_, event| {
                if let Event::Delivered { id } | Event::Dropped { id, .. } = event {
                    ends.lock().unwrap().entry(*id).or_default().push(kind);
                }
            });
        }
        let events: Arc<Mutex<Vec<EventType>>> = Arc::default();
        for kind in EventType::ALL {
            let events = events.clone();
            device.add_observer(*kind, move |_, event| events.lock().unwrap().push(event.event_type()));
        }
        let kept_back = Arc::new(AtomicBool::new(false));
        let noticed = kept_back.clone();
        device.add_observer(EventType::LOSANT_EVENT_ERROR, move |_, event| {
            if matches!(event, Event::Error(error) if error.status == Status::LOSANT_ERR_UNDELIVERABLE) {
                noticed.store(true, Relaxed);
            }
        });
        let connects = Arc::new(Connects::default());
        for kind in [EventType::LOSANT_EVENT_CONNECT, EventType::LOSANT_EVENT_RECONNECT] {
            let connects = connects.clone();
            device.add_observer(kind, move |_, _| {
                *connects.count.lock().unwrap() += 1;
                connects.changed.notify_all();
            });
        }
        Course { simulator, device, accepted: BTreeMap::new(), ends, kept_back, events, connects, loop_thread: None }
    }

    /// Connects the device, to be run in this way.
    pub fn run(&mut self, way: &str) {
        let device = self.device.clone();
        match way {
            "start" => device.start().unwrap(),
            "loop" => {
                device.connect().unwrap();
                self.loop_thread =
                    Some(thread::spawn(move || while device.run_loop(Some(Duration::from_millis(50))).is_ok() {}));
            }
            _ => self.loop_thread = Some(thread::spawn(move || assert_eq!(device.connect_blocking(), Ok(())))),
        }
    }

    /// Waits until the device has connected that often.
    pub fn wait_for_connects(&self, times: usize) {
        let count = self.connects.count.lock().unwrap();
        let waited = self.connects.changed.wait_timeout_while(count, DEADLINE, |count| *count < times).unwrap();
        assert!(!waited.1.timed_out(), "never connected {times} times");
    }

    /// Reports one state, of the gateway or a peripheral.
    pub fn send(&mut self, whose: &str, time_ms: i64) {
        self.send_kind(whose, time_ms, Kind::Good);
    }

    /// Reports a state of this kind.
    pub fn send_kind(&mut self, whose: &str, time_ms: i64, kind: Kind) {
        let number = self.accepted.len() + 1;
        let whose = if kind == Kind::Poison { "stranger" } else { whose };
        let bad = if kind == Kind::Bad { ",\"bad\":null" } else { "" };
        let state = format!("{{\"n\":{number},\"text\":\"{}\"{bad}}}", "x".repeat(number % 50));
        let before = now_ms();
        let id = match whose {
            "gateway" => self.device.send_state(&state, time_ms),
            peripheral => {
                let state = State { json: &state, time_ms, peripheral_id: Some(peripheral), ..State::default() };
                self.device.send(&state)
            }
        };
        let times = match time_ms {
            // So much is added at most for each to have a time of its own.
            0 => before..=now_ms() + 1_000,
            1.. => time_ms..=time_ms,
            // Clocks are read in whole milliseconds.
            _ => before + time_ms - 1..=now_ms() + time_ms + 1,
        };
        assert_eq!(id, Ok(number as u64), "ids count accepted states");
        self.accepted.insert(number as u64, (whose.to_owned(), times, kind));
    }

    /// Everything is delivered, closed, and as it should be.
    pub fn finish(mut self) -> Summary {
        let poisonous = self.accepted.values().any(|(_, _, kind)| *kind == Kind::Poison);
        let begin = Instant::now();
        while poisonous && self.device.stats().queued > 0 {
            assert!(begin.elapsed() < DEADLINE, "left: {:?}", self.device.stats());
            // Only tries beside others that get through count.
            self.send("gateway", 0);
            let _ = self.device.flush(Some(Duration::from_millis(200)));
        }
        assert_eq!(self.device.flush(Some(DEADLINE)), Ok(()), "all is delivered in the end");
        assert_eq!(self.device.drain(Some(DEADLINE)), Ok(()));
        if let Some(loop_thread) = self.loop_thread.take() {
            loop_thread.join().unwrap();
        }

        assert_eq!(self.simulator.bans(), [], "nobody is banned");
        let strange = |offence: &Offence| matches!(offence, Offence::Topic(topic) if topic.contains("stranger"));
        assert!(self.simulator.violations().iter().all(|violation| strange(&violation.offence)), "no rule is broken");
        let of_kind = |kind| self.accepted.iter().filter(move |(_, state)| state.2 == kind).map(|(number, _)| *number);
        let is_lone = |rejected: &losant_simulator::Rejected| rejected.cause == Cause::State && rejected.index == 0;
        let rejected = self.simulator.rejected();
        assert!(rejected.iter().all(is_lone), "only what is bad is refused, and alone");
        let bad = of_kind(Kind::Bad).count();
        assert!(rejected.len() >= bad && (bad > 0 || rejected.is_empty()), "{} of {bad} bad ones came", rejected.len());
        let mut arrived: BTreeMap<u64, usize> = BTreeMap::new();
        let mut last: BTreeMap<String, u64> = BTreeMap::new();
        self.simulator.read(|records| {
            for record in &records.states {
                let number = record.state.data["n"].as_u64().unwrap();
                let (whose, times, _) = &self.accepted[&number];
                assert_eq!(&record.device, whose);
                assert!(
                    times.contains(&record.state.time_ms),
                    "{number}: {} is not in {times:?}",
                    record.state.time_ms
                );
                let last = last.entry(record.device.clone()).or_default();
                // One that comes again comes with those behind it.
                let in_order = number > *last || arrived.contains_key(&number) || self.kept_back.load(Relaxed);
                assert!(in_order, "{number} comes after {last}");
                *last = number.max(*last);
                *arrived.entry(number).or_default() += 1;
            }
        });
        assert_eq!(self.simulator.ignored(), [], "no time is out of range");
        let lost: Vec<u64> = of_kind(Kind::Good).filter(|number| !arrived.contains_key(number)).collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
        let ends = self.ends.lock().unwrap();
        assert_eq!(ends.keys().collect::<BTreeSet<_>>(), self.accepted.keys().collect(), "each state has its end");
        for (number, ends) in ends.iter() {
            let end = match self.accepted[number].2 {
                Kind::Poison => EventType::LOSANT_EVENT_DROPPED,
                Kind::Good | Kind::Bad => EventType::LOSANT_EVENT_DELIVERED,
            };
            assert_eq!(*ends, [end], "just one end of {number}");
        }

        self.check_order_of_events();

        let counters = self.device.stats();
        let poison = of_kind(Kind::Poison).count() as u64;
        assert_eq!((counters.accepted, counters.dropped_undeliverable), (self.accepted.len() as u64, poison));
        assert_eq!(counters.delivered, counters.accepted - poison);
        Summary {
            states: self.accepted.len(),
            duplicates: arrived.values().map(|times| times - 1).sum(),
            messages: counters.messages_sent as usize,
            connections: *self.connects.count.lock().unwrap(),
            faults: self.simulator.read(|records| records.faults.len()),
        }
    }
}

impl Course {
    /// Connect comes first, but for errors and what attempts before it brought; then reconnects; then close, once and as
    /// the last.
    fn check_order_of_events(&self) {
        use EventType::*;
        let events = self.events.lock().unwrap();
        let count = |kind| events.iter().filter(|event| **event == kind).count();
        assert_eq!((count(LOSANT_EVENT_CONNECT), count(LOSANT_EVENT_CLOSE)), (1, 1));
        assert_eq!(events.last(), Some(&LOSANT_EVENT_CLOSE));
        let connects = |event: &&EventType| matches!(event, LOSANT_EVENT_CONNECT | LOSANT_EVENT_RECONNECT);
        assert_eq!(events.iter().find(connects), Some(&LOSANT_EVENT_CONNECT));
    }
}

/// What a course came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    pub states: usize,
    pub duplicates: usize,
    pub messages: usize,
    pub connections: usize,
    pub faults: usize,
}

impl Summary {
    pub fn add(&mut self, other: Summary) {
        self.states += other.states;
        self.duplicates += other.duplicates;
        self.messages += other.messages;
        self.connections += other.connections;
        self.faults += other.faults;
    }
}

/// The largest number of these moments in any window.
pub fn most_within(window: Duration, moments: &[Instant]) -> usize {
    let count =
        |(at, first): (usize, &Instant)| moments[at..].iter().take_while(|time| **time < *first + window).count();
    moments.iter().enumerate().map(count).max().unwrap_or(0)
}
