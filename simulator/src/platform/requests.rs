//! Faults on request: setting them, and their happening.

use super::{Inner, Order, Platform};
use crate::fault::{Fault, Faults, PubackFate, Target};
use crate::record::FaultRecord;

impl Platform {
    pub fn change_faults(&self, target: &Target, work: impl Fn(&mut Faults, &str)) -> bool {
        let inner = &mut *self.lock();
        let mut found = false;
        for device in &self.config.devices {
            if *target == Target::All || *target == Target::Device(device.id.clone()) {
                found = true;
                work(&mut inner.faults, &device.id);
            }
        }
        for link in inner.links.values() {
            link.tell(Order::Look);
        }
        found
    }

    pub(super) fn take_in(
        &self,
        inner: &mut Inner,
        id: u64,
        device: &str,
        wanted: impl Fn(&Fault) -> bool,
    ) -> Option<Fault> {
        inner.check_open(id).ok()?;
        let fault = inner.faults.take(device, wanted)?;
        self.happened(inner, id, device, fault.name());
        Some(fault)
    }

    fn happened(&self, inner: &mut Inner, id: u64, device: &str, name: &'static str) {
        let fault = FaultRecord { device: device.to_owned(), connection: id, name };
        self.print(&fault);
        inner.records.faults.push(fault);
    }

    pub fn take_fault(&self, id: u64, device: &str, wanted: impl Fn(&Fault) -> bool) -> Option<Fault> {
        self.change(|inner| self.take_in(inner, id, device, wanted))
    }

    /// Counts bytes read from a device: see [`Faults::bytes`].
    pub fn count_bytes(&self, id: u64, device: &str, count: usize) -> Option<(usize, Fault)> {
        self.change(|inner| {
            inner.check_open(id).ok()?;
            let due = inner.faults.bytes(device, count)?;
            self.happened(inner, id, device, due.1.name());
            Some(due)
        })
    }

    /// Counts a packet handled: see [`Faults::packet`].
    pub fn count_packet(&self, id: u64, device: &str) -> Option<Fault> {
        self.change(|inner| {
            inner.check_open(id).ok()?;
            let fault = inner.faults.packet(device)?;
            self.happened(inner, id, device, fault.name());
            Some(fault)
        })
    }

    pub fn puback_fate(&self, id: u64, device: &str) -> PubackFate {
        self.change(|inner| {
            let fate = inner.faults.puback(device);
            if fate != PubackFate::Sent {
                self.happened(inner, id, device, "puback");
            }
            fate
        })
    }
}
