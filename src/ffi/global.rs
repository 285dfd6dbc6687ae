//! What needs no device: version, status texts, times.

use super::{
    guard, guard_or,
    text::{out_argument, text_argument},
};
use crate::{status::Status, time};
use std::ffi::{CStr, c_char, c_int};

/// The version of the library that runs.
///
/// @return for example "1.2.3": the same as LOSANT_VERSION in the header that belongs to it; never freed
#[unsafe(no_mangle)]
pub extern "C" fn losant_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    guard_or(c"".as_ptr(), "losant_version", || VERSION.as_ptr().cast())
}

/// The text of a status.
///
/// @param status any number, also one that is no losant_status
/// @return fixed English text, never NULL, never freed
#[unsafe(no_mangle)]
pub extern "C" fn losant_status_string(status: c_int) -> *const c_char {
    const UNKNOWN: &CStr = c"unknown status";
    guard_or(UNKNOWN.as_ptr(), "losant_status_string", || {
        Status::from_code(status).map_or(UNKNOWN, Status::text).as_ptr()
    })
}

/// Reads a time as Losant writes it, for the `$date` values in command payloads.
///
/// Accepted, with or without JSON quotes: ISO 8601 dates (calendar, week or day of the year, basic or extended; a month, week
/// or year alone is its first day; years with a sign), alone or with a time behind "T" or a space (fractions of any length,
/// 24:00, leap seconds) and an offset ("Z", ±hh, ±hhmm, ±hh:mm, ±hh:mm:ss; none is UTC), behind it a zone's name in brackets;
/// or a number of milliseconds since 1970. But 4, 7 or 8 digits alone are YYYY, YYYYDDD or YYYYMMDD, and + with 6 digits is a
/// year. Also the extended JSON objects {"$date": any of these}, {"$date": {"$numberLong": "1464743391145"}} and
/// {"$numberLong": "…"}.
///
/// @param text UTF-8, NUL-terminated; not kept
/// @param time_ms receives milliseconds since 1970 (UTC)
/// @return LOSANT_OK; LOSANT_ERR_NULL_ARGUMENT; LOSANT_ERR_INVALID_UTF8; LOSANT_ERR_INVALID_TIME if it is none of these
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_parse_time(text: *const c_char, time_ms: *mut i64) -> Status {
    guard("losant_parse_time", || {
        // SAFETY: the caller passes NULL or a NUL-terminated string and NULL or a place for a number.
        let (text, time_ms) = unsafe { (text_argument("text", text)?, out_argument("time_ms", time_ms)?) };
        *time_ms = time::parse_time(text)?;
        Ok(())
    })
}
