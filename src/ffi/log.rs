//! The log: the library prints nothing, the host may listen.

use super::{guard, text::c_string};
use crate::{
    callback,
    process::PerProcess,
    status::{Error, Status, Status::*},
    sync::{Condvar, Mutex, Rank, Ranked},
};
use ::log::{Level, LevelFilter, Log, Metadata, Record};
use std::{
    cell::Cell,
    ffi::{c_char, c_int, c_void},
    sync::{Arc, Once},
};

/// How grave a log message is.
#[repr(C)]
#[allow(non_camel_case_types, reason = "the C names, so that one search finds every use")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum losant_log_level {
    /// A call has failed; the message has the detail.
    LOSANT_LOG_ERROR = 1,
    /// Something went wrong that the library goes on from: a lost connection, a malformed command, a dropped state.
    LOSANT_LOG_WARN = 2,
    /// Connections that come and go.
    LOSANT_LOG_INFO = 3,
    /// Everything.
    LOSANT_LOG_DEBUG = 4,
}

/// Receives log messages.
///
/// Called on whatever thread the message arises on, also several at once, with no library lock held. It may call any
/// function of the library; what those would log is left out, and those that wait are refused, or do not wait, as in every
/// callback. It should return soon. A child that is forked in it must not return from it.
///
/// @param level a losant_log_level
/// @param message UTF-8, NUL-terminated, English, one line; lives until the callback returns. Never holds a key or a
/// secret.
/// @param message_len its length in bytes, without the NUL
/// @param user_data as given to losant_set_log_callback
#[allow(non_camel_case_types, reason = "the C name")]
pub type losant_log_callback =
    Option<unsafe extern "C" fn(level: c_int, message: *const c_char, message_len: usize, user_data: *mut c_void)>;

struct LogCallback {
    callback: unsafe extern "C" fn(c_int, *const c_char, usize, *mut c_void),
    /// An address, so that it may pass between threads; what it points to is the host's affair.
    user_data: usize,
}

impl Ranked for Option<Arc<LogCallback>> {
    const RANK: Rank = Rank::Last;
}

/// Where messages go. Whoever calls it holds it meanwhile. A child made by fork begins without.
#[derive(Default)]
struct LogSink {
    current: Mutex<Option<Arc<LogCallback>>>,
    returned: Condvar,
}

static SINK: PerProcess<LogSink> = PerProcess::new(LogSink { current: Mutex::new(None), returned: Condvar::new() });

thread_local! {
    static LOGGING: Cell<bool> = const { Cell::new(false) };
}

/// Sets where log messages go; by default nowhere.
///
/// One callback serves the whole process; a child made by fork has none until it sets one. After the function returns, the callback set before is not running on any other
/// thread and is not called any more.
///
/// @param callback receives the messages; NULL switches the log off
/// @param max_level the least grave level wanted, a losant_log_level; LOSANT_LOG_WARN suits production
/// @param user_data handed to the callback; the library never looks at it
/// @return LOSANT_OK; LOSANT_ERR_INVALID_ARGUMENT if max_level is none of the levels; LOSANT_ERR_BUSY if a Rust host has
/// a logger of its own
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_set_log_callback(
    callback: losant_log_callback,
    max_level: c_int,
    user_data: *mut c_void,
) -> Status {
    guard("losant_set_log_callback", || {
        let callback = callback.map(|callback| LogCallback { callback, user_data: user_data as usize });
        set_callback(callback, max_level)
    })
}

fn set_callback(callback: Option<LogCallback>, max_level: c_int) -> Result<(), Error> {
    let level = match max_level {
        1 => LevelFilter::Error,
        2 => LevelFilter::Warn,
        3 => LevelFilter::Info,
        4 => LevelFilter::Debug,
        other => {
            return Err(Error::new(LOSANT_ERR_INVALID_ARGUMENT, format!("max_level is {other}; it must be 1 to 4")));
        }
    };
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        // Fails where a Rust host has its own, which then gets the messages.
        let _ = ::log::set_logger(&CLogger);
    });
    let LogSink { current, returned } = SINK.get();
    let mut current = current.lock();
    ::log::set_max_level(if callback.is_some() { level } else { LevelFilter::Off });
    let before = std::mem::replace(&mut *current, callback.map(Arc::new));
    // Inside a log callback there is nothing to wait for but ourselves.
    while before.as_ref().is_some_and(|before| Arc::strong_count(before) > 1) && !LOGGING.get() {
        returned.wait(&mut current);
    }
    Ok(())
}

struct CLogger;

impl Log for CLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // The libraries within have much to say that is of no use to a host.
        metadata.target().starts_with("losant")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) || LOGGING.get() {
            return;
        }
        let Some(log) = SINK.get().current.lock().clone() else { return };
        LOGGING.set(true);
        let message = c_string(&record.args().to_string());
        let level = match record.level() {
            Level::Error => losant_log_level::LOSANT_LOG_ERROR,
            Level::Warn => losant_log_level::LOSANT_LOG_WARN,
            Level::Info => losant_log_level::LOSANT_LOG_INFO,
            Level::Debug | Level::Trace => losant_log_level::LOSANT_LOG_DEBUG,
        };
        let (text, length) = (message.as_ptr(), message.as_bytes().len());
        let user_data = log.user_data as *mut c_void;
        // SAFETY: the host gave this callback for these arguments; the text lives until after the call.
        let called = callback::call(|| unsafe { (log.callback)(level as c_int, text, length, user_data) });
        // A child that comes back from it, which it must not, goes on with its own log.
        let _ = called;
        LOGGING.set(false);
        // Under the lock, or whoever waits for it could look just before. After a fork in the callback, the child's.
        let LogSink { current, returned } = SINK.get();
        let current = current.lock();
        drop(log);
        drop(current);
        returned.notify_all();
    }

    fn flush(&self) {}
}
