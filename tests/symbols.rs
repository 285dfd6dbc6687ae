//! What the library shows to the linker, and how it is guarded.

use crate::support::{
    c_program::shared_library,
    interface::{Declaration, exports, functions, sources},
    package_file,
};
use std::{collections::BTreeSet, process::Command};

fn nm(options: &[&str]) -> String {
    let output = Command::new("nm").args(options).arg(shared_library()).output().expect("nm is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_library_exports_what_the_header_declares_and_the_source_means_to() {
    let exported: BTreeSet<String> =
        nm(&["-D", "--defined-only"]).lines().filter_map(|line| line.split(' ').nth(2)).map(str::to_owned).collect();
    let declared: BTreeSet<String> = functions().iter().map(Declaration::name).map(str::to_owned).collect();
    let meant: BTreeSet<String> = exports().into_iter().map(|export| export.name).collect();
    assert!(exported.contains("losant_device_new"), "{exported:?}");
    assert_eq!(exported, declared);
    assert_eq!(exported, meant);
}

#[test]
fn every_export_is_guarded_against_panics_under_its_own_name() {
    for export in exports() {
        // Constants of the function may stand before it.
        let statements: Vec<&str> =
            export.body.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("const ")).collect();
        let call = statements.join(" ");
        assert!(call.starts_with("guard(") || call.starts_with("guard_or("), "{} is not guarded", export.name);
        assert!(call.contains(&format!("\"{}\"", export.name)), "{} is guarded under another name", export.name);
        assert!(call.ends_with(')'), "{} goes on after its guard", export.name);
    }
}

#[test]
fn nothing_is_unsafe_but_the_c_interface_and_the_page_that_tells_of_forks() {
    // In `testing`, which is not shipped, the C interface is called as C calls it.
    let unsafe_ones = ["src/ffi", "src/process.rs", "src/testing"].map(package_file);
    for (path, text) in sources("src") {
        if unsafe_ones.iter().any(|unsafe_one| path.starts_with(unsafe_one)) {
            continue;
        }
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            let mut words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            assert!(!words.any(|word| word == "unsafe"), "{}: {line}", path.display());
        }
    }
}

/// What it imports, it could call. `tests/c/process/handlers.c` sees what is called, by OpenSSL too.
#[test]
fn the_library_has_no_means_to_change_its_host() {
    let imported = nm(&["-D", "--undefined-only"]);
    let imported: BTreeSet<&str> = imported
        .lines()
        .filter_map(|line| line.split_whitespace().last())
        .map(|name| name.split('@').next().unwrap_or_default())
        .collect();
    assert!(imported.contains("pthread_sigmask"), "{imported:?}");
    for name in [
        "__cxa_atexit",
        "atexit",
        "on_exit",
        "__cxa_at_quick_exit",
        "__register_atfork",
        "pthread_atfork",
        "signal",
        "sigaction",
        "setenv",
        "putenv",
        "unsetenv",
        "clearenv",
        "exit",
        "_exit",
        "setlocale",
        "chdir",
        "umask",
    ] {
        assert!(!imported.contains(name), "it imports {name}");
    }
}

#[test]
fn no_async_runtime_is_linked_in() {
    let symbols = nm(&["-C"]);
    if symbols.is_empty() {
        // A release build has none left; the build of every other profile tells.
        return;
    }
    assert!(symbols.contains("mio::poll::Poll"), "the library's own symbols can be seen");
    let foreign: Vec<&str> = symbols.lines().filter(|line| line.contains("tokio::runtime")).collect();
    assert_eq!(foreign, [] as [&str; 0]);
}
