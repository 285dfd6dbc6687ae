//! Handles under races; see [`super::schedule`].

use crate::{
    Device,
    Status::*,
    ffi::{
        handle::{find, issue, revoke},
        losant_device, losant_device_free, losant_device_is_connected,
    },
    testing::schedule::check,
};
use shuttle::thread;
use std::ptr;

fn issue_one(name: &str) -> usize {
    issue(Device::new(name, None).unwrap()).unwrap() as usize
}

fn pointer(handle: usize) -> *mut losant_device {
    ptr::without_provenance_mut(handle)
}

#[test]
fn a_handle_never_means_another_device() {
    check(|| {
        let first = issue_one("first");
        let revokers: Vec<_> =
            (0..2).map(|_| thread::spawn(move || revoke(pointer(first)).is_ok_and(|taken| taken.is_some()))).collect();
        let issuer = thread::spawn(|| {
            let next = issue_one("next");
            assert_eq!(find(pointer(next)).unwrap().id(), "next");
            next
        });
        if let Ok(found) = find(pointer(first)) {
            assert_eq!(found.id(), "first");
        }
        let freed = revokers.into_iter().filter_map(|revoker| revoker.join().unwrap().then_some(())).count();
        assert_eq!(freed, 1, "exactly one of them has freed it");
        assert!(find(pointer(first)).is_err());
        let next = issuer.join().unwrap();
        assert_ne!(next, first);
        assert_eq!(find(pointer(next)).unwrap().id(), "next");
        let _ = revoke(pointer(next));
    });
}

#[test]
fn freed_while_others_use_it() {
    check(|| {
        let handle = issue_one("device");
        let freers = [(); 2].map(|()| thread::spawn(move || losant_device_free(pointer(handle))));
        let _ = losant_device_is_connected(pointer(handle));
        let statuses = freers.map(|freer| freer.join().unwrap());
        assert!(statuses.contains(&LOSANT_OK) && statuses.contains(&LOSANT_ERR_INVALID_HANDLE), "{statuses:?}");
    });
}
