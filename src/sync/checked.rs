//! Locks that end the process when they are taken out of order. That they ever would is a defect of this library.

use super::{Rank, Ranked};
#[cfg(test)]
use crate::testing::schedule::{self, Condition, SchedulePoint, SchedulePointGuard};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt,
    io::Write,
    ops::{Deref, DerefMut},
    time::{Duration, Instant},
};

thread_local! {
    /// What each thread holds. In a model one thread plays them all, in turns.
    static HELD: RefCell<BTreeMap<usize, Vec<Rank>>> = const { RefCell::new(BTreeMap::new()) };
}

/// The ranks that this thread holds.
fn held<T>(look: impl FnOnce(&mut Vec<Rank>) -> T) -> Option<T> {
    #[cfg(test)]
    let task = schedule::task().map_or(0, |task| task + 1);
    #[cfg(not(test))]
    let task = 0;
    // None when the thread is just ending.
    HELD.try_with(|held| look(held.borrow_mut().entry(task).or_default())).ok()
}

/// Whether a lock of this rank may be taken with these held.
fn in_order(held: &[Rank], rank: Rank) -> bool {
    held.iter().all(|other| *other < rank)
}

fn check(right: Option<bool>, what: fmt::Arguments<'_>) {
    if right == Some(false) {
        let ranks = held(|held| held.clone());
        // Not eprintln: a test would keep it to itself and then be gone.
        let _ = writeln!(std::io::stderr(), "locks out of order: {what} with {ranks:?} held");
        std::process::abort();
    }
}

/// User code is about to run, so no lock may be held.
pub(crate) fn check_unlocked() {
    check(held(|held| held.is_empty()), format_args!("user code"));
}

/// A lock that this thread holds.
struct Held(Rank);

impl Held {
    fn new(rank: Rank) -> Self {
        check(held(|held| in_order(held, rank)), format_args!("{rank:?}"));
        held(|held| held.push(rank));
        Held(rank)
    }

    fn check_alone(&self) {
        check(held(|held| held.len() == 1), format_args!("waiting on a condition"));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        held(|held| held.iter().rposition(|rank| *rank == self.0).map(|at| held.remove(at)));
    }
}

#[derive(Debug, Default)]
pub(crate) struct Mutex<T> {
    #[cfg(test)]
    point: SchedulePoint,
    value: parking_lot::Mutex<T>,
}

/// Its fields in the order in which they are let go.
pub(crate) struct MutexGuard<'a, T: Ranked> {
    /// `None` only while it waits on a condition.
    value: Option<parking_lot::MutexGuard<'a, T>>,
    #[cfg(test)]
    point: SchedulePointGuard<'a>,
    held: Held,
}

impl<T> Mutex<T> {
    pub const fn new(value: T) -> Self {
        Mutex {
            #[cfg(test)]
            point: SchedulePoint::new(),
            value: parking_lot::Mutex::new(value),
        }
    }
}

impl<T: Ranked> Mutex<T> {
    pub fn lock(&self) -> MutexGuard<'_, T> {
        let held = Held::new(T::RANK);
        MutexGuard {
            #[cfg(test)]
            point: self.point.take(),
            value: Some(self.value.lock()),
            held,
        }
    }
}

impl<T: Ranked> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_deref().expect("only a waiting guard has none")
    }
}

impl<T: Ranked> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_deref_mut().expect("only a waiting guard has none")
    }
}

#[derive(Debug, Default)]
pub(crate) struct Condvar {
    #[cfg(test)]
    point: Condition,
    value: parking_lot::Condvar,
}

/// Whether a wait ended with its time.
pub(crate) struct WaitResult(bool);

impl WaitResult {
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    pub const fn new() -> Self {
        Condvar {
            #[cfg(test)]
            point: Condition::new(),
            value: parking_lot::Condvar::new(),
        }
    }

    pub fn wait<T: Ranked>(&self, guard: &mut MutexGuard<'_, T>) {
        self.wait_at_most(guard, None);
    }

    pub fn wait_for<T: Ranked>(&self, guard: &mut MutexGuard<'_, T>, timeout: Duration) -> WaitResult {
        self.wait_at_most(guard, Some(timeout))
    }

