//! Wrong arguments and wrong handles are answered, never followed; what else needs no network. The programs judge
//! themselves.

use crate::support::{CProgram, Lane, broker::free_port, in_every_lane, interface::functions, package_file};
use std::fs;

fn wrong_handles(lane: Lane) {
    CProgram::start("handles", lane, &[] as &[&str]).finish();
}

/// The program above must grow with the interface.
#[test]
fn wrong_handles_are_tried_with_every_function() {
    let read = |name| fs::read_to_string(package_file(name)).unwrap();
    let program = [read("tests/c/support/every_function.h"), read("tests/c/handles/handles.c")].concat();
    for function in functions().iter().filter(|function| function.parameters().first() == Some(&"device")) {
        let call = format!("{}(device", function.name());
        assert!(program.contains(&call), "tests/c/support/every_function.h does not try {}", function.name());
    }
}

/// Every function may be called while another thread frees the device. Nobody listens at the port.
fn handles_of_devices_that_others_free(lane: Lane) {
    let rounds = if lane == Lane::Valgrind { "200" } else { "20000" };
    CProgram::start("handle_race", lane, &["127.0.0.1", &free_port().to_string(), rounds]).finish();
}

fn wrong_arguments(lane: Lane) {
    CProgram::start("arguments", lane, &[] as &[&str]).finish();
}

fn times(lane: Lane) {
    CProgram::start("times", lane, &[] as &[&str]).finish();
}

fn log_changed_while_others_log(lane: Lane) {
    CProgram::start("log_change", lane, &[] as &[&str]).finish();
}

in_every_lane!(
    wrong_handles,
    handles_of_devices_that_others_free,
    wrong_arguments,
    times,
    log_changed_while_others_log
);

#[test]
fn the_page_of_the_tests_names_them_all() {
    let page = fs::read_to_string(package_file("tests/README.md")).unwrap();
    let names = |directory: &str| -> Vec<String> {
        let entries = fs::read_dir(package_file(directory)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    for file in names("tests").into_iter().filter(|name| name.ends_with(".rs") && name != "main.rs") {
        assert!(page.contains(&format!("`{file}`")), "tests/README.md says nothing of {file}");
    }
    for folder in names("tests/c") {
        assert!(page.contains(&format!("`c/{folder}")), "tests/README.md says nothing of c/{folder}");
    }
}
