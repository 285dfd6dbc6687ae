//! What stands between the library and the host: no panic passes, every failure is logged before the return.

use crate::{
    defect,
    status::{
        Error,
        Status::{self, *},
    },
};

/// Runs the body of an exported function. The detail of a failure goes to the log on this thread.
pub(crate) fn guard(function: &str, body: impl FnOnce() -> Result<(), Error>) -> Status {
    let mut body = Some(body);
    guarded(function, &mut || body.take().map_or(Ok(()), |body| body()))
}

/// One copy of what all guards do: forty would be a tenth of the library.
#[inline(never)]
fn guarded(function: &str, body: &mut dyn FnMut() -> Result<(), Error>) -> Status {
    defect::keep_quiet();
    let failure = match defect::contain(body) {
        Ok(Ok(())) => return LOSANT_OK,
        Ok(Err(failure)) => failure,
        Err(what) => contained(&what),
    };
    ::log::error!("{function}: {}", failure.text);
    failure.status
}

/// Runs the body of an exported function that does not return a status; the fallback is its answer to a defect.
pub(crate) fn guard_or<T>(fallback: T, function: &str, body: impl FnOnce() -> T) -> T {
    defect::keep_quiet();
    defect::contain(body).unwrap_or_else(|what| {
        ::log::error!("{function}: {}", contained(&what).text);
        fallback
    })
}

fn contained(what: &str) -> Error {
    Error::new(LOSANT_ERR_INTERNAL, format!("a defect in liblosant was contained, please report it: {what}"))
}