    pub fn wait_until<T: Ranked>(&self, guard: &mut MutexGuard<'_, T>, until: Instant) -> WaitResult {
        self.wait_at_most(guard, Some(until.saturating_duration_since(Instant::now())))
    }

    fn wait_at_most<T: Ranked>(&self, guard: &mut MutexGuard<'_, T>, timeout: Option<Duration>) -> WaitResult {
        guard.held.check_alone();
        #[cfg(test)]
        if guard.point.is_model() {
            let value = guard.value.take().expect("only a waiting guard has none");
            let mutex = parking_lot::MutexGuard::mutex(&value);
            drop(value);
            let timed_out = self.point.wait(&mut guard.point, timeout);
            guard.value = Some(mutex.lock());
            return WaitResult(timed_out);
        }
        let value = guard.value.as_mut().expect("only a waiting guard has none");
        match timeout {
            Some(timeout) => WaitResult(self.value.wait_for(value, timeout).timed_out()),
            None => {
                self.value.wait(value);
                WaitResult(false)
            }
        }
    }

    pub fn notify_all(&self) {
        #[cfg(test)]
        self.point.notify_all();
        self.value.notify_all();
    }
}

#[derive(Debug, Default)]
pub(crate) struct RwLock<T> {
    /// Models let one reader in at a time, which is all that can be told apart here.
    #[cfg(test)]
    point: SchedulePoint,
    value: parking_lot::RwLock<T>,
}

/// A guard of a reader or writer.
pub(crate) struct RwLockGuard<'a, G> {
    value: G,
    #[cfg(test)]
    _turn: SchedulePointGuard<'a>,
    _held: Held,
    _lock: std::marker::PhantomData<&'a ()>,
}

impl<T> RwLock<T> {
    pub const fn new(value: T) -> Self {
        RwLock {
            #[cfg(test)]
            point: SchedulePoint::new(),
            value: parking_lot::RwLock::new(value),
        }
    }
}

impl<T: Ranked> RwLock<T> {
    pub fn read(&self) -> RwLockGuard<'_, parking_lot::RwLockReadGuard<'_, T>> {
        self.guard(|| self.value.read())
    }

    pub fn write(&self) -> RwLockGuard<'_, parking_lot::RwLockWriteGuard<'_, T>> {
        self.guard(|| self.value.write())
    }

    fn guard<'a, G>(&'a self, lock: impl FnOnce() -> G) -> RwLockGuard<'a, G> {
        let held = Held::new(T::RANK);
        RwLockGuard {
            #[cfg(test)]
            _turn: self.point.take(),
            value: lock(),
            _held: held,
            _lock: std::marker::PhantomData,
        }
    }
}

impl<G: Deref> Deref for RwLockGuard<'_, G> {
    type Target = G::Target;

    fn deref(&self) -> &G::Target {
        &self.value
    }
}

impl<G: DerefMut> DerefMut for RwLockGuard<'_, G> {
    fn deref_mut(&mut self) -> &mut G::Target {
        &mut self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_are_taken_downwards_only() {
        assert!(in_order(&[], Rank::Run));
        assert!(in_order(&[Rank::Run, Rank::Threads], Rank::Mailbox));
        assert!(!in_order(&[Rank::Outbox], Rank::Run));
        assert!(!in_order(&[Rank::Run], Rank::Run), "of two devices");
    }

    #[test]
    fn what_is_held_is_known() {
        struct Leaf;
        impl Ranked for Leaf {
            const RANK: Rank = Rank::Last;
        }
        struct Upper;
        impl Ranked for Upper {
            const RANK: Rank = Rank::Run;
        }
        let (upper, leaf) = (Mutex::new(Upper), RwLock::new(Leaf));
        let first = upper.lock();
        let second = leaf.read();
        assert_eq!(held(|held| held.clone()), Some(vec![Rank::Run, Rank::Last]));
        drop(first);
        assert_eq!(held(|held| held.clone()), Some(vec![Rank::Last]));
        drop(second);
        check_unlocked();
    }
}
