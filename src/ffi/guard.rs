//! What stands between the library and the host: no panic passes, every failure is logged before the return.

use crate::{
    defect,
    process::ProcessId,
    status::{
        Error,
        Status::{self, *},
    },
};

/// Runs the body of an exported function. The detail of a failure goes to the log on this thread.
pub(super) fn guard(function: &str, body: impl FnOnce() -> Result<(), Error>) -> Status {
    let mut body = Some(body);
    guarded(function, &mut || body.take().map_or(Ok(()), |body| body()))
}

/// One copy of what all guards do: forty would be a tenth of the library.
#[inline(never)]
fn guarded(function: &str, body: &mut dyn FnMut() -> Result<(), Error>) -> Status {
    defect::keep_quiet();
    let process = ProcessId::current();
    let outcome = defect::contain(body);
    if process.is_past() {
        // A child that has come back from a callback: what it was called for is its parent's affair.
        return LOSANT_ERR_FORKED;
    }
    let failure = match outcome {
        Ok(Ok(())) => return LOSANT_OK,
        Ok(Err(failure)) => failure,
        Err(what) => contained(&what),
    };
    ::log::error!("{function}: {}", failure.text);
    failure.status
}

/// The same for functions that do not return a status.
pub(super) fn guard_or<T>(fallback: T, function: &str, body: impl FnOnce() -> T) -> T {
    defect::keep_quiet();
    defect::contain(body).unwrap_or_else(|what| {
        ::log::error!("{function}: {}", contained(&what).text);
        fallback
    })
}

fn contained(what: &str) -> Error {
    Error::new(LOSANT_ERR_INTERNAL, format!("a defect in liblosant was contained, please report it: {what}"))
}
