//! What the pages name is there: functions, files, commands, sections.

use crate::support::{
    interface::{Declaration, functions, header_text, sources},
    package_file,
    pages::{Page, all_pages, user_pages, words},
};
use std::{collections::BTreeSet, fs, path::Path};

#[test]
fn the_names_of_the_interface_are_in_the_header() {
    let header = header_text();
    let known: BTreeSet<&str> = words(&header).collect();
    for page in all_pages() {
        for word in words(&page.text) {
            let of_the_interface =
                ["losant_", "LOSANT_ERR_", "LOSANT_EVENT_", "LOSANT_TRANSPORT_", "LOSANT_WHEN_FULL_"]
                    .iter()
                    .any(|prefix| word.starts_with(prefix) && word.len() > prefix.len());
            let is_the_crate = word == "losant_simulator";
            assert!(!of_the_interface || is_the_crate || known.contains(word), "{}: {word}", page.path.display());
        }
    }
}

#[test]
fn every_function_is_on_a_page() {
    let pages = user_pages();
    let named: BTreeSet<&str> = pages.iter().flat_map(|page| words(&page.text)).collect();
    let functions = functions();
    let missing: Vec<&str> = functions.iter().map(Declaration::name).filter(|name| !named.contains(name)).collect();
    // The version is the contract page's.
    assert_eq!(missing, ["losant_version"], "functions that neither the README nor docs/ names");
}

#[test]
fn links_lead_somewhere() {
    for page in all_pages() {
        for link in page.links().into_iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() {
                page.path.clone()
            } else {
                page.path.parent().unwrap_or(Path::new("")).join(file)
            };
            assert!(package_file("").join(&target).exists(), "{}: {link}", page.path.display());
            if !anchor.is_empty() {
                let anchors = Page::read(&target).anchors();
                assert!(anchors.iter().any(|known| known == anchor), "{}: {link}, of {anchors:?}", page.path.display());
            }
        }
    }
}

#[test]
fn commands_are_targets_of_make() {
    let makefile = fs::read_to_string(package_file("Makefile")).unwrap();
    let mut found = 0;
    for page in all_pages() {
        let lines = page.text.lines().filter_map(|line| line.strip_prefix("    "));
        for command in page.code_spans().into_iter().chain(lines) {
            let command = command.strip_prefix("sudo ").unwrap_or(command);
            if let Some(target) = command.strip_prefix("make ").and_then(|rest| rest.split_whitespace().next()) {
                assert!(makefile.contains(&format!("\n{target}:")), "{}: make {target}", page.path.display());
                found += 1;
            }
        }
    }
    assert!(found >= 10, "only {found} commands were found");
}

/// The pages that are about the source.
fn source_pages() -> Vec<Page> {
    ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "tests/README.md"].map(Page::read).into()
}

#[test]
fn files_are_there() {
    let endings = [".rs", ".c", ".h", ".md", ".toml", ".supp", "/"];
    let mut found = 0;
    for page in source_pages() {
        let own = page.path.parent().unwrap_or(Path::new("")).to_owned();
        for name in page.code_spans() {
            let is_path = endings.iter().any(|ending| name.ends_with(ending))
                && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
            if is_path {
                let below = ["".as_ref(), "src".as_ref(), "tests/c/support".as_ref(), own.as_path()];
                let exists = below.iter().any(|below| package_file("").join(below).join(name).exists());
                assert!(exists, "{}: {name}", page.path.display());
                found += 1;
            }
        }
    }
    assert!(found >= 40, "only {found} files were found");
}

/// Whether the source has this item: `module::name` in the files of the module, `Type::name` in one that has the type.
fn is_in_source(sources: &[(String, String)], owner: &str, name: &str) -> bool {
    let is_module = owner.starts_with(|c: char| c.is_lowercase());
    sources.iter().any(|(path, text)| {
        let holds_owner = if is_module {
            path.split('/').any(|part| part == owner || part.strip_suffix(".rs") == Some(owner))
        } else {
            ["struct", "enum", "trait", "impl", "for"]
                .iter()
                .any(|keyword| follows(text, keyword, owner) || text.contains(&format!("impl<'a> {owner}")))
        };
        let is_variant = || text.lines().any(|line| !line.contains("//") && words(line).next() == Some(name));
        let keywords = ["fn", "struct", "enum", "trait", "type", "const", "mod"];
        holds_owner && (keywords.iter().any(|keyword| follows(text, keyword, name)) || (!is_module && is_variant()))
    })
}

/// Whether this word stands right behind that one.
fn follows(text: &str, before: &str, word: &str) -> bool {
    let wanted = format!("{before} {word}");
    text.match_indices(&wanted).any(|(at, _)| {
        let (left, right) = (text[..at].chars().next_back(), text[at + wanted.len()..].chars().next());
        let part_of_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !part_of_word(left) && !part_of_word(right)
    })
}

#[test]
fn items_are_in_the_source() {
    let sources: Vec<(String, String)> = ["src", "tests", "simulator"]
        .iter()
        .flat_map(|below| sources(below))
        .map(|(path, text)| (path.strip_prefix(package_file("")).unwrap().display().to_string(), text))
        .collect();
    let mut found = 0;
    for page in source_pages() {
        for span in page.code_spans() {
            let is_item = span.contains("::") && span.chars().all(|c| c.is_alphanumeric() || "_:".contains(c));
            let mut parts = span.rsplit("::");
            if let (true, Some(name), Some(owner)) = (is_item, parts.next(), parts.next()) {
                // `closing::` is a part of names, not one.
                if !name.is_empty() {
                    assert!(is_in_source(&sources, owner, name), "{}: {span}", page.path.display());
                    found += 1;
                }
            }
        }
    }
    assert!(found >= 20, "only {found} items were found");
    assert!(!is_in_source(&sources, "Outbox", "pushed_nowhere") && !is_in_source(&sources, "Nowhere", "push"));
}
