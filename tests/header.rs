//! What a C author reads and includes.

use crate::support::{CProgram, Lane, c_program::dynamic_section, in_every_lane, interface, package_file};
use std::{fs, process::Command};
use tempfile::TempDir;

/// The dialects that programs may be written in.
const DIALECTS: [(&str, &str, &str); 10] = [
    ("gcc", "c", "c99"),
    ("gcc", "c", "c11"),
    ("gcc", "c", "c17"),
    ("clang", "c", "c99"),
    ("clang", "c", "c11"),
    ("clang", "c", "c17"),
    ("g++", "c++", "c++11"),
    ("g++", "c++", "c++20"),
    ("clang++", "c++", "c++11"),
    ("clang++", "c++", "c++20"),
];

/// Compiles in every dialect, with all that compilers have to say being an error.
fn compile_everywhere(program: &str) {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("program.c");
    fs::write(&file, program).unwrap();
    for (compiler, language, standard) in DIALECTS {
        let output = Command::new(compiler)
            .args(["-x", language, &format!("-std={standard}"), "-fsyntax-only"])
            .args(["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wsign-compare", "-Werror", "-I"])
            .arg(package_file("include"))
            .arg(&file)
            .output()
            .unwrap_or_else(|e| panic!("{compiler} is installed: {e}"));
        assert!(output.status.success(), "{compiler} {standard}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn it_compiles_alone_and_twice_in_every_dialect() {
    compile_everywhere("#include \"losant.h\"\n#include \"losant.h\"\n");
}

/// What a program does with structs, enums and macros needs no casts.
#[test]
fn it_is_used_without_a_warning_in_every_dialect() {
    compile_everywhere(
        r#"
#include "losant.h"
#include <stdio.h>
#include <string.h>

#if LOSANT_VERSION_NUMBER < LOSANT_MAKE_VERSION(0, 1, 0)
#error "too old"
#endif

static void on_event(losant_device *device, const losant_event *event, void *user_data)
{
    size_t *heard = (size_t *)user_data;
    switch (event->type) {
    case LOSANT_EVENT_COMMAND:
        *heard += fwrite(event->payload, 1, event->payload_len, stdout);
        break;
    case LOSANT_EVENT_ERROR:
        if (event->status == LOSANT_ERR_TIMED_OUT && event->stage == LOSANT_STAGE_TCP) {
            puts(losant_status_string(event->status));
        }
        break;
    default:
        *heard += event->size;
    }
    (void)losant_device_is_connected(device);
}

static void on_log(int level, const char *message, size_t length, void *user_data)
{
    (void)user_data;
    if (level <= LOSANT_LOG_WARN) {
        fwrite(message, 1, length, stderr);
    }
}

int main(void)
{
    size_t heard = 0;
    losant_device *device = NULL;
    losant_status status = losant_device_new("id", "key", "secret", &device);
    if (status != LOSANT_OK || losant_set_log_callback(on_log, LOSANT_LOG_WARN, NULL) != LOSANT_OK) {
        return 1;
    }
    status = losant_device_set_transport(device, LOSANT_TRANSPORT_WEBSOCKETS);
    status = losant_device_set_when_full(device, LOSANT_WHEN_FULL_REFUSE_NEWEST);
    status = losant_device_add_event_observer(device, LOSANT_EVENT_COMMAND, on_event, &heard, NULL);
    losant_state state = LOSANT_STATE_INIT;
    const char *json = "{\"temperature\": 21.5}";
    uint64_t id = 0;
    state.json = json;
    state.json_len = strlen(json);
    state.time_ms = -500;
    status = losant_device_send(device, &state, &id);
    losant_stats stats;
    status = losant_device_stats(device, &stats, sizeof stats);
    if (stats.connection_state == LOSANT_CONNECTION_WAITING && stats.last_error == LOSANT_ERR_RESOLVE) {
        printf("%lu waiting\n", (unsigned long)stats.queued);
    }
    return losant_device_free(device) == LOSANT_OK && status == LOSANT_OK ? 0 : 1;
}
"#,
    );
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
