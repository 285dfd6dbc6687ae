//! From the outbox into the session: states become messages.

use crate::{
    outbox::{Awaits, Outbox},
    payload::{Element, encode_states},
    session::Session,
    time::Now,
};
use bytes::{Bytes, BytesMut};
use rumqttc::{Publish, QoS};
use std::time::Instant;

/// States are encoded up to this many bytes ahead of the network: enough to make system calls cheap, little to lose.
const AHEAD: usize = 16 * 1024;

pub(super) struct Publisher {
    /// The message that is built again and again.
    publish: Publish,
    scratch: BytesMut,
}

impl Publisher {
    pub fn new(qos: QoS) -> Self {
        Publisher { publish: Publish::new("", qos, Vec::new()), scratch: BytesMut::new() }
    }

    /// Moves what may go out into the session's output, up to [`AHEAD`] bytes; when to come again, if the pace asks for
    /// it.
    pub fn fill(&mut self, session: &mut Session, outbox: &mut Outbox, now: Now) -> Option<Instant> {
        let mut pace = None;
        outbox.set_link_batch(session.batch_limit());
        while session.may_publish() && session.output().len() < AHEAD {
            let load = match outbox.next(now.instant) {
                Ok(load) => load,
                Err(when) => {
                    pace = when;
                    break;
                }
            };
            if !outbox.settle_times(load, now) {
                continue;
            }
            let mut all_resent = true;
            let states = outbox.states(load).map(|entry| {
                all_resent &= entry.resend;
                Element { time_ms: entry.stamp.time_ms(now), extra: entry.extra.as_deref(), json: &entry.json }
            });
            encode_states(&mut self.scratch, states);
            self.publish.payload = self.scratch.split().freeze();
            if self.publish.topic != outbox.topic(load) {
                outbox.topic(load).clone_into(&mut self.publish.topic);
            }
            let awaits = match self.publish.qos {
                QoS::AtMostOnce => {
                    session.publish(&self.publish, now.instant);
                    Awaits::Written(session.output_end())
                }
                _ => {
                    self.publish.dup = all_resent;
                    self.publish.pkid = session.next_packet_id();
                    session.publish(&self.publish, now.instant);
                    Awaits::Ack(self.publish.pkid)
                }
            };
            outbox.sent(load, awaits, self.publish.payload.len(), now.instant);
        }
        self.publish.payload = Bytes::new();
        if self.scratch.capacity() > AHEAD {
            self.scratch = BytesMut::new();
        }
        pace
    }
}
