//! Every promise is tested on the shared library, on the static one, and under valgrind; what needs a broker, over every
//! transport too.

use super::broker::Listener;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// The shared library, over plain TCP like the two below.
    Shared,
    Static,
    Valgrind,
    /// The shared library over TLS, WebSocket, and WebSocket over TLS.
    Tls,
    Ws,
    Wss,
    TlsUnderValgrind,
}

impl Lane {
    /// The broker's listener that the device uses.
    pub fn listener(self) -> Listener {
        match self {
            Lane::Shared | Lane::Static | Lane::Valgrind => Listener::Tcp,
            Lane::Tls | Lane::TlsUnderValgrind => Listener::Tls,
            Lane::Ws => Listener::Ws,
            Lane::Wss => Listener::Wss,
        }
    }

    /// As the C programs know the transport.
    pub fn transport(self) -> &'static str {
        match self {
            Lane::Shared | Lane::Static | Lane::Valgrind => "tcp",
            Lane::Tls | Lane::TlsUnderValgrind => "tls",
            Lane::Ws => "ws",
            Lane::Wss => "wss",
        }
    }

    /// The ways to run a device that a test tries in this lane. Valgrind is slow, so there it is two that have little
    /// in common, unless LOSANT_ALL_UNDER_VALGRIND is set.
    pub fn ways(self) -> &'static [&'static str] {
        if self == Lane::Valgrind && std::env::var_os("LOSANT_ALL_UNDER_VALGRIND").is_none() {
            &["epoll", "start"]
        } else {
            &WAYS
        }
    }
}

/// Makes a test for each lane over plain TCP of functions that take a [`Lane`].
macro_rules! in_every_lane {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            crate::support::lane::lane_tests!($name: shared Shared, statically_linked Static, under_valgrind Valgrind);
        }
    )+};
}

/// The same, and a test for each other transport.
macro_rules! over_every_transport {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            crate::support::lane::lane_tests!(
                $name: shared Shared, statically_linked Static, under_valgrind Valgrind, over_tls Tls, over_ws Ws, over_wss Wss
            );
        }
    )+};
}

macro_rules! lane_tests {
    ($name:ident: $($test:ident $lane:ident),+) => {$(
        #[test]
        fn $test() {
            super::$name(crate::support::Lane::$lane);
        }
    )+};
}

pub(crate) use {in_every_lane, lane_tests, over_every_transport};

/// The ways to run a device, as the C programs call them: `epoll` is `loop` from an event loop of the host's own.
const WAYS: [&str; 4] = ["blocking", "loop", "epoll", "start"];
