//! Device handles: numbers in the shape of pointers. They are looked up, never followed, so a wrong one is an error and
//! not a crash, and the number of a freed device is not given to another.

use crate::{
    device::Device,
    observers::ObserverId,
    process::PerProcess,
    status::{Error, Status::*},
    sync::{Mutex, Rank, Ranked, RwLock},
};
use std::{
    collections::{BTreeSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::*},
    },
};

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

impl Ranked for Vec<(ObserverKey, ObserverId)> {
    const RANK: Rank = Rank::ObserverKeys;
}

/// Low bits of a handle: the slot. The bits above: how many handles the slot has had.
const INDEX_BITS: u32 = if usize::BITS == 64 { 20 } else { 12 };

/// On 64-bit machines a bit that no address has. Go's collector takes a small number, or one that lies in its heap, for
/// a broken pointer; this is neither.
const TAG: usize = if usize::BITS == 64 { 1 << (usize::BITS - 2) } else { 0 };

const MAX_GENERATION: usize = (1 << (usize::BITS - INDEX_BITS - 2)) - 1;

struct Slot {
    generation: usize,
    device: Option<Arc<CDevice>>,
}

struct Registry {
    slots: Vec<Slot>,
    /// First in, first out, so that a number comes back as late as possible in any shape.
    free: VecDeque<usize>,
    /// What generation new slots come after.
    generation: usize,
    /// Handles from before the fork that this process has freed.
    given_back: BTreeSet<usize>,
}

impl Ranked for Registry {
    const RANK: Rank = Rank::Last;
}

impl Registry {
    const fn after(generation: usize) -> Self {
        Registry { slots: Vec::new(), free: VecDeque::new(), generation, given_back: BTreeSet::new() }
    }

    fn get(&self, handle: *const losant_device) -> Option<&Arc<CDevice>> {
        let (index, generation) = decode(handle)?;
        self.slots.get(index).filter(|slot| slot.generation == generation)?.device.as_ref()
    }
}

impl Default for Registry {
    /// For a child: its numbers are none of its parent's.
    fn default() -> Self {
        Self::after(HIGHEST_GENERATION.load(Acquire))
    }
}

static REGISTRY: PerProcess<RwLock<Registry>> = PerProcess::new(RwLock::new(Registry::after(0)));

/// The highest generation of any slot. Outside of the lock, for a child that is made while another thread holds it.
static HIGHEST_GENERATION: AtomicUsize = AtomicUsize::new(0);

pub(super) fn issue(device: Device) -> Result<*mut losant_device, Error> {
    let device = Arc::new(CDevice { device, observers: Mutex::default() });
    let mut registry = REGISTRY.get().write();
    let index = match registry.free.pop_front() {
        Some(index) => index,
        None if registry.slots.len() < 1 << INDEX_BITS && registry.generation < MAX_GENERATION => {
            let generation = registry.generation;
            registry.slots.push(Slot { generation, device: None });
            registry.slots.len() - 1
        }
        None => return Err(Error::new(LOSANT_ERR_SYSTEM, "too many devices")),
    };
    let slot = &mut registry.slots[index];
    slot.generation += 1;
    HIGHEST_GENERATION.fetch_max(slot.generation, AcqRel);
    slot.device = Some(device);
    Ok(encode(index, slot.generation))
}

/// The device of a handle.
#[inline(never)]
pub(super) fn find(handle: *const losant_device) -> Result<Arc<CDevice>, Error> {
    let found = REGISTRY.get().read().get(handle).cloned();
    found.ok_or_else(|| missing(handle))
}

/// Takes the handle back; from now on it is invalid. Nothing in a child that frees its copy of its parent's device: the
/// parent still has it.
pub(super) fn revoke(handle: *const losant_device) -> Result<Option<Arc<CDevice>>, Error> {
    let mut registry = REGISTRY.get().write();
    let taken = decode(handle).and_then(|(index, generation)| {
        let slot = registry.slots.get_mut(index).filter(|slot| slot.generation == generation)?;
        Some((index, slot.device.take()?))
    });
    let Some((index, device)) = taken else {
        if !was_parents(handle) || !registry.given_back.insert(handle as usize) {
            return Err(invalid(handle));
        }
        return Ok(None);
    };
    // A slot that has used up its numbers is given up: no number ever means two devices.
    if registry.slots[index].generation < MAX_GENERATION {
        registry.free.push_back(index);
    }
    Ok(Some(device))
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

/// Why a handle is none of this process's.
#[cold]
fn missing(handle: *const losant_device) -> Error {
    if was_parents(handle) && !REGISTRY.get().read().given_back.contains(&(handle as usize)) {
        let why = "the device was made before this process was forked; here it can only be freed";
        return Error::new(LOSANT_ERR_FORKED, why);
    }
    invalid(handle)
}

/// Whether a process that this one comes from had this handle when it was forked. If it was making or freeing a device at
/// that very moment, its registry cannot be read: then every number that it may have issued counts.
fn was_parents(handle: *const losant_device) -> bool {
    let mut had = false;
    for registry in REGISTRY.before() {
        had |= match registry.try_read() {
            Some(registry) if registry.given_back.contains(&(handle as usize)) => return false,
            Some(registry) => registry.get(handle).is_some(),
            None => decode(handle).is_some_and(|(_, generation)| generation != 0),
        };
    }
    had
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
