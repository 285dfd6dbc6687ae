//! Strings across the border.

use crate::{
    status::{Error, Status::*},
    transport::is_der,
};
use std::ffi::{CStr, CString, c_char};

/// A text argument. `name` is for the error text.
///
/// # Safety
/// `text` is NULL or points to a NUL-terminated string that nobody changes while the returned reference lives.
#[inline(never)]
pub(super) unsafe fn text_argument<'a>(name: &str, text: *const c_char) -> Result<&'a str, Error> {
    // SAFETY: as this function demands.
    utf8(name, unsafe { c_text(name, text) }?.to_bytes())
}

/// A text argument that is to be PEM. DER is no text, but what is wrong with it is not its UTF-8.
///
/// # Safety
/// As for [`text_argument`].
pub(super) unsafe fn pem_argument<'a>(name: &str, text: *const c_char) -> Result<&'a str, Error> {
    // SAFETY: as this function demands.
    let bytes = unsafe { c_text(name, text) }?.to_bytes();
    if is_der(bytes) {
        let why = format!("{name} is DER, which must be converted to PEM");
        return Err(Error::new(LOSANT_ERR_CERTIFICATE_FILE, why));
    }
    utf8(name, bytes)
}

/// # Safety
/// As for [`text_argument`].
unsafe fn c_text<'a>(name: &str, text: *const c_char) -> Result<&'a CStr, Error> {
    if text.is_null() {
        return Err(Error::new(LOSANT_ERR_NULL_ARGUMENT, format!("{name} is NULL")));
    }
    // SAFETY: not NULL, and NUL-terminated as this function demands.
    Ok(unsafe { CStr::from_ptr(text) })
}

fn utf8<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str, Error> {
    std::str::from_utf8(bytes).map_err(|e| {
        let at = e.valid_up_to();
        Error::new(LOSANT_ERR_INVALID_UTF8, format!("{name} is not UTF-8 from byte {at} on"))
    })
}

/// A text argument with its length in bytes; 0 if it is NUL-terminated.
///
/// # Safety
/// `text` is NULL or points to so many bytes, or, where `len` is 0, to a NUL-terminated string, that nobody changes while
/// the returned reference lives.
pub(super) unsafe fn sized_text_argument<'a>(name: &str, text: *const c_char, len: u64) -> Result<&'a str, Error> {
    if len == 0 || text.is_null() {
        // SAFETY: as this function demands.
        return unsafe { text_argument(name, text) };
    }
    // No text in memory is longer than this; the check keeps a wild length from being one.
    let len = usize::try_from(len).ok().filter(|len| *len <= isize::MAX as usize);
    let len = len.ok_or_else(|| Error::new(LOSANT_ERR_INVALID_ARGUMENT, format!("{name} has no such length")))?;
    // SAFETY: as this function demands.
    let bytes = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), len) };
    utf8(name, bytes)
}

/// A text argument that may be NULL.
///
/// # Safety
/// As for [`text_argument`].
#[inline(never)]
pub(super) unsafe fn optional_text_argument<'a>(name: &str, text: *const c_char) -> Result<Option<&'a str>, Error> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: as this function demands.
    unsafe { text_argument(name, text) }.map(Some)
}

/// A place for a result.
///
/// # Safety
/// `place` is NULL or points to memory for a `T` that nobody else uses while the returned reference lives.
pub(super) unsafe fn out_argument<'a, T>(name: &str, place: *mut T) -> Result<&'a mut T, Error> {
    // SAFETY: as this function demands; `T` is always a plain number or pointer, so any memory is a valid one.
    unsafe { place.as_mut() }.ok_or_else(|| Error::new(LOSANT_ERR_NULL_ARGUMENT, format!("{name} is NULL")))
}

/// For texts that C reads by their NUL alone: ends at the first one inside.
pub(super) fn c_string(text: &str) -> CString {
    let end = text.find('\0').unwrap_or(text.len());
    CString::new(&text[..end]).unwrap_or_default()
}
