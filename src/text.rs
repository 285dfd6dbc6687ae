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

/// Bytes with a NUL behind them, which may be no text at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CBytes(Box<[u8]>);

impl CBytes {
    /// NUL-terminated; lives as long as these bytes, which may be moved meanwhile.
    pub(crate) fn as_c_ptr(&self) -> *const c_char {
        self.0.as_ptr().cast()
    }
}

impl From<&[u8]> for CBytes {
    fn from(bytes: &[u8]) -> Self {
        let mut copy = Vec::with_capacity(bytes.len() + 1);
        copy.extend_from_slice(bytes);
        copy.push(0);
        CBytes(copy.into_boxed_slice())
    }
}

impl Deref for CBytes {
    type Target = [u8];

    /// Without the NUL behind them.
    fn deref(&self) -> &[u8] {
        self.0.split_last().map_or(&[], |(_, bytes)| bytes)
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
