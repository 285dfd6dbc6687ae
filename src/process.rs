//! Which process this is. A child made by fork has a copy of all that its parent had, of threads only the one that forked:
//! locks that others held stay locked for ever, and descriptors are shared with the parent. So a child begins anew, and
//! leaves what was its parent's alone.
//!
//! With no handler to tell of a fork, a page of memory does, which the kernel empties in every child (Linux 4.14,
//! MADV_WIPEONFORK): two loads per question. Older kernels are asked for the process id each time.

use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, munmap};
use once_cell::race::OnceBox;
use std::{
    num::NonZeroUsize,
    ptr::{NonNull, null_mut},
    sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::*},
};

/// Names a process among itself, its parent, that one's parent, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProcessId(usize);

/// The mark of this process, on a page of its own; 0 in a child that has not been here yet.
static PAGE: AtomicPtr<AtomicUsize> = AtomicPtr::new(null_mut());
static NO_PAGE: AtomicBool = AtomicBool::new(false);
static LAST_MARK: AtomicUsize = AtomicUsize::new(0);

/// Mapped in whole pages, whatever their size.
const LENGTH: NonZeroUsize = NonZeroUsize::MIN;

impl ProcessId {
    pub fn current() -> Self {
        // SAFETY: null or the page, which stays.
        let page = unsafe { PAGE.load(Acquire).as_ref() };
        match page.map(|mark| mark.load(Acquire)) {
            Some(mark) if mark != 0 => ProcessId(mark),
            _ => ProcessId(first_seen()),
        }
    }
}

#[cold]
fn first_seen() -> usize {
    let Some(page) = page() else {
        return std::process::id() as usize;
    };
    // A number that is lost in a race is not used, so that none is used twice.
    let mark = LAST_MARK.fetch_add(1, AcqRel) + 1;
    page.compare_exchange(0, mark, AcqRel, Acquire).map_or_else(|other| other, |_| mark)
}

fn page() -> Option<&'static AtomicUsize> {
    if NO_PAGE.load(Acquire) {
        return None;
    }
    if PAGE.load(Acquire).is_null() {
        let Some(new) = map() else {
            NO_PAGE.store(true, Release);
            return None;
        };
        if PAGE.compare_exchange(null_mut(), new.cast().as_ptr(), AcqRel, Acquire).is_err() {
            // SAFETY: mapped above, and known to nobody.
            let _ = unsafe { munmap(new, LENGTH.get()) };
        }
    }
    // SAFETY: null or the page, which stays.
    unsafe { PAGE.load(Acquire).as_ref() }
}

/// A page of zeros that is one of zeros again in a child.
fn map() -> Option<NonNull<std::ffi::c_void>> {
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: new memory, wherever there is room.
    let page = unsafe { mmap_anonymous(None, LENGTH, protection, MapFlags::MAP_PRIVATE) }.ok()?;
    // SAFETY: just mapped, and known to nobody.
    let wiped = unsafe { madvise(page, LENGTH.get(), MmapAdvise::MADV_WIPEONFORK) };
    if wiped.is_err() {
        // SAFETY: as above.
        let _ = unsafe { munmap(page, LENGTH.get()) };
        return None;
    }
    Some(page)
}

/// A value that every process has for itself: in a child it begins with the default. What belonged to a parent stays where
/// it is, neither used nor dropped.
pub(crate) struct PerProcess<T: 'static> {
    /// The mark of the process that it belongs to; 0: the first that comes.
    owner: AtomicUsize,
    value: T,
    next: OnceBox<PerProcess<T>>,
}

impl<T: Default> PerProcess<T> {
    pub const fn new(value: T) -> Self {
        PerProcess { owner: AtomicUsize::new(0), value, next: OnceBox::new() }
    }

    /// This process's.
    pub fn get(&self) -> &T {
        #[cfg(test)]
        if let Some(value) = crate::testing::schedule::of_this_run(self) {
            return value;
        }
        let ProcessId(current) = ProcessId::current();
        let mut place = self;
        loop {
            if place.owner.load(Acquire) == current || place.claim(current) {
                return &place.value;
            }
            place = place.next.get_or_init(|| Box::new(PerProcess::new(T::default())));
        }
    }

    #[cold]
    fn claim(&self, current: usize) -> bool {
        self.owner.compare_exchange(0, current, AcqRel, Acquire).map_or_else(|owner| owner == current, |_| true)
    }

    /// Those of the processes that this one comes from, as they were when it came. Any lock in them may be held for ever.
    pub fn before(&self) -> impl Iterator<Item = &T> {
        let ProcessId(current) = ProcessId::current();
        std::iter::successors(Some(self), |place| place.next.get())
            .filter(move |place| ![0, current].contains(&place.owner.load(Acquire)))
            .map(|place| &place.value)
    }
}
