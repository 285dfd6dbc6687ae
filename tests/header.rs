//! What a C author reads and includes.

use crate::support::{CProgram, Lane, c_program::dynamic_section, in_every_lane, interface, package_file};
use std::{fs, process::Command};
use tempfile::TempDir;

#[test]
fn it_compiles_alone_and_twice_in_every_dialect() {
    let dir = TempDir::new().unwrap();
    for (compiler, language, standard) in [
        ("gcc", "c", "c99"),
        ("gcc", "c", "c11"),
        ("gcc", "c", "c17"),
        ("g++", "c++", "c++17"),
        ("g++", "c++", "c++20"),
    ] {
        let file = dir.path().join("alone.c");
        fs::write(&file, "#include \"losant.h\"\n#include \"losant.h\"\n").unwrap();
        let output = Command::new(compiler)
            .args(["-x", language, &format!("-std={standard}"), "-fsyntax-only"])
            .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I"])
            .arg(package_file("include"))
            .arg(&file)
            .output()
            .expect("the compiler is installed");
        assert!(output.status.success(), "{standard}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn it_opens_with_the_contract() {
    let header = interface::header_text();
    let contract = header.split("#ifndef LOSANT_H").next().unwrap();
    for word in ["Objects", "Strings", "Errors", "Threads", "Callbacks", "Shutdown", "Version"] {
        assert!(contract.contains(&format!(" * {word} ")), "the contract says nothing of {word}");
    }
}

#[test]
fn everything_in_it_is_documented() {
    let declarations = interface::declarations();
    assert!(declarations.len() > 100, "only {} declarations were found in the header", declarations.len());
    for declaration in &declarations {
        assert!(!declaration.doc.is_empty(), "not documented: {}", declaration.text);
    }
}

#[test]
fn every_parameter_and_every_result_is_explained() {
    let functions = interface::functions();
    assert!(functions.len() > 20, "only {} functions were found in the header", functions.len());
    for function in functions {
        for parameter in function.parameters() {
            assert!(
                function.doc.contains(&format!("@param {parameter} ")),
                "{} does not explain {parameter}",
                function.name()
            );
        }
        assert!(function.doc.contains("@return "), "{} does not explain its result", function.name());
    }
}

#[test]
fn programs_record_the_library_by_its_abi_version() {
    let dynamic = dynamic_section();
    assert!(dynamic.contains("Library soname: [liblosant.so.0.1]"), "{dynamic}");
}

/// The macros of the header and the library that runs tell the same version, and it is the package's.
fn version(lane: Lane) {
    let output = CProgram::start("version", lane, &[] as &[&str]).finish();
    assert_eq!(output, [env!("CARGO_PKG_VERSION")]);
}

in_every_lane!(version);
