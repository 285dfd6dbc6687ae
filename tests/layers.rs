//! The order of the modules in ARCHITECTURE.md, held against every import in `src`: none goes up.

use crate::support::{interface::sources, package_file};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

/// Of each module, which line of the list it stands on; the top one is 0.
fn layers() -> BTreeMap<String, usize> {
    let text = fs::read_to_string(package_file("ARCHITECTURE.md")).unwrap();
    let list = text.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).expect("there is a list");
    let mut layers = BTreeMap::new();
    for (depth, line) in list.lines().enumerate() {
        let names = line.split("  ").next().unwrap();
        for name in names.split_whitespace().take(line[..16].split_whitespace().count()) {
            layers.insert(name.to_owned(), depth);
        }
    }
    layers
}

/// The modules that a file names after `crate::`, also in braces. Comments and test code are left out.
fn imports(text: &str) -> BTreeSet<String> {
    let production = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let mut code = String::new();
    let mut lines = production.lines();
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            // What belongs to tests is the next statement.
            let _ = lines.by_ref().find(|line| line.ends_with([';', ',', '}', '{']));
        } else if !line.trim_start().starts_with("//") {
            code.push_str(line);
            code.push('\n');
        }
    }
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            None => drop(found.insert(first_name(rest))),
            Some(list) => found.extend(top_level_names(list)),
        }
    }
    found
}

fn first_name(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The names at the first level of a list in braces, whose opening brace is gone.
fn top_level_names(list: &str) -> Vec<String> {
    let (mut names, mut depth, mut begins) = (Vec::new(), 0, true);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            _ if depth == 0 && begins && c.is_alphabetic() => {
                names.push(first_name(&list[at..]));
                begins = false;
            }
            _ => {}
        }
    }
    names
}

#[test]
fn every_import_goes_down() {
    let layers = layers();
    let mut seen = BTreeSet::new();
    for (path, text) in sources("src") {
        let inside = path.strip_prefix(package_file("src")).unwrap();
        let module = inside.components().next().unwrap().as_os_str().to_string_lossy().replace(".rs", "");
        if module == "lib" || module == "testing" {
            continue;
        }
        let own = *layers.get(&module).unwrap_or_else(|| panic!("{module} is not in ARCHITECTURE.md"));
        seen.insert(module.clone());
        for import in imports(&text).into_iter().filter(|import| *import != module) {
            let below = layers.get(&import).unwrap_or_else(|| {
                panic!("{}: crate::{import} is no module of ARCHITECTURE.md", inside.display());
            });
            assert!(*below > own, "{}: imports {import}, which is not below {module}", inside.display());
        }
    }
    let listed: BTreeSet<String> = layers.into_keys().collect();
    assert_eq!(listed, seen, "ARCHITECTURE.md lists what is there");
}

#[test]
fn lists_are_read() {
    let text = "use crate::{\n    a::{b, c},\n    d,\n    e::f::{g},\n};\nlet x = crate::h::i();\n// crate::no\n\
                #[cfg(test)]\nuse crate::testing;\n#[cfg(test)]\nmod tests { use crate::up; }";
    let expected: BTreeSet<String> = ["a", "d", "e", "h"].map(str::to_owned).into();
    assert_eq!(imports(text), expected);
}
