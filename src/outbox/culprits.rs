//! The search for what ends connections, and what becomes of it: see [`super::suspicion`].

use super::{
    Entry, From, Load, Outbox, SMALLEST_BATCH, Soonest, Verdict,
    flight::Unit,
    lane::Lane,
    suspicion::{Blame, EXCUSED, Loss, Pause, STATES_OF_A_TOPIC, losses_enough},
};
use crate::{pacer::Permit, throttle::Throttle};
use std::{collections::VecDeque, time::Instant};

impl Outbox {
    /// The next message that may end the connection.
    pub(super) fn suspect(&self, throttle: &mut Throttle, now: Instant, soonest: &mut Soonest) -> Option<Load> {
        let merging = self.limits.merge > 0;
        for place in self.suspects.iter().copied() {
            let lane = &self.lanes[place];
            let (from, due) = match &lane.rest {
                Some(rest) if lane.waiting.is_empty() => (From::Parked(0), Some(rest.until)),
                Some(rest) => (From::Front, Some(rest.until)),
                None if !lane.waiting.is_empty() && lane.front_is_suspect() => (From::Front, None),
                None => {
                    let due = |entry: &Entry| entry.parked.as_ref().map_or(now, |pause| pause.until);
                    let parked = lane.parked.iter().enumerate().map(|(at, entry)| (due(entry), at));
                    match parked.min() {
                        Some((due, at)) => (From::Parked(at), Some(due)),
                        None => continue,
                    }
                }
            };
            if let Some(due) = due.filter(|due| *due > now) {
                soonest.at(due);
                continue;
            }
            match throttle.topic_permit(lane.key, now, merging) {
                Permit::Now(_) => {
                    let states = match from {
                        From::Front if merging && lane.conforms && lane.rest.is_none() && lane.parked_in_a_row == 0 => {
                            // States that were never sent do not share the suspicion.
                            let shared = lane.waiting.iter().take_while(|entry| entry.losses > 0).count().max(1);
                            lane.fitting(self.largest_batch()).min(lane.group).min(shared)
                        }
                        _ => 1,
                    };
                    return Some(Load { lane: place, from, states, alone: true });
                }
                Permit::At(when) => soonest.at(when),
                Permit::Later => {}
            }
        }
        None
    }

    /// The connection is gone: what was under way goes out again, first and in order. Where one of those messages may
    /// have ended it, they become suspect.
    pub fn connection_lost(&mut self, blame: Blame, now: Instant) -> Loss {
        let units = self.flight.end();
        if let Some(largest) = units.iter().filter(|unit| unit.merged).map(|unit| unit.bytes).max() {
            self.batch = (largest / 2).max(SMALLEST_BATCH);
        }
        let alone = blame == Blame::Oldest || blame == Blame::Anybody && units.len() == 1;
        let mut loss = Loss::default();
        for (at, mut unit) in units.into_iter().enumerate().rev() {
            let blamed = blame == Blame::Anybody || blame == Blame::Oldest && at == 0;
            if blamed {
                self.lanes[unit.lane].delivered_before.get_or_insert(self.deliveries);
            }
            for entry in &mut unit.states {
                entry.resend = true;
                entry.losses = entry.losses.saturating_add(u8::from(blamed));
            }
            let is_given_up = blamed && alone && self.lost_alone(&mut unit, now, &mut loss);
            let given_up = self.change(unit.lane, |lane| {
                lane.under_way -= 1;
                if is_given_up {
                    return unit.states;
                }
                unit.states.into_iter().rev().for_each(|entry| lane.put_back(entry));
                Vec::new()
            });
            given_up.iter().for_each(|entry| self.leave(entry, Verdict::Undeliverable));
        }
        if loss.excused {
            // A broker that takes nothing at all must not be hammered.
            self.excused += 1;
            loss.excused = self.excused <= EXCUSED;
        }
        loss
    }

    /// The connection ended with nothing else under way than this: what follows. Whether it is given up.
    fn lost_alone(&mut self, unit: &mut Unit, now: Instant, loss: &mut Loss) -> bool {
        let (window, delivered) = (self.window(), self.deliveries);
        let is_own = self.lanes[unit.lane].id == self.lanes[0].id;
        let lane = &mut self.lanes[unit.lane];
        // It was tried, or is one of many and half as many go next time.
        loss.excused = unit.alone;
        let [entry] = unit.states.as_mut_slice() else {
            lane.group = (unit.states.len() / 2).max(1);
            return false;
        };
        let enough = losses_enough(lane.parked_in_a_row, !lane.parked.is_empty());
        let topic = &lane.topic;
        if let Some(rest) = &mut lane.rest {
            let is_given_up = rest.failed(window, now, delivered);
            let what = format!("the connection ends whenever a state is sent on {topic}");
            let seconds = rest.length.as_secs();
            entry.parked.get_or_insert_with(|| Box::new(Pause::new(window, now, delivered)));
            let follows = match (is_given_up, is_own) {
                (false, _) => "",
                (true, true) => "those that were are dropped, and ",
                (true, false) => "all that wait are dropped, and ",
            };
            loss.culprit = Some(format!("{what}: {follows}the next one is tried in {seconds} s"));
            if is_given_up {
                self.give_up(unit.lane, is_own);
            }
            return is_given_up;
        }
        let what =
            format!("the connection ends whenever this is sent: state {} of {} bytes on {topic}", entry.id, unit.bytes);
        let (length, is_given_up) = match &mut entry.parked {
            Some(pause) => {
                let is_given_up = pause.failed(window, now, delivered);
                (pause.length, is_given_up)
            }
            None if entry.losses < enough => return false,
            parked => {
                let pause = Pause::new(window, now, delivered);
                *parked = Some(Box::new(pause));
                lane.parked_in_a_row += 1;
                self.parked_in_a_row += 1;
                (pause.length, false)
            }
        };
        let others_arrive = lane.delivered_before.is_some_and(|before| delivered > before);
        if others_arrive && lane.parked_in_a_row >= STATES_OF_A_TOPIC {
            lane.rest = Some(Pause::new(window, now, delivered));
        }
        loss.excused = true;
        loss.culprit = Some(if is_given_up {
            format!("{what}; it is dropped")
        } else {
            format!("{what}; it is tried again in {} s", length.as_secs())
        });
        is_given_up
    }

    /// Drops what was tried on a topic that is given up. Where it is a peripheral's, which most likely is none any more, also
    /// what waits.
    fn give_up(&mut self, place: usize, only_tried: bool) {
        let given_up = self.change(place, |lane| {
            let waiting = if only_tried { VecDeque::new() } else { std::mem::take(&mut lane.waiting) };
            let mut given_up = std::mem::take(&mut lane.parked);
            given_up.extend(waiting);
            given_up.make_contiguous().sort_unstable_by_key(|entry| entry.id);
            given_up
        });
        given_up.iter().for_each(|entry| self.leave(entry, Verdict::Undeliverable));
    }

    /// Drops a state of a topic that was tried often enough, where there is one. States that nothing is wrong with need not
    /// wait for its sake.
    pub(super) fn drop_hopeless(&mut self) -> bool {
        let is_hopeless = |place: &&usize| self.lanes[**place].rest.is_some_and(|rest| rest.is_hopeless());
        let Some(place) = self.suspects.iter().find(is_hopeless).copied() else { return false };
        let hopeless = self.change(place, Lane::pop_oldest);
        hopeless.iter().for_each(|entry| self.leave(entry, Verdict::Undeliverable));
        hopeless.is_some()
    }
}
