//! Faults on request: what there is, and which ones wait for which device.

use std::collections::HashMap;
use std::mem::discriminant;
use std::time::Duration;

/// How a connection is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// As a program that closes its socket: the peer reads the end.
    Fin,
    /// As a machine that has forgotten the connection: the peer gets a reset, and what was under way may be lost.
    Rst,
}

/// When a connection is dropped, counted from the moment the fault was set and over the device's accepted connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// At once, or as soon as the device is connected.
    Now,
    /// When this many packets from the device have been handled.
    Packets(u64),
    /// When this many bytes from the device have been read; what follows is not looked at.
    Bytes(u64),
}

/// What happens to a device's PUBACKs, each with a probability from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PubackFault {
    /// It is never sent.
    pub lose: f64,
    /// It is sent twice.
    pub duplicate: f64,
    /// It is sent after the next one, or after 100 ms when there is no next one.
    pub reorder: f64,
    /// The same number gives the same sequence of chances.
    pub seed: u64,
}

/// What can go wrong. Unless the number of times is given, the ones marked with "once" happen once, and the others go on
/// until they are cleared.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// Once: the connection is dropped.
    Drop(Drop, After),
    /// Once: nothing is read or written for this long.
    Stall(Duration),
    /// PINGREQs are not answered.
    IgnorePings,
    /// CONNECT is answered this much later.
    DelayConnack(Duration),
    /// CONNECT is answered with this code, and the connection closed.
    RefuseConnack(u8),
    /// SUBSCRIBE is not answered; commands come nevertheless.
    NoSuback,
    /// The connection is closed instead of SUBSCRIBE being answered, as by a broker that grants no subscription.
    CloseAtSubscribe,
    /// SUBACK waits for the first message of QoS 1, and is written together with its PUBACK. It never comes to a device
    /// that waits for it.
    JoinAcks,
    /// PUBACKs are lost, doubled or out of order.
    Puback(PubackFault),
    /// Once: this many bytes that are no packet. The same `seed` gives the same bytes.
    Garbage {
        /// How many.
        bytes: usize,
        /// What they are made from.
        seed: u64,
    },
    /// Once: the first half of a command, and then the end of the connection, or, without `close`, whatever is sent next.
    Truncated {
        /// Whether the connection ends there.
        close: bool,
    },
    /// Once: these bytes.
    Raw {
        /// What is written.
        bytes: Vec<u8>,
        /// Whether nothing else is written on this connection, which still reads; what is read counts for nothing.
        silent: bool,
    },
    /// Once: the end of the connection with this WebSocket code and reason. Without WebSocket it is a plain end.
    CloseWebSocket {
        /// Such as 1008.
        code: u16,
        /// For a person to read; at most 123 bytes.
        reason: String,
    },
    /// Once: one of each command in [`MALFORMED`](crate::MALFORMED), as soon as the device has subscribed.
    MalformedCommands,
    /// Once: a well-formed command with a payload of this many bytes, as soon as the device has subscribed.
    HugeCommand {
        /// How large.
        bytes: usize,
    },
}

