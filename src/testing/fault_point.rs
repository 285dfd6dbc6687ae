//! Where a test can have a defect.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultPoint {
    /// A device's work on its connection.
    Work,
    /// The background thread's own work.
    Thread,
}

/// A defect that a test has put into one device; it strikes once.
#[derive(Default)]
pub(crate) struct Faults(parking_lot::Mutex<Option<FaultPoint>>);

impl Faults {
    pub fn put(&self, point: FaultPoint) {
        *self.0.lock() = Some(point);
    }

    pub fn strike(&self, point: FaultPoint) {
        let found = self.0.lock().take_if(|wanted| *wanted == point);
        assert!(found.is_none(), "injected");
    }
}
