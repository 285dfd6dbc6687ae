//! Panics: defects of this library, which must not become the host's.

use std::{
    any::Any,
    cell::RefCell,
    panic::{self, AssertUnwindSafe, catch_unwind},
    sync::Once,
};

thread_local! {
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Does the work; if it panics, tells what the panic said.
pub(crate) fn contain<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    // What was half changed is given up by the caller, or was behind a lock that is held for whole changes only.
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        // Kept by the hook, if it is ours, with the place.
        LAST.with(|last| last.borrow_mut().take()).unwrap_or_else(|| said(payload.as_ref()))
    })
}

fn said(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without words").to_owned()
}

/// The default hook prints to the host's stderr; ours keeps the text. The shared and the static library have their own
/// copy of the standard library, so there this is no one else's hook.
pub(crate) fn keep_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        panic::set_hook(Box::new(|info| {
            let text = info.to_string();
            LAST.with(|last| *last.borrow_mut() = Some(text));
        }));
    });
}
