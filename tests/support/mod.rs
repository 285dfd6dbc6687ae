//! What the tests have in common: brokers, observers and C programs, each the real thing.

pub mod broker;
pub mod c_program;
pub mod certificates;
pub mod dark;
pub mod fake_broker;
pub mod interface;
pub mod lane;
pub mod pages;
pub mod process;
pub mod proxy;
pub mod slow_link;
pub mod subscriber;
pub mod tls_server;

pub use broker::{Broker, Listener};
pub use c_program::CProgram;
pub use fake_broker::{Answers, FakeBroker};
pub use lane::Lane;
pub(crate) use lane::{in_every_lane, over_every_transport};
pub use process::Process;
pub use proxy::{Manner, Proxy};
pub use subscriber::Subscriber;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// How long a test waits for what must happen. Long enough for valgrind on a busy machine: only failures take it.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// What every test broker lets in.
pub const DEVICE_ID: &str = "507f191e810c19729de860ea";
pub const KEY: &str = "7c6f2a9e";
pub const SECRET: &str = "b1946ac92492d234";

/// The same with the length that the platform's have.
pub const LONG_KEY: &str = "0f9c5a1e-3c5d-4f0a-9b8e-6d2f7c1a4e55";
pub const LONG_SECRET: &str = "9e107d9d372bb6826bd81d3542a419d6e4d909c290d0fb1ca068ffaddf22cbd0";

pub fn state_topic() -> String {
    format!("losant/{DEVICE_ID}/state")
}

pub fn command_topic() -> String {
    format!("losant/{DEVICE_ID}/command")
}

/// A time, milliseconds since 1970, that the platform takes: an hour ago.
pub fn recent_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    since.as_millis() as i64 - 3_600_000
}

/// Waits for what nobody announces.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A file of this package.
pub fn package_file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The directory of the libraries: LOSANT_TEST_LIBRARIES, or where cargo has put them, beside this test program.
pub fn library_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("LOSANT_TEST_LIBRARIES") {
        return dir.into();
    }
    let program = std::env::current_exe().expect("this program has a path");
    program.parent().expect("and is in a directory").to_owned()
}
