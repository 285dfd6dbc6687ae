//! What the broker has sent, and what follows from it.

use super::{Connection, Link, Surroundings};
use crate::{
    event::Event,
    json::excerpt,
    payload::decode_command,
    session::Incoming,
    status::{Error, Stage::*, Status::*},
};
use bytes::Bytes;

impl Connection {
    pub(super) fn handle_incoming(&mut self, around: &mut Surroundings<'_>) {
        self.tell_outbox(around);
        let mut happened = std::mem::take(&mut self.happened);
        for incoming in happened.drain(..) {
            match incoming {
                Incoming::Acked(_) | Incoming::PingAnswered => {}
                Incoming::Accepted => {
                    self.plan.known_to_broker = true;
                    self.attempt = None;
                }
                Incoming::Subscribed { refused } => self.online(refused, around),
                Incoming::Message { topic, payload } => self.message(topic, payload, around),
            }
        }
        self.happened = happened;
    }

    /// What concerns the states: all of it under one lock, and only if there is any.
    fn tell_outbox(&self, around: &mut Surroundings<'_>) {
        let concerns =
            |incoming: &Incoming| !matches!(incoming, Incoming::Message { .. } | Incoming::Subscribed { .. });
        if !self.happened.iter().any(concerns) {
            return;
        }
        let (now, mut outbox) = (around.now.instant, around.outbox.lock());
        for incoming in &self.happened {
            match incoming {
                Incoming::Acked(id) => outbox.acked(*id, now),
                Incoming::PingAnswered => outbox.ping_answered(now),
                Incoming::Accepted => outbox.connected(now),
                Incoming::Message { .. } | Incoming::Subscribed { .. } => {}
            }
        }
        around.tell_outcomes(&mut outbox);
    }

    /// The connection is complete.
    fn online(&mut self, refused: bool, around: &mut Surroundings<'_>) {
        let Link::Up(up) = &mut self.link else { return };
        up.online_since = Some(around.now.instant);
        if refused {
            let text = format!("the broker refused the subscription to {}", self.plan.identity.command_topic);
            log::warn!("{}: {text}", self.plan.identity.client_id);
            let refusal = Error::new(LOSANT_ERR_SUBSCRIBE_REFUSED, text).at(LOSANT_STAGE_MQTT);
            around.events.push_back(Event::Error(refusal).into());
        }
        log::info!(
            "{}: connected to {}:{}",
            self.plan.identity.client_id,
            self.plan.target.host,
            self.plan.target.port
        );
        around.events.push_back(if self.was_online { Event::Reconnect } else { Event::Connect }.into());
        self.was_online = true;
    }

    fn message(&mut self, topic: String, message: Bytes, around: &mut Surroundings<'_>) {
        let id = &self.plan.identity.client_id;
        if topic != self.plan.identity.command_topic {
            log::warn!("{id}: ignored a message on {:?}, which was not subscribed", excerpt(&topic));
            return;
        }
        match decode_command(&message, around.now.wall_ms) {
            Ok(command) => around.events.push_back(Event::Command { command, topic, message }.into()),
            Err(why) => {
                self.malformed += 1;
                log::warn!("{id}: ignored malformed command number {}: {why}", self.malformed);
            }
        }
    }
}