impl Fault {
    /// The name as on the terminal.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Drop(Drop::Fin, _) => "drop-fin",
            Self::Drop(Drop::Rst, _) => "drop-rst",
            Self::Stall(_) => "stall",
            Self::IgnorePings => "ignore-pings",
            Self::DelayConnack(_) => "delay-connack",
            Self::RefuseConnack(_) => "refuse-connack",
            Self::NoSuback => "no-suback",
            Self::CloseAtSubscribe => "close-subscribe",
            Self::JoinAcks => "join-acks",
            Self::Puback(_) => "puback",
            Self::Garbage { .. } => "garbage",
            Self::Truncated { .. } => "truncated",
            Self::Raw { .. } => "raw",
            Self::CloseWebSocket { .. } => "close-ws",
            Self::MalformedCommands => "malformed-commands",
            Self::HugeCommand { .. } => "huge-command",
        }
    }

    /// How often it happens when nobody says.
    fn times(&self) -> Option<u32> {
        match self {
            Self::IgnorePings | Self::DelayConnack(_) | Self::RefuseConnack(_) | Self::Puback(_) => None,
            Self::NoSuback | Self::CloseAtSubscribe | Self::JoinAcks => None,
            _ => Some(1),
        }
    }

    /// Whether it happens at a moment of the simulator's choosing, and not in answer to a packet.
    pub(crate) fn is_spontaneous(&self, subscribed: bool) -> bool {
        match self {
            Self::Drop(_, After::Now) | Self::Stall(_) | Self::CloseWebSocket { .. } => true,
            Self::Garbage { .. } | Self::Truncated { .. } | Self::Raw { .. } => true,
            Self::MalformedCommands | Self::HugeCommand { .. } => subscribed,
            _ => false,
        }
    }
}

/// Whom a fault is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Each configured device, on its own.
    All,
    /// The device with this client id.
    Device(String),
}

impl From<&str> for Target {
    fn from(id: &str) -> Self {
        Self::Device(id.to_owned())
    }
}

#[derive(Debug)]
struct Armed {
    fault: Fault,
    left: Option<u32>,
    /// Packets or bytes since it was set.
    counted: u64,
    chance: fastrand::Rng,
}

/// What becomes of one PUBACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PubackFate {
    Sent,
    Lost,
    Doubled,
    Held,
}

/// The faults that wait for their moment, by device.
#[derive(Debug, Default)]
pub(crate) struct Faults(HashMap<String, Vec<Armed>>);

impl Faults {
    /// Adds a fault; one that goes on replaces an earlier one of its kind.
    pub fn set(&mut self, device: &str, fault: Fault, times: Option<u32>) {
        let armed = self.0.entry(device.to_owned()).or_default();
        if fault.times().is_none() {
            armed.retain(|other| discriminant(&other.fault) != discriminant(&fault));
        }
        let seed = if let Fault::Puback(puback) = &fault { puback.seed } else { 0 };
        let left = times.or(fault.times());
        if left != Some(0) {
            armed.push(Armed { fault, left, counted: 0, chance: fastrand::Rng::with_seed(seed) });
        }
    }

    pub fn clear(&mut self, device: &str) {
        self.0.remove(device);
    }

    /// The first fault that `wanted` accepts; it counts as having happened once.
    pub fn take(&mut self, device: &str, wanted: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let armed = self.0.get_mut(device)?;
        let index = armed.iter().position(|armed| wanted(&armed.fault))?;
        Some(happen(armed, index))
    }

    /// Counts bytes read: how many of them to look at before the connection is dropped, if it is.
    pub fn bytes(&mut self, device: &str, count: usize) -> Option<(usize, Fault)> {
        self.count(device, count as u64, |fault| match fault {
            Fault::Drop(_, After::Bytes(limit)) => Some(*limit),
            _ => None,
        })
    }

    /// Counts a packet handled: the fault to drop the connection with, if it is time.
    pub fn packet(&mut self, device: &str) -> Option<Fault> {
        self.count(device, 1, |fault| match fault {
            Fault::Drop(_, After::Packets(limit)) => Some(*limit),
            _ => None,
        })
        .map(|(_, fault)| fault)
    }

    fn count(&mut self, device: &str, count: u64, limit: impl Fn(&Fault) -> Option<u64>) -> Option<(usize, Fault)> {
        let armed = self.0.get_mut(device)?;
        let mut due: Option<(u64, usize)> = None;
        for (index, armed) in armed.iter_mut().enumerate() {
            let Some(limit) = limit(&armed.fault) else { continue };
            let missing = limit.saturating_sub(armed.counted);
            armed.counted += count;
            if missing <= count && due.is_none_or(|(least, _)| missing < least) {
                due = Some((missing, index));
            }
        }
        let (missing, index) = due?;
        if let Some(armed) = armed.get_mut(index) {
            armed.counted = 0;
        }
        Some((usize::try_from(missing).unwrap_or(usize::MAX), happen(armed, index)))
    }

