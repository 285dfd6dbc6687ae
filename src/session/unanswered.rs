//! What the broker has been sent and has not answered, in order.

use rumqttc::{Publish, QoS};
use std::{collections::VecDeque, sync::Arc};

/// One message that waits for its acknowledgement.
struct Message {
    id: u16,
    topic: Arc<str>,
    /// Where it begins and ends in the output of the whole connection.
    begin: u64,
    end: u64,
}

pub(super) struct Unanswered {
    /// Where CONNECT and SUBSCRIBE end.
    connect: Option<u64>,
    subscribe: Option<u64>,
    /// As many as the outbox lets be under way.
    messages: VecDeque<Message>,
    /// The last message at QoS 0, which nothing answers.
    last: Option<Message>,
    /// Where the output ended before the next packet.
    output_end: u64,
}

impl Unanswered {
    /// CONNECT, of so many bytes, goes first.
    pub fn new(connect: u64) -> Self {
        Unanswered {
            connect: Some(connect),
            subscribe: None,
            messages: VecDeque::new(),
            last: None,
            output_end: connect,
        }
    }

    pub fn subscribe(&mut self, end: u64) {
        self.subscribe = Some(end);
        self.output_end = end;
    }

    /// A message has been put in the output, which ends with it.
    pub fn publish(&mut self, publish: &Publish, end: u64) {
        // Neighbours on one topic share its text.
        let before = self.messages.back().or(self.last.as_ref()).map(|message| &message.topic);
        let topic =
            before.filter(|topic| ***topic == *publish.topic).cloned().unwrap_or_else(|| (*publish.topic).into());
        let message = Message { id: publish.pkid, topic, begin: self.output_end, end };
        self.output_end = end;
        if publish.qos == QoS::AtMostOnce {
            self.last = Some(message);
        } else {
            self.messages.push_back(message);
        }
    }

    /// CONNACK came: where CONNECT ends.
    pub fn connected(&mut self) -> Option<u64> {
        self.connect.take()
    }

    /// SUBACK came: where SUBSCRIBE ends.
    pub fn subscribed(&mut self) -> Option<u64> {
        self.subscribe.take()
    }

    /// PUBACK came: where its message ends; nothing for one that was not waited for.
    pub fn acked(&mut self, id: u16) -> Option<u64> {
        // Brokers acknowledge in order, so the first place is the usual one.
        let at = self.messages.iter().position(|message| message.id == id)?;
        self.messages.remove(at).map(|message| message.end)
    }

    /// The broker has read everything up to here, messages at QoS 0 too.
    pub fn read_up_to(&mut self, end: u64) {
        self.last = self.last.take().filter(|message| message.end > end);
    }

    /// Whether messages are acknowledged at all.
    pub fn awaits_acks(&self) -> bool {
        !self.messages.is_empty()
    }

    /// " after SUBSCRIBE to ... and PUBLISH to ...", of what was begun to be sent when so many bytes had been; nothing where
    /// all has been answered. Of several messages it is the first, which the broker was to answer next.
    pub fn text(&self, taken: u64, command_topic: &str) -> String {
        if self.connect.is_some() {
            return " after CONNECT".to_owned();
        }
        let subscribe = self.subscribe.filter(|end| *end <= taken);
        let subscribe = subscribe.map(|_| format!("SUBSCRIBE to {}", command_topic.escape_debug()));
        let message = self.messages.front().or(self.last.as_ref()).filter(|message| message.begin < taken);
        let publish = message.map(|message| format!("PUBLISH to {}", message.topic.escape_debug()));
        let all: Vec<String> = subscribe.into_iter().chain(publish).collect();
        if all.is_empty() { String::new() } else { format!(" after {}", all.join(" and ")) }
    }
}
