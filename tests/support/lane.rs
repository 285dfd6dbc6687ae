//! Every promise is tested on the shared library, on the static one, and under valgrind.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    Shared,
    Static,
    Valgrind,
}

impl Lane {
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

/// Makes a test for each lane of functions that take a [`Lane`].
macro_rules! in_every_lane {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            use crate::support::Lane;

            #[test]
            fn shared() {
                super::$name(Lane::Shared);
            }

            #[test]
            fn statically_linked() {
                super::$name(Lane::Static);
            }

            #[test]
            fn under_valgrind() {
                super::$name(Lane::Valgrind);
            }
        }
    )+};
}

pub(crate) use in_every_lane;

/// The ways to run a device, as the C programs call them: `epoll` is `loop` from an event loop of the host's own.
const WAYS: [&str; 4] = ["blocking", "loop", "epoll", "start"];
