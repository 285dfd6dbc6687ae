//! Whether something still gets through: when a PINGREQ is due, and when its answer is.
//!
//! The PINGRESP is what every verdict rests on: a broker that reads nothing of ours may still send, and one that sends
//! half a packet for ever answers nothing. All else only gives it more time:
//!
//! - Its time begins when the PINGREQ has left our output, which it does behind all that was sent before it, as long as the
//!   network goes on taking of that.
//! - What was sent before it has the time that the slowest link needs for it, wherever it is kept meanwhile: in the
//!   kernel, in a modem, in a proxy.
//! - An answer to something that was sent before it shows that the broker is still on its way to it.
//! - While a packet or a WebSocket frame comes in, nothing else can: each of its bytes gives the time that the slowest link
//!   needs for it, and a keep-alive period at most when none follows.

use std::time::{Duration, Instant};

/// Bytes per second. Half of what a line of 9.6 kbit/s carries, for it may carry others' too.
const SLOWEST_LINK: u64 = 500;

/// A broker that sends more than this in front of its PINGRESP gets no more time: the longest packet twice.
const MAX_BEFORE_ANSWER: u64 = 2 << 20;

/// How many bytes have passed the socket since it was opened, whatever they carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub received: u64,
    pub sent: u64,
}

/// A PINGREQ that is not answered.
struct Ping {
    /// Where it ends in the output of the whole connection.
    end: u64,
    /// When its time began at the latest.
    since: Instant,
    /// Whether the network has taken it.
    left: bool,
    /// When what it was sent behind has passed the slowest link.
    through: Instant,
    /// What has been received since it was sent.
    received: u64,
}

pub(super) struct Alive {
    keep_alive: Duration,
    last_sent: Instant,
    /// When the broker last answered something.
    last_answer: Instant,
    ping: Option<Ping>,
    /// None before the first count.
    traffic: Option<Traffic>,
    /// When all that the network has taken has passed the slowest link.
    through: Instant,
    /// Until when what comes in, unfinished, excuses the answer.
    arriving_until: Instant,
}

fn at_slowest(bytes: u64) -> Duration {
    Duration::from_millis(bytes.saturating_mul(1000) / SLOWEST_LINK)
}

impl Alive {
    pub fn new(keep_alive: Duration, now: Instant) -> Self {
        Alive {
            keep_alive,
            last_sent: now,
            last_answer: now,
            ping: None,
            traffic: None,
            through: now,
            arriving_until: now,
        }
    }

    /// A packet has been put in the output.
    pub fn sent(&mut self, now: Instant) {
        self.last_sent = now;
    }

    /// A PINGREQ has been put in the output, which ends with it.
    pub fn pinged(&mut self, end: u64, now: Instant) {
        self.last_sent = now;
        self.ping = Some(Ping { end, since: now, left: false, through: now, received: 0 });
    }

    /// Bytes have passed the socket. `unfinished`: those received are of a packet or frame that is not complete.
    pub fn passed(&mut self, traffic: Traffic, unfinished: bool, now: Instant) {
        // What came before is the handshakes'.
        let before = self.traffic.replace(traffic).unwrap_or(traffic);
        let sent = traffic.sent.saturating_sub(before.sent);
        let received = traffic.received.saturating_sub(before.received);
        if sent > 0 {
            self.through = self.through.max(now) + at_slowest(sent);
        }
        if received > 0 && unfinished {
            let until = self.arriving_until.max(now) + at_slowest(received);
            self.arriving_until = until.min(now + self.keep_alive);
        }
        if let Some(ping) = &mut self.ping {
            ping.received += received;
            if sent > 0 && !ping.left {
                ping.since = now;
            }
        }
    }

    /// The network has taken the output up to here.
    pub fn taken(&mut self, total: u64, now: Instant) {
        if let Some(ping) = self.ping.as_mut().filter(|ping| !ping.left && ping.end <= total) {
            *ping = Ping { left: true, since: now, through: self.through, ..*ping };
        }
    }

    /// The broker has answered what ends at `answered` in the output, which goes up to `output_end`.
    pub fn answered(&mut self, answered: u64, output_end: u64, now: Instant) {
        self.last_answer = now;
        self.through = self.through.min(now + at_slowest(output_end.saturating_sub(answered)));
        if let Some(ping) = self.ping.as_mut().filter(|ping| answered < ping.end) {
            ping.since = now;
            ping.through = ping.through.min(now + at_slowest(ping.end - answered));
        }
    }

    /// A PINGRESP came: where the PINGREQ ends that it answers, if one was sent.
    pub fn ping_answered(&mut self, output_end: u64, now: Instant) -> Option<u64> {
        let end = self.ping.take_if(|ping| ping.left)?.end;
        self.answered(end, output_end, now);
        Some(end)
    }

    pub fn awaits_ping(&self) -> bool {
        self.ping.is_some()
    }

    /// Whether the unanswered PINGREQ still waits for the network to take it.
    pub fn ping_is_stuck(&self) -> bool {
        self.ping.as_ref().is_some_and(|ping| !ping.left)
    }

    /// How long what the network has taken may stay under way.
    pub fn patience(&self, now: Instant) -> Duration {
        (2 * self.keep_alive).max(self.through.saturating_duration_since(now) + self.keep_alive)
    }

    /// When a PINGREQ is due, or else its answer. A PINGREQ is due after a keep-alive period without sending, as 3.1.2.10
    /// demands, and after one without an answer, or else a link that is dead in one direction would go unnoticed while
    /// states are sent into it.
    pub fn deadline(&self) -> Instant {
        let Some(ping) = &self.ping else { return self.last_sent.min(self.last_answer) + self.keep_alive };
        let through = if ping.left { ping.through } else { self.through };
        let answer_by = through.max(ping.since + self.keep_alive);
        if ping.received > MAX_BEFORE_ANSWER { answer_by } else { answer_by.max(self.arriving_until) }
    }
}
