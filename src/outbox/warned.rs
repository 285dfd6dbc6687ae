//! Which attributes were warned of already.

use crate::json::excerpt;
use std::collections::BTreeSet;

/// Of so many attributes at most: names may be made of data.
const MOST: usize = 100;

#[derive(Debug, Default)]
pub(super) struct Warned(BTreeSet<String>);

impl Warned {
    /// Whether an attribute is to be warned of: the first time.
    pub fn is_new(&mut self, attribute: &str) -> bool {
        self.0.len() < MOST && self.0.insert(excerpt(attribute))
    }
}
