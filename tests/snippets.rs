//! Every example, and every piece of C in the pages, is what a compiler takes.

use crate::support::{
    c_program::{compiler_flags, shared_library},
    package_file,
    pages::{Block, Page, user_pages},
};
use std::{fs, path::Path, process::Command};
use tempfile::TempDir;

const STRICT: [&str; 6] = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"];

/// What a piece of a program may take for granted: a device, and a status.
const PRELUDE: &str = "#define _POSIX_C_SOURCE 200809L
#include <inttypes.h>
#include <losant.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
";

/// A block with `main` is a program as it stands. Of any other, definitions that begin with `static` or `struct NAME {` at
/// the start of a line stand at the top level, and the rest is the body of a function with `device` and `status`.
fn program(block: &Block) -> String {
    if block.text.contains("int main(") {
        return block.text.clone();
    }
    let (mut top, mut body, mut inside) = (String::new(), String::new(), false);
    for line in block.text.lines() {
        inside |= line.starts_with("static ") || (line.starts_with("struct ") && line.ends_with('{'));
        let part = if inside { &mut top } else { &mut body };
        part.push_str(line);
        part.push('\n');
        inside &= !line.starts_with('}');
    }
    format!(
        "{PRELUDE}{top}losant_status snippet(losant_device *device);\n\
         losant_status snippet(losant_device *device) {{\nlosant_status status;\n(void)device;\n{body}return status;\n}}\n"
    )
}

/// Compiles a file with all warnings; what comes out, if anything does, is linked to the library.
fn compile(place: &str, file: &Path, flags: &[&str]) {
    let mut gcc = Command::new("gcc");
    gcc.args(STRICT).args(flags).arg("-I").arg(package_file("include")).arg(file);
    if !flags.contains(&"-fsyntax-only") {
        gcc.args(compiler_flags().split_whitespace()).arg(shared_library()).arg("-o").arg(file.with_extension("out"));
    }
    let output = gcc.output().expect("gcc is installed");
    assert!(output.status.success(), "{place}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_piece_of_c_in_the_pages_compiles() {
    let dir = TempDir::new().unwrap();
    let (mut programs, mut pieces) = (0, 0);
    for block in user_pages().iter().flat_map(|page| page.blocks("c")) {
        let file = dir.path().join("snippet.c");
        fs::write(&file, program(&block)).unwrap();
        if block.text.contains("int main(") {
            compile(&block.place, &file, &[]);
            programs += 1;
        } else {
            compile(&block.place, &file, &["-Wno-unused-but-set-variable", "-fsyntax-only"]);
            pieces += 1;
        }
    }
    assert!(programs >= 1 && pieces >= 10, "only {programs} programs and {pieces} pieces were found");
}

#[test]
fn every_example_compiles_without_a_warning_and_links() {
    let dir = TempDir::new().unwrap();
    let mut examples = 0;
    for entry in fs::read_dir(package_file("examples-c")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "c") {
            let copy = dir.path().join(path.file_name().unwrap());
            fs::copy(&path, &copy).unwrap();
            compile(&path.display().to_string(), &copy, &["-pthread"]);
            examples += 1;
        }
    }
    assert!(examples >= 4, "only {examples} examples were found");
}

/// Rustdoc would take its shell commands for Rust; so the page repeats an example of the documentation, which compiles.
#[test]
fn the_simulators_page_shows_its_documented_example() {
    let source = fs::read_to_string(package_file("simulator/src/lib.rs")).unwrap();
    let documented: String = source
        .lines()
        .filter_map(|line| line.strip_prefix("//! "))
        .skip_while(|line| !line.starts_with("```"))
        .filter(|line| !line.starts_with("```") && !line.starts_with("# "))
        .flat_map(|line| [line, "\n"])
        .collect();
    assert_eq!(Page::read("simulator/README.md").blocks("rust").remove(0).text, documented);
}

#[test]
fn a_piece_is_split_into_definitions_and_statements() {
    let text = "static int one(void) {\n    return 1;\n}\n\nstatus = one();\n".to_owned();
    let whole = program(&Block { place: String::new(), text });
    let definition = whole.find("static int one").unwrap();
    let function = whole.find("losant_status snippet").unwrap();
    let statement = whole.find("status = one();").unwrap();
    assert!(definition < function && function < statement, "{whole}");
}
