#![no_main]

use std::sync::Once;

#[path = "../sequence.rs"]
mod sequence;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // The library contains panics and keeps them quiet; here one is a finding.
        losant::ffi::losant_version();
        std::panic::set_hook(Box::new(|info| {
            eprintln!("{info}\n{}", std::backtrace::Backtrace::force_capture());
            std::process::abort();
        }));
    });
    sequence::run(data);
});
