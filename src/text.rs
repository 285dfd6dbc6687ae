//! Text that C can read where it lies.

use std::{ffi::c_char, fmt, ops::Deref};

/// UTF-8 text with a NUL behind it. It may hold NUL bytes itself; its length tells where it ends.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CText(Box<str>);

impl CText {
    /// The text, without the NUL behind it.
    pub fn as_str(&self) -> &str {
        self
    }

    /// NUL-terminated; lives as long as this text, which may be moved meanwhile.
    pub(crate) fn as_c_ptr(&self) -> *const c_char {
        self.0.as_ptr().cast()
    }
}

impl From<String> for CText {
    fn from(mut text: String) -> Self {
        text.push('\0');
        CText(text.into_boxed_str())
    }
}

impl From<&str> for CText {
    fn from(text: &str) -> Self {
        let mut copy = String::with_capacity(text.len() + 1);
        copy.push_str(text);
        copy.into()
    }
}

impl Deref for CText {
    type Target = str;

    /// Without the NUL behind it.
    fn deref(&self) -> &str {
        self.0.strip_suffix('\0').unwrap_or_default()
    }
}

impl PartialEq<str> for CText {
    fn eq(&self, other: &str) -> bool {
        **self == *other
    }
}

impl PartialEq<&str> for CText {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

impl PartialEq<String> for CText {
    fn eq(&self, other: &String) -> bool {
        **self == **other
    }
}

impl fmt::Debug for CText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for CText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_stands_behind_the_text_and_counts_for_nothing() {
        for text in ["", "a", "é", "a\0b", "\0"] {
            for text in [CText::from(text), CText::from(text.to_owned())] {
                assert_eq!(text.0.as_bytes().last(), Some(&0));
                assert_eq!(text.0.len(), text.len() + 1);
            }
            assert_eq!(CText::from(text), text);
        }
    }
}
