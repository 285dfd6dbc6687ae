//! What becomes of the states in a message.

use std::sync::Arc;
use std::time::Instant;

use rumqttc::mqttbytes::v4::Publish;

use super::{Inner, Platform, wall_clock_ms};
use crate::record::{Cause, Rejected, StateRecord};
use crate::state::{self, State};

/// Where the states come from.
struct Source<'a> {
    device: &'a str,
    message: &'a Publish,
    connection: u64,
    arrival_ms: i64,
    arrival: Instant,
}

impl Source<'_> {
    fn record(&self, index: usize, state: State) -> StateRecord {
        StateRecord {
            device: self.device.to_owned(),
            state,
            index,
            dup: self.message.dup,
            qos: self.message.qos as u8,
            packet_id: self.message.pkid,
            connection: self.connection,
            arrival_ms: self.arrival_ms,
            arrival: self.arrival,
        }
    }
}

impl Platform {
    /// Takes, ignores or rejects each state of a message on the state topic of this device.
    pub(super) fn store(&self, inner: &mut Inner, connection: u64, device: &str, message: &Publish) {
        let (arrival_ms, arrival) = (wall_clock_ms(), Instant::now());
        let source = Source { device, message, connection, arrival_ms, arrival };
        let payload: Arc<[u8]> = message.payload[..].into();
        let reject = |inner: &mut Inner, index, cause, reason| {
            let rejected =
                Rejected { device: device.into(), index, cause, reason, payload: payload.clone(), connection };
            self.print(&rejected);
            inner.records.rejected.push(rejected);
        };
        let elements = match state::read(&message.payload, arrival_ms) {
            Ok(elements) => elements,
            Err(reason) => return reject(inner, 0, Cause::Payload, reason),
        };
        let spoilt = !self.config.drop_bad_elements && elements.iter().any(Result::is_err);
        for (index, element) in elements.into_iter().enumerate() {
            match element {
                Err(reason) => reject(inner, index, Cause::State, reason),
                Ok(_) if spoilt => {
                    reject(inner, index, Cause::Neighbour, format!("element {index}: another element is rejected"));
                }
                Ok(state) => self.keep(inner, source.record(index, state)),
            }
        }
    }

    fn keep(&self, inner: &mut Inner, record: StateRecord) {
        if self.config.ignore_out_of_range && state::out_of_range(record.state.time_ms, record.arrival_ms) {
            self.print(&format_args!("ignored {record}"));
            inner.records.ignored.push(record);
        } else {
            self.print(&format_args!("state {record}"));
            inner.records.states.push(record);
        }
    }
}