    /// Throws the dice for one PUBACK.
    pub fn puback(&mut self, device: &str) -> PubackFate {
        let Some(armed) = self.0.get_mut(device) else { return PubackFate::Sent };
        let found = armed.iter_mut().enumerate().find_map(|(index, armed)| match armed.fault {
            Fault::Puback(fault) => Some((index, fault, armed.chance.f64(), armed.chance.f64(), armed.chance.f64())),
            _ => None,
        });
        let Some((index, fault, lose, duplicate, reorder)) = found else { return PubackFate::Sent };
        let fate = if lose < fault.lose {
            PubackFate::Lost
        } else if duplicate < fault.duplicate {
            PubackFate::Doubled
        } else if reorder < fault.reorder {
            PubackFate::Held
        } else {
            return PubackFate::Sent;
        };
        happen(armed, index);
        fate
    }
}

fn happen(armed: &mut Vec<Armed>, index: usize) -> Fault {
    let fault = armed[index].fault.clone();
    if let Some(left) = &mut armed[index].left {
        *left -= 1;
        if *left == 0 {
            armed.remove(index);
        }
    }
    fault
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_counted_from_when_the_fault_was_set() {
        let mut faults = Faults::default();
        assert_eq!(faults.packet("d"), None);
        let drop = Fault::Drop(Drop::Fin, After::Packets(2));
        faults.set("d", drop, Some(2));
        assert_eq!(faults.packet("other"), None);
        let seen: Vec<_> = (0..6).map(|_| faults.packet("d").is_some()).collect();
        assert_eq!(seen, [false, true, false, true, false, false]);
    }

    #[test]
    fn bytes_are_counted_within_what_is_read() {
        let mut faults = Faults::default();
        let drop = Fault::Drop(Drop::Rst, After::Bytes(10));
        faults.set("d", drop.clone(), None);
        assert_eq!(faults.bytes("d", 7), None);
        assert_eq!(faults.bytes("d", 7), Some((3, drop)));
        assert_eq!(faults.bytes("d", 100), None);
    }

    #[test]
    fn the_same_number_gives_the_same_fates() {
        let fates = |seed| {
            let mut faults = Faults::default();
            faults.set("d", Fault::Puback(PubackFault { lose: 0.3, duplicate: 0.3, reorder: 0.3, seed }), None);
            (0..100).map(|_| faults.puback("d")).collect::<Vec<_>>()
        };
        assert_eq!(fates(1), fates(1));
        assert_ne!(fates(1), fates(2));
        assert!(fates(1).contains(&PubackFate::Lost) && fates(1).contains(&PubackFate::Sent));
    }

    #[test]
    fn a_fault_that_goes_on_replaces_its_like_and_one_that_does_not_is_queued() {
        let mut faults = Faults::default();
        faults.set("d", Fault::RefuseConnack(3), None);
        faults.set("d", Fault::RefuseConnack(5), Some(2));
        faults.set("d", Fault::Stall(Duration::from_secs(1)), None);
        faults.set("d", Fault::Stall(Duration::from_secs(2)), None);
        let refuse = |fault: &Fault| matches!(fault, Fault::RefuseConnack(_));
        assert_eq!(faults.take("d", refuse), Some(Fault::RefuseConnack(5)));
        assert_eq!(faults.take("d", refuse), Some(Fault::RefuseConnack(5)));
        assert_eq!(faults.take("d", refuse), None);
        assert_eq!(faults.take("d", |_| true), Some(Fault::Stall(Duration::from_secs(1))));
        assert_eq!(faults.take("d", |_| true), Some(Fault::Stall(Duration::from_secs(2))));
        assert_eq!(faults.take("d", |_| true), None);
    }
}
