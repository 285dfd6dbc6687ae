//! The faults of a connection that happen at no packet's bidding.

use std::time::Instant;

use tungstenite::protocol::CloseFrame;

use super::{End, Session};
use crate::fault::{Drop, Fault};
use crate::packet;
use crate::platform::wall_clock_ms;

impl Session {
    /// Lets happen what happens of itself.
    pub(super) fn spontaneous(&mut self, now: Instant) {
        let Some(device) = self.device.clone() else { return };
        let topic = packet::command_topic(&device);
        while self.end.is_none() && !self.is_paused(now) {
            let subscribed = self.platform.is_subscribed(self.id, &topic);
            match self.take(|fault| fault.is_spontaneous(subscribed)) {
                Some(Fault::Stall(time)) => self.pause(now + time),
                Some(Fault::Garbage { bytes, seed }) => self.garbage(bytes, seed),
                Some(Fault::Truncated { close }) => {
                    let whole = packet::publish(&topic, &packet::command("truncated", None, wall_clock_ms()));
                    self.out.extend_from_slice(&whole[..whole.len() / 2]);
                    if close {
                        self.finish(Drop::Fin, "a truncated packet on request");
                    }
                }
                Some(Fault::MalformedCommands) => {
                    for (_, payload) in packet::MALFORMED {
                        self.out.extend(packet::publish(&topic, payload));
                    }
                }
                Some(Fault::HugeCommand { bytes }) => {
                    let payload = "x".repeat(bytes).into();
                    let command = packet::command("huge", Some(&payload), wall_clock_ms());
                    self.out.extend(packet::publish(&topic, &command));
                }
                Some(Fault::Raw { bytes, silent }) => {
                    self.out.extend(bytes);
                    if silent {
                        self.fall_silent();
                    }
                }
                Some(Fault::CloseWebSocket { code, reason }) => {
                    let frame = CloseFrame { code: code.into(), reason: reason.into() };
                    self.end.get_or_insert(End {
                        how: Drop::Fin,
                        reason: "closed on request".into(),
                        frame: Some(frame),
                    });
                }
                Some(fault) => self.drop_on_request(fault),
                None => break,
            }
        }
    }

    pub(super) fn drop_on_request(&mut self, fault: Fault) {
        if let Fault::Drop(how, _) = fault {
            self.finish(how, "dropped on request");
        }
    }
    fn garbage(&mut self, bytes: usize, seed: u64) {
        let mut chance = fastrand::Rng::with_seed(seed);
        // No packet begins with this byte.
        let first = std::iter::once(0xff);
        self.out.extend(first.chain(std::iter::repeat_with(|| chance.u8(..))).take(bytes));
    }

    fn fall_silent(&mut self) {
        self.silent = true;
        self.input.clear();
        self.held.clear();
    }
}
