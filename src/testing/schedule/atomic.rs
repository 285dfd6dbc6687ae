//! Atomics at which a model may switch threads. Not for statics: several models run at once, on threads of the system.

use shuttle::sync::atomic as shuttled;
use std::sync::atomic::{self, Ordering};

#[derive(Debug, Default)]
struct Point(shuttled::AtomicBool);

impl Point {
    fn pass(&self) {
        if super::is_on() {
            self.0.load(Ordering::SeqCst);
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct AtomicBool {
    point: Point,
    value: atomic::AtomicBool,
}

impl AtomicBool {
    pub fn new(value: bool) -> Self {
        AtomicBool { point: Point::default(), value: atomic::AtomicBool::new(value) }
    }

    pub fn load(&self, order: Ordering) -> bool {
        self.point.pass();
        self.value.load(order)
    }

    pub fn store(&self, value: bool, order: Ordering) {
        self.point.pass();
        self.value.store(value, order);
    }

    pub fn swap(&self, value: bool, order: Ordering) -> bool {
        self.point.pass();
        self.value.swap(value, order)
    }
}

#[derive(Debug, Default)]
pub(crate) struct AtomicU64 {
    point: Point,
    value: atomic::AtomicU64,
}

impl AtomicU64 {
    pub fn load(&self, order: Ordering) -> u64 {
        self.point.pass();
        self.value.load(order)
    }

    pub fn fetch_add(&self, more: u64, order: Ordering) -> u64 {
        self.point.pass();
        self.value.fetch_add(more, order)
    }
}

#[derive(Debug, Default)]
pub(crate) struct AtomicUsize {
    point: Point,
    value: atomic::AtomicUsize,
}

impl AtomicUsize {
    pub fn load(&self, order: Ordering) -> usize {
        self.point.pass();
        self.value.load(order)
    }

    pub fn fetch_add(&self, more: usize, order: Ordering) -> usize {
        self.point.pass();
        self.value.fetch_add(more, order)
    }

    pub fn fetch_sub(&self, less: usize, order: Ordering) -> usize {
        self.point.pass();
        self.value.fetch_sub(less, order)
    }
}
