//! Device handles: numbers in the shape of pointers. They are looked up, never followed, so a wrong one is an error and
//! not a crash, and the number of a freed device is not given to another.

use crate::{
    device::Device,
    observers::ObserverId,
    status::{Error, Status::*},
};
use once_cell::sync::Lazy;
use parking_lot::{Mutex, RwLock};
use std::{collections::VecDeque, sync::Arc};

/// A device. Opaque: not an address, only to be handed back to the library.
#[allow(non_camel_case_types, reason = "the C name")]
pub struct losant_device {
    _opaque: [u8; 0],
}

/// A device with what only the C interface needs.
pub(super) struct CDevice {
    pub device: Device,
    /// What C calls an observer, and what the device does.
    pub observers: Mutex<Vec<(ObserverKey, ObserverId)>>,
}

/// The arguments that an observer was added with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct ObserverKey {
    pub event: i32,
    pub callback: usize,
    pub user_data: usize,
}

/// Low bits of a handle: the slot. The bits above: how many handles the slot has had.
const INDEX_BITS: u32 = if usize::BITS == 64 { 20 } else { 12 };

/// On 64-bit machines a bit that no address has. Go's collector takes a small number, or one that lies in its heap, for
/// a broken pointer; this is neither.
const TAG: usize = if usize::BITS == 64 { 1 << (usize::BITS - 2) } else { 0 };

const MAX_GENERATION: usize = (1 << (usize::BITS - INDEX_BITS - 2)) - 1;

#[derive(Default)]
struct Slot {
    generation: usize,
    device: Option<Arc<CDevice>>,
}

#[derive(Default)]
struct Registry {
    slots: Vec<Slot>,
    /// First in, first out, so that a number comes back as late as possible in any shape.
    free: VecDeque<usize>,
}

static REGISTRY: Lazy<RwLock<Registry>> = Lazy::new(RwLock::default);

pub(super) fn issue(device: Device) -> Result<*mut losant_device, Error> {
    let device = Arc::new(CDevice { device, observers: Mutex::default() });
    let mut registry = REGISTRY.write();
    let index = match registry.free.pop_front() {
        Some(index) => index,
        None if registry.slots.len() < 1 << INDEX_BITS => {
            registry.slots.push(Slot::default());
            registry.slots.len() - 1
        }
        None => return Err(Error::new(LOSANT_ERR_SYSTEM, "too many devices")),
    };
    let slot = &mut registry.slots[index];
    slot.generation += 1;
    slot.device = Some(device);
    Ok(encode(index, slot.generation))
}

/// The device of a handle.
#[inline(never)]
pub(super) fn find(handle: *const losant_device) -> Result<Arc<CDevice>, Error> {
    let registry = REGISTRY.read();
    let found = decode(handle).and_then(|(index, generation)| {
        registry.slots.get(index).filter(|slot| slot.generation == generation)?.device.clone()
    });
    found.ok_or_else(|| invalid(handle))
}

/// Takes the handle back; from now on it is invalid.
pub(super) fn revoke(handle: *const losant_device) -> Result<Arc<CDevice>, Error> {
    let mut registry = REGISTRY.write();
    let taken = decode(handle).and_then(|(index, generation)| {
        let slot = registry.slots.get_mut(index).filter(|slot| slot.generation == generation)?;
        Some((index, slot.device.take()?))
    });
    let Some((index, device)) = taken else { return Err(invalid(handle)) };
    // A slot that has used up its numbers is given up: no number ever means two devices.
    if registry.slots[index].generation < MAX_GENERATION {
        registry.free.push_back(index);
    }
    Ok(device)
}

fn encode(index: usize, generation: usize) -> *mut losant_device {
    (TAG | generation << INDEX_BITS | index) as *mut losant_device
}

fn decode(handle: *const losant_device) -> Option<(usize, usize)> {
    let number = handle as usize;
    if number & TAG != TAG {
        return None;
    }
    let number = number & !TAG;
    Some((number & ((1 << INDEX_BITS) - 1), number >> INDEX_BITS))
}

fn invalid(handle: *const losant_device) -> Error {
    let why = if handle.is_null() { "device is NULL" } else { "device was never issued or has been freed" };
    Error::new(LOSANT_ERR_INVALID_HANDLE, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_means_one_device_for_ever() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1000 {
            let handle = issue(Device::new("d", None).unwrap()).unwrap();
            assert!(seen.insert(handle as usize));
            assert!(find(handle).is_ok());
            assert!(revoke(handle).is_ok());
            assert_eq!(revoke(handle).map(|_| ()).map_err(|e| e.status), Err(LOSANT_ERR_INVALID_HANDLE));
            assert!(find(handle).is_err());
        }
    }

    #[test]
    fn what_was_never_issued_is_refused() {
        let real = issue(Device::new("d", None).unwrap()).unwrap();
        for number in [0, 1, 8, 4096, usize::MAX, usize::MAX - 7, TAG, TAG | 1, real as usize + (1 << INDEX_BITS)] {
            assert!(find(number as *const losant_device).is_err(), "{number:#x}");
        }
        assert!(revoke(real).is_ok());
    }
}
