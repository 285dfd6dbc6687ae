//! What the system has none left of: told as LOSANT_ERR_SYSTEM wherever it is met, for the network is not to blame.

use super::fault;
use crate::status::{Error, Status::LOSANT_ERR_SYSTEM};
use nix::errno::Errno;
use std::io;

/// Whether the system has refused descriptors or memory. ENOSPC is the word of epoll_ctl(2) for too many watches.
pub(super) fn are_refused(e: &io::Error) -> bool {
    let errno = e.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM | Errno::ENOSPC))
}

/// The cause of an error on a stream or socket, and a sentence that begins with `what`.
pub(super) fn from_io(what: &str, e: &io::Error) -> Error {
    if are_refused(e) {
        return Error::new(LOSANT_ERR_SYSTEM, format!("{what}: {LOSANT_ERR_SYSTEM}: {e}"));
    }
    fault::from_io(what, e)
}

/// Why an established connection has gone.
pub(crate) fn lost(e: &io::Error) -> Error {
    if are_refused(e) { from_io("the connection was lost", e) } else { fault::lost(e) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status::*;

    #[test]
    fn what_the_system_refuses_is_told_from_what_the_network_does() {
        for (errno, status) in [
            (Errno::EMFILE, LOSANT_ERR_SYSTEM),
            (Errno::ENFILE, LOSANT_ERR_SYSTEM),
            (Errno::ENOBUFS, LOSANT_ERR_SYSTEM),
            (Errno::ENOMEM, LOSANT_ERR_SYSTEM),
            (Errno::ENOSPC, LOSANT_ERR_SYSTEM),
            (Errno::ENETUNREACH, LOSANT_ERR_NETWORK),
            (Errno::ECONNREFUSED, LOSANT_ERR_REFUSED),
            (Errno::ECONNRESET, LOSANT_ERR_CONNECTION_LOST),
        ] {
            let e = io::Error::from(errno);
            assert_eq!((from_io("x", &e).status, lost(&e).status), (status, status), "{errno}");
            assert!(from_io("x", &e).text.starts_with("x: "));
        }
        assert_eq!(lost(&Errno::ETIMEDOUT.into()).status, LOSANT_ERR_KEEP_ALIVE);
    }
}
