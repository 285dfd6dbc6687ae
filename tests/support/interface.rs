//! The C interface as its texts tell: the declarations in the header, the exports in the source.

use super::package_file;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A type, enumerator, field or function of the header, with the comment before it.
pub struct Declaration {
    pub doc: String,
    pub text: String,
}

impl Declaration {
    pub fn is_function(&self) -> bool {
        !self.text.starts_with("typedef") && self.text.contains('(')
    }

    /// The name of a function.
    pub fn name(&self) -> &str {
        last_word(self.text.split('(').next().unwrap_or_default())
    }

    /// The parameters of a function.
    pub fn parameters(&self) -> Vec<&str> {
        let list = self.text.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')).map_or("", |(list, _)| list);
        list.split(',').map(last_word).filter(|name| !name.is_empty() && *name != "void").collect()
    }
}

fn last_word(text: &str) -> &str {
    let text = text.trim_end();
    let start = text.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(0, |at| at + 1);
    &text[start..]
}

pub fn header_text() -> String {
    fs::read_to_string(package_file("include/losant.h")).expect("the header is there")
}

/// Everything that the header declares, macros apart.
pub fn declarations() -> Vec<Declaration> {
    let header = header_text();
    let (_, body) = header.split_once("#ifndef LOSANT_H").expect("the header has a guard");
    let mut found = Vec::new();
    let (mut doc, mut text, mut in_comment) = (String::new(), String::new(), false);
    for line in body.lines().map(str::trim) {
        if in_comment || line.starts_with("/*") {
            if line.starts_with("/**") {
                doc.clear();
            }
            in_comment = !line.ends_with("*/");
            doc.push_str(line.trim_start_matches("/**").trim_start_matches("* ").trim_end_matches("*/"));
            doc.push('\n');
        } else if line.starts_with('#') {
            doc.clear();
        } else if !line.is_empty() && !line.starts_with('}') && line != "extern \"C\" {" {
            text.push_str(line);
            text.push(' ');
            if line.ends_with([';', ',', '{']) && text.matches('(').count() == text.matches(')').count() {
                found.push(Declaration {
                    doc: std::mem::take(&mut doc).trim().to_owned(),
                    text: text.trim().to_owned(),
                });
                text.clear();
            }
        }
    }
    found
}

pub fn functions() -> Vec<Declaration> {
    declarations().into_iter().filter(Declaration::is_function).collect()
}

/// An exported function in the source.
pub struct Export {
    pub name: String,
    pub body: String,
}

/// Every function in src/ffi that is exported by its name.
pub fn exports() -> Vec<Export> {
    let mut found = Vec::new();
    for (_, text) in sources("src/ffi") {
        for after in text.split("#[unsafe(no_mangle)]").skip(1) {
            let (head, rest) = after.split_once('{').expect("a function has a body");
            let (_, signature) = head.split_once("fn ").expect("only functions are exported");
            let name = signature.split('(').next().unwrap_or_default().to_owned();
            let (body, _) = rest.split_once("\n}\n").expect("a body has an end");
            found.push(Export { name, body: body.to_owned() });
        }
    }
    found
}

/// The Rust files below a directory of this package.
pub fn sources(below: &str) -> Vec<(PathBuf, String)> {
    fn collect(dir: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(dir).expect("the directory is there").flatten() {
            let path = entry.path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("the source can be read");
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    collect(&package_file(below), &mut found);
    found
}
