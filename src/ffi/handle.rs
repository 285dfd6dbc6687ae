//! Device handles: numbers in the shape of pointers. They are looked up, never followed, so a wrong one is an error and
//! not a crash, and the number of a freed device is not given to another.

use crate::{
    device::Device,
    process::PerProcess,
    status::{Error, Status::*},
    sync::{Rank, Ranked, RwLock},
};
use once_cell::race::OnceBox;
use std::{
    collections::VecDeque,
    sync::atomic::{AtomicUsize, Ordering::*},
};

/// A device. Opaque: not an address, only to be handed back to the library.
#[allow(non_camel_case_types, reason = "the C name")]
pub struct losant_device {
    _opaque: [u8; 0],
}

/// Low bits of a handle: the slot. The bits above: how many handles the slot has had.
const INDEX_BITS: u32 = if usize::BITS == 64 { 20 } else { 12 };

/// On 64-bit machines a bit that no address has. Go's collector takes a small number, or one that lies in its heap, for
/// a broken pointer; this is neither.
const TAG: usize = if usize::BITS == 64 { 1 << (usize::BITS - 2) } else { 0 };

const MAX_GENERATION: usize = (1 << (usize::BITS - INDEX_BITS - 2)) - 1;

struct Slot {
    generation: usize,
    device: Option<Device>,
}

struct Slots {
    slots: Vec<Slot>,
    /// First in, first out, so that a number comes back as late as possible in any shape.
    free: VecDeque<usize>,
    /// What generation new slots come after.
    generation: usize,
}

static REGISTRY: PerProcess<RwLock<Slots>> = PerProcess::new(RwLock::new(Slots::after(0)));

/// Which handles are in use, to be read without a lock: in a child, the parent's lock may be held for ever. All
/// zeros at first, so that it takes no room in the library.
static LIVE: PerProcess<Live> = PerProcess::new(Live::new());

/// The highest generation of any slot. Outside of the lock for the same reason.
static HIGHEST_GENERATION: AtomicUsize = AtomicUsize::new(0);

impl Ranked for Slots {
    const RANK: Rank = Rank::Last;
}

impl Slots {
    const fn after(generation: usize) -> Self {
        Slots { slots: Vec::new(), free: VecDeque::new(), generation }
    }
}

impl Default for Slots {
    /// For a child: its numbers are none of its parent's.
    fn default() -> Self {
        Self::after(HIGHEST_GENERATION.load(Acquire))
    }
}

pub(crate) fn issue(device: Device) -> Result<*mut losant_device, Error> {
    let mut slots = REGISTRY.get().write();
    let index = match slots.free.pop_front() {
        Some(index) => index,
        None if slots.slots.len() < 1 << INDEX_BITS && slots.generation < MAX_GENERATION => {
            let generation = slots.generation;
            slots.slots.push(Slot { generation, device: None });
            slots.slots.len() - 1
        }
        None => return Err(Error::new(LOSANT_ERR_SYSTEM, "too many devices")),
    };
    let slot = &mut slots.slots[index];
    slot.generation += 1;
    slot.device = Some(device);
    HIGHEST_GENERATION.fetch_max(slot.generation, AcqRel);
    LIVE.get().of(index).store(slot.generation, Release);
    Ok(encode(index, slot.generation))
}

/// The device of a handle.
#[inline(never)]
pub(crate) fn find(handle: *const losant_device) -> Result<Device, Error> {
    let slots = REGISTRY.get().read();
    let found = decode(handle).and_then(|(index, generation)| {
        slots.slots.get(index).filter(|slot| slot.generation == generation)?.device.clone()
    });
    drop(slots);
    found.ok_or_else(|| missing(handle))
}

/// Takes the handle back; from now on it is invalid. Nothing in a child that frees its copy of its parent's device: the
/// parent still has it.
pub(crate) fn revoke(handle: *const losant_device) -> Result<Option<Device>, Error> {
    let Some((index, generation)) = decode(handle) else { return Err(invalid(handle)) };
    if LIVE.before().any(|parents| parents.end(index, generation)) {
        return Ok(None);
    }
    let mut slots = REGISTRY.get().write();
    let slot = slots.slots.get_mut(index).filter(|slot| slot.generation == generation);
    let Some(device) = slot.and_then(|slot| slot.device.take()) else { return Err(invalid(handle)) };
    LIVE.get().end(index, generation);
    // A slot that has used up its numbers is given up: no number ever means two devices.
    if generation < MAX_GENERATION {
        slots.free.push_back(index);
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
    let parents =
        decode(handle).is_some_and(|(index, generation)| LIVE.before().any(|parents| parents.has(index, generation)));
    if parents {
        let why = "the device was made before this process was forked; here it can only be freed";
        return Error::new(LOSANT_ERR_FORKED, why);
    }
    invalid(handle)
}

fn invalid(handle: *const losant_device) -> Error {
    let why = if handle.is_null() { "device is NULL" } else { "device was never issued or has been freed" };
    Error::new(LOSANT_ERR_INVALID_HANDLE, why)
}

/// The generation of each slot that has a device; 0 for the others. In pieces that are made when first needed and stay.
struct Live([OnceBox<[AtomicUsize; PIECE]>; (1 << INDEX_BITS) / PIECE]);

const PIECE: usize = 256;

impl Live {
    const fn new() -> Self {
        Live([const { OnceBox::new() }; (1 << INDEX_BITS) / PIECE])
    }

    fn of(&self, index: usize) -> &AtomicUsize {
        &self.0[index / PIECE].get_or_init(|| Box::new([const { AtomicUsize::new(0) }; PIECE]))[index % PIECE]
    }

    fn has(&self, index: usize, generation: usize) -> bool {
        let piece = self.0.get(index / PIECE).and_then(OnceBox::get);
        generation != 0 && piece.is_some_and(|piece| piece[index % PIECE].load(Acquire) == generation)
    }

    /// Whether it had been there.
    fn end(&self, index: usize, generation: usize) -> bool {
        self.has(index, generation) && self.of(index).compare_exchange(generation, 0, AcqRel, Acquire).is_ok()
    }
}

impl Default for Live {
    fn default() -> Self {
        Self::new()
    }
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
