//! The contract page that opens the header: each sentence names its test in `tests/README.md`.

use crate::support::{interface, package_file};
use std::{collections::BTreeSet, fs, path::Path};

/// The sentences of the page, each with the word that its paragraph begins with.
fn sentences() -> Vec<String> {
    let header = interface::header_text();
    let page = header.split("THE CONTRACT").nth(1).and_then(|rest| rest.split("*/").next()).expect("there is a page");
    let mut paragraphs: Vec<(String, String)> = Vec::new();
    for line in page.lines().filter_map(|line| line.strip_prefix(" * ")) {
        match line.split_once(' ') {
            Some((word, text)) if !word.is_empty() => paragraphs.push((word.to_owned(), text.trim().to_owned())),
            _ => {
                let (_, text) = paragraphs.last_mut().expect("a paragraph begins with its word");
                text.push(' ');
                text.push_str(line.trim());
            }
        }
    }
    let of = |(word, text): &(String, String)| -> Vec<String> {
        let ended = format!("{text} ");
        ended.split_terminator(". ").map(|sentence| format!("{word}: {sentence}.")).collect()
    };
    paragraphs.iter().flat_map(of).collect()
}

/// The names of all functions in test code.
fn functions() -> BTreeSet<String> {
    fn collect(dir: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let names = text.split("fn ").skip(1).filter_map(|rest| rest.split('(').next());
                found.extend(names.map(str::to_owned));
            }
        }
    }
    let mut found = BTreeSet::new();
    ["tests", "src"].iter().for_each(|dir| collect(&package_file(dir), &mut found));
    found
}

#[test]
fn each_sentence_names_its_tests() {
    let page = fs::read_to_string(package_file("tests/README.md")).unwrap();
    let section = page.split("## The contract page and its tests").nth(1).expect("there is a table");
    let rows: Vec<(&str, &str)> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "))
        .filter(|(sentence, _)| *sentence != "sentence")
        .collect();
    let listed: Vec<&str> = rows.iter().map(|(sentence, _)| *sentence).collect();
    assert_eq!(listed, sentences(), "the table has the sentences of the page, in order");
    let functions = functions();
    for (sentence, tests) in rows {
        for test in tests.split(", ") {
            let name = test.trim_matches('`');
            assert!(functions.contains(name), "{sentence}: there is no test {name}");
        }
    }
}
