//! What stands between the library and the host: no panic passes, every failure is logged before the return.

use crate::status::{
    Error,
    Status::{self, *},
};
use std::{
    cell::RefCell,
    panic::{self, AssertUnwindSafe, catch_unwind},
    sync::Once,
};

thread_local! {
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs the body of an exported function. The detail of a failure goes to the log on this thread.
pub(super) fn guard(function: &str, body: impl FnOnce() -> Result<(), Error>) -> Status {
    let mut body = Some(body);
    guarded(function, &mut || body.take().map_or(Ok(()), |body| body()))
}

/// One copy of what all guards do: forty would be a tenth of the library.
#[inline(never)]
fn guarded(function: &str, body: &mut dyn FnMut() -> Result<(), Error>) -> Status {
    quiet_panics();
    let failure = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return LOSANT_OK,
        Ok(Err(failure)) => failure,
        Err(_) => panicked(),
    };
    ::log::error!("{function}: {}", failure.detail);
    failure.status
}

/// The same for functions that do not return a status.
pub(super) fn guard_or<T>(fallback: T, function: &str, body: impl FnOnce() -> T) -> T {
    quiet_panics();
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| {
        ::log::error!("{function}: {}", panicked().detail);
        fallback
    })
}

fn panicked() -> Error {
    let what = LAST_PANIC.with(|last| last.borrow_mut().take()).unwrap_or_default();
    Error::new(LOSANT_ERR_INTERNAL, format!("a defect in liblosant was contained, please report it: {what}"))
}

/// The default hook prints to the host's stderr; ours keeps the text for the log. The library has its own copy of the
/// standard library, so this is no one else's hook.
fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        panic::set_hook(Box::new(|info| {
            let text = info.to_string();
            LAST_PANIC.with(|last| *last.borrow_mut() = Some(text));
        }));
    });
}
