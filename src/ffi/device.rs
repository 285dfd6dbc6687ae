//! Making and freeing devices.

use super::{
    guard,
    handle::{self, losant_device},
    text::{out_argument, text_argument},
};
use crate::{device::Device, status::Status};
use std::ffi::c_char;

/// Makes a device. It does nothing until it is connected; set its options first.
///
/// @param device_id the Losant device id, which is also the MQTT client id; not empty, without / + # and control
/// characters; copied
/// @param key the access key; copied. NULL, together with secret, for a device that only its client certificate names
/// @param secret the access secret; copied. Both are wiped from memory with the device, and what is encoded of them for the
/// network as soon as it is sent; they never stand in the log or in an event
/// @param device receives the handle; to be given back with losant_device_free
/// @return LOSANT_OK; LOSANT_ERR_NULL_ARGUMENT; LOSANT_ERR_INVALID_UTF8; LOSANT_ERR_INVALID_ARGUMENT for a device id or
/// text that MQTT cannot carry; LOSANT_ERR_SYSTEM if there are a million devices already
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_device_new(
    device_id: *const c_char,
    key: *const c_char,
    secret: *const c_char,
    device: *mut *mut losant_device,
) -> Status {
    guard("losant_device_new", || {
        // SAFETY: the caller passes NULL or NUL-terminated strings.
        let id = unsafe { text_argument("device_id", device_id)? };
        let login = if key.is_null() && secret.is_null() {
            None
        } else {
            // SAFETY: as above.
            Some(unsafe { (text_argument("key", key)?, text_argument("secret", secret)?) })
        };
        // SAFETY: the caller passes NULL or a place for a handle.
        let place = unsafe { out_argument("device", device)? };
        *place = handle::issue(Device::new(id, login)?)?;
        Ok(())
    })
}

/// Frees a device: legal at any time, on any thread, also inside its own callbacks. A connection is closed, without a
/// close event; states that were not delivered are lost.
///
/// After it has returned no callback of the device starts. Called outside of callbacks, it also waits for one that runs on
/// another thread, so do not hold a lock that a callback takes; called inside a callback it does not wait for one that runs.
///
/// In a child made by fork, a device of the parent's is only given back: nothing is closed or destroyed, as the parent
/// still has it. The child's copies of its descriptors go with the child, or by exec.
///
/// @param device the handle; invalid from now on, in every function
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE if it is NULL, was never issued, or is freed already
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_free(device: *mut losant_device) -> Status {
    guard("losant_device_free", || {
        if let Some(found) = handle::revoke(device)? {
            found.shut_down()?;
        }
        Ok(())
    })
}
