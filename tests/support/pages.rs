//! The project's pages: what they say in code.

use super::package_file;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A Markdown file.
pub struct Page {
    /// Below the package.
    pub path: PathBuf,
    pub text: String,
}

/// A code block with a language.
pub struct Block {
    /// File and line, for messages.
    pub place: String,
    pub text: String,
}

impl Page {
    pub fn read(path: impl AsRef<Path>) -> Page {
        let text = fs::read_to_string(package_file("").join(&path)).unwrap_or_else(|e| {
            panic!("{}: {e}", path.as_ref().display());
        });
        Page { path: path.as_ref().to_owned(), text }
    }

    /// The blocks that are fenced as this language.
    pub fn blocks(&self, language: &str) -> Vec<Block> {
        let (mut found, mut open): (Vec<Block>, bool) = (Vec::new(), false);
        for (number, line) in self.text.lines().enumerate() {
            match (line.strip_prefix("```"), found.last_mut()) {
                (Some(""), _) => open = false,
                (Some(fence), _) if fence == language => {
                    open = true;
                    let place = format!("{}:{}", self.path.display(), number + 1);
                    found.push(Block { place, text: String::new() });
                }
                (None, Some(block)) if open => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                _ => {}
            }
        }
        found
    }

    /// What stands between backticks within a line.
    pub fn code_spans(&self) -> Vec<&str> {
        let mut fenced = false;
        let mut spans = Vec::new();
        for line in self.text.lines() {
            if line.starts_with("```") {
                fenced = !fenced;
            } else if !fenced {
                spans.extend(line.split('`').skip(1).step_by(2));
            }
        }
        spans
    }

    /// The targets of its links.
    pub fn links(&self) -> Vec<&str> {
        self.text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect()
    }

    /// The names that other pages may link to, as GitHub makes them of headings.
    pub fn anchors(&self) -> Vec<String> {
        let headings = self.text.lines().filter(|line| line.starts_with('#'));
        headings
            .map(|line| {
                let text = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
                text.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
            })
            .collect()
    }
}

/// The pages for users of the library.
pub fn user_pages() -> Vec<Page> {
    let mut pages = vec![Page::read("README.md")];
    let mut names: Vec<PathBuf> =
        fs::read_dir(package_file("docs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    pages.extend(names.iter().map(|name| Page::read(name.strip_prefix(package_file("")).unwrap())));
    pages
}

/// All pages of this package.
pub fn all_pages() -> Vec<Page> {
    let mut pages = user_pages();
    for name in [
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "tests/README.md",
        "tests/abi/README.md",
        "simulator/README.md",
    ] {
        pages.push(Page::read(name));
    }
    pages
}

/// The words in a text: letters, digits and underscores.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}
