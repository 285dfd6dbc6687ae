//! The binary interface, held against the record in `tests/abi/record.txt`: what programs that were compiled once go by.

use crate::support::{interface, package_file};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::Path,
    process::Command,
};
use tempfile::TempDir;

/// Of each machine, the compiler that lays structs out for it. Its libraries are not needed.
const MACHINES: [(&str, &[&str]); 3] = [
    ("64-bit", &["clang", "--target=x86_64-linux-gnu"]),
    ("32-bit arm", &["clang", "--target=armv7-linux-gnueabihf"]),
    ("32-bit x86", &["clang", "--target=i686-linux-gnu"]),
];

/// Each struct with its members, each enum with its values, in the order of the header.
fn types(opening: &str) -> Vec<(String, Vec<String>)> {
    let header = interface::header_text();
    let mut found = Vec::new();
    for body in header.split(opening).skip(1) {
        let (body, rest) = body.split_once("\n} ").expect("a type has an end");
        let name = rest.split(';').next().unwrap_or_default().to_owned();
        let code: String = body.lines().filter(|line| !line.trim_start().starts_with(['*', '/'])).collect();
        let last_word = |text: &str| -> String {
            let declared = text.split('=').next().unwrap_or_default();
            declared.rsplit([' ', '*']).find(|word| !word.is_empty()).unwrap_or_default().to_owned()
        };
        let members = code.split([';', ',']).map(str::trim).filter(|text| !text.is_empty()).map(last_word).collect();
        found.push((name, members));
    }
    found
}

/// What these constant expressions are on a machine: they become sizes of variables, which nm tells.
fn evaluate(compiler: &[&str], expressions: &[String], dir: &Path) -> Vec<u64> {
    let mut program = String::from("#include \"losant.h\"\n");
    for (number, expression) in expressions.iter().enumerate() {
        writeln!(program, "char value_{number}[{expression} + 1];").unwrap();
    }
    let (source, object) = (dir.join("abi.c"), dir.join("abi.o"));
    fs::write(&source, program).unwrap();
    let output = Command::new(compiler[0])
        .args(&compiler[1..])
        .args(["-std=c99", "-ffreestanding", "-fno-common", "-c", "-I"])
        .arg(package_file("include"))
        .arg(&source)
        .arg("-o")
        .arg(&object)
        .output()
        .expect("clang is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let symbols = Command::new("nm").args(["-S", "--defined-only"]).arg(&object).output().expect("nm is installed");
    let mut values = BTreeMap::new();
    for line in String::from_utf8_lossy(&symbols.stdout).lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [_, size, _, name] = words.as_slice() {
            let number: usize = name.strip_prefix("value_").unwrap().parse().unwrap();
            values.insert(number, u64::from_str_radix(size, 16).unwrap() - 1);
        }
    }
    assert_eq!(values.len(), expressions.len(), "{}", String::from_utf8_lossy(&symbols.stderr));
    values.into_values().collect()
}

/// The interface as it is now, in the form of the record.
fn present() -> String {
    let dir = TempDir::new().unwrap();
    let mut text = String::new();
    for function in interface::functions() {
        writeln!(text, "symbol {}", function.name()).unwrap();
    }
    for (name, values) in types("typedef enum {") {
        // Lower than any value.
        let expressions: Vec<String> = values.iter().map(|value| format!("{value} + 10000")).collect();
        for (value, number) in values.iter().zip(evaluate(MACHINES[0].1, &expressions, dir.path())) {
            writeln!(text, "enum {name} {value} {}", number as i64 - 10_000).unwrap();
        }
    }
    for (name, members) in types("typedef struct {") {
        let mut expressions = vec![format!("sizeof({name})")];
        expressions.extend(members.iter().map(|member| format!("offsetof({name}, {member})")));
        let columns = MACHINES.map(|(_, compiler)| evaluate(compiler, &expressions, dir.path()));
        for (row, what) in ["sizeof".to_owned()].into_iter().chain(members).enumerate() {
            let [large, arm, x86] = &columns;
            writeln!(text, "struct {name} {what} {} {} {}", large[row], arm[row], x86[row]).unwrap();
        }
    }
    text
}

/// A line of the record without its numbers.
fn names(text: &str) -> BTreeSet<&str> {
    text.lines().map(|line| line.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ' || c == '-')).collect()
}

#[test]
fn the_record_holds() {
    let file = package_file("tests/abi/record.txt");
    let present = present();
    if std::env::var_os("LOSANT_RECORD_ABI").is_some() {
        fs::write(&file, &present).unwrap();
    }
    let record = fs::read_to_string(&file).unwrap();
    let (recorded, there) = (names(&record), names(&present));
    let gone: Vec<_> = recorded.difference(&there).collect();
    assert!(gone.is_empty(), "gone from the interface: {gone:?}");
    let new: Vec<_> = there.difference(&recorded).collect();
    assert!(new.is_empty(), "new, see tests/abi/README.md: {new:?}");
    assert_eq!(present, record, "numbers, sizes or places have changed: see tests/abi/README.md");
}

#[test]
fn structs_that_cross_begin_with_their_size_and_have_members_of_fixed_width() {
    let header = interface::header_text();
    for body in header.split("typedef struct {").skip(1) {
        let body = body.split("\n}").next().unwrap();
        let members: Vec<&str> =
            body.lines().map(str::trim).filter(|line| line.ends_with(';') && !line.starts_with('*')).collect();
        assert_eq!(members[0], "uint32_t size;");
        for member in members {
            let fixed =
                ["uint32_t ", "int32_t ", "uint64_t ", "int64_t "].iter().any(|width| member.starts_with(width));
            assert!(fixed || member.contains('*'), "{member}");
        }
    }
}
