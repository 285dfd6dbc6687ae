//! Events in the shape that C reads.

use super::handle::losant_device;
use crate::{
    event::{Event, EventType},
    status::{Error, Stage, Status},
    text::CText,
};
use std::{
    ffi::{c_char, c_void},
    ptr,
};

/// What has happened. Fields that do not belong to the type of the event are 0, NULL or empty.
///
/// Every pointer in it, and the struct itself, lives until the callback returns. Texts are UTF-8 and NUL-terminated; the
/// length beside each counts bytes without the NUL. Later versions may add fields at the end.
#[repr(C)]
#[allow(non_camel_case_types, reason = "the C name")]
pub struct losant_event {
    /// The size of this struct in bytes: members behind it are of a later version.
    pub size: u32,
    /// What kind of event: a losant_event_type.
    pub r#type: i32,
    /// Close, error and dropped: the cause, a losant_status. LOSANT_OK for a close by losant_device_close.
    pub status: i32,
    /// Close and error: how far the connection had come, a losant_stage.
    pub stage: i32,
    /// Close and error: English text about this one case, for a log. Never holds a key or a secret.
    pub text: *const c_char,
    /// Length of text in bytes.
    pub text_len: u32,
    /// All events: the device id.
    pub device_id: *const c_char,
    /// Length of device_id in bytes.
    pub device_id_len: u32,
    /// Command: its name.
    pub name: *const c_char,
    /// Length of name in bytes.
    pub name_len: u32,
    /// Command: its payload as JSON text, "null" if it has none. Losant's extended JSON: {"$undefined": true} has become
    /// null; {"$date": …} stands as sent, losant_parse_time reads it.
    pub payload: *const c_char,
    /// Length of payload in bytes.
    pub payload_len: u32,
    /// Command: its time in milliseconds since 1970; the time of arrival if it has none.
    pub time_ms: i64,
    /// Command: its time as sent: ISO text, or the JSON text of the extended JSON object; empty if it has none.
    pub time: *const c_char,
    /// Length of time in bytes.
    pub time_len: u32,
    /// Command: the MQTT topic it came on.
    pub topic: *const c_char,
    /// Length of topic in bytes.
    pub topic_len: u32,
    /// Command: the whole MQTT message as it came.
    pub message: *const c_char,
    /// Length of message in bytes.
    pub message_len: u32,
    /// Delivered and dropped: the id of the state, as losant_device_send gave it.
    pub state_id: u64,
}

/// Receives events.
///
/// One at a time per device, on the thread that runs its loop (the one in losant_device_connect, losant_device_loop,
/// losant_device_flush, losant_device_drain or losant_device_close, or the library's background thread). No library lock is
/// held, so any function may be called, losant_device_free too; losant_device_connect with blocking true,
/// losant_device_flush and losant_device_drain are refused inside a callback of any device, and losant_device_loop inside
/// one of the same device (LOSANT_ERR_IN_CALLBACK). Pointers in the event die with the call. Do not let C++ exceptions or
/// longjmp leave it.
///
/// All started devices share one thread: while a callback runs there, the others wait.
///
/// @param device the device it happened to
/// @param event what has happened; lives until the callback returns
/// @param user_data as given to losant_device_add_event_observer
#[allow(non_camel_case_types, reason = "the C name")]
pub type losant_event_callback =
    Option<unsafe extern "C" fn(device: *mut losant_device, event: *const losant_event, user_data: *mut c_void)>;

impl losant_event {
    /// The event as C reads it, valid as long as both live. Nothing is copied: the texts lie ready for C.
    pub(super) fn lend(device_id: &CText, event: &Event) -> Self {
        let mut view = Self::empty(device_id, event.event_type());
        match event {
            Event::Connect | Event::Reconnect => {}
            Event::Close(Error { stage, status, text }) | Event::Error(Error { stage, status, text }) => {
                (view.stage, view.status) = (*stage as i32, status.code());
                (view.text, view.text_len) = lend(text);
            }
            Event::Command { command, topic, message } => {
                (view.name, view.name_len) = lend(&command.name);
                (view.payload, view.payload_len) = lend(&command.payload);
                (view.time, view.time_len) = lend(&command.time);
                view.time_ms = command.time_ms;
                (view.topic, view.topic_len) = lend(topic);
                (view.message, view.message_len) = (message.as_c_ptr(), length(message.len()));
            }
            Event::Delivered { id } => view.state_id = *id,
            Event::Dropped { id, cause } => (view.state_id, view.status) = (*id, cause.code()),
        }
        view
    }

    fn empty(device_id: &CText, kind: EventType) -> Self {
        let (device_id, device_id_len) = lend(device_id);
        losant_event {
            size: size_of::<losant_event>() as u32,
            r#type: kind as i32,
            status: Status::LOSANT_OK.code(),
            stage: Stage::LOSANT_STAGE_NONE as i32,
            text: ptr::null(),
            text_len: 0,
            device_id,
            device_id_len,
            name: ptr::null(),
            name_len: 0,
            payload: ptr::null(),
            payload_len: 0,
            time_ms: 0,
            time: ptr::null(),
            time_len: 0,
            topic: ptr::null(),
            topic_len: 0,
            message: ptr::null(),
            message_len: 0,
            state_id: 0,
        }
    }
}

fn lend(text: &CText) -> (*const c_char, u32) {
    (text.as_c_ptr(), length(text.len()))
}

/// No text is longer than a message, which is far below 4 GB.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl EventType {
    /// The type that C names by number.
    pub(super) fn from_argument(number: i32) -> Result<Self, Error> {
        EventType::from_code(number).ok_or_else(|| {
            let detail = format!("event is {number}, which is no losant_event_type");
            Error::new(Status::LOSANT_ERR_INVALID_ARGUMENT, detail)
        })
    }
}
