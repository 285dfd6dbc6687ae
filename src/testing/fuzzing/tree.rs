//! JSON as a tree, to compare with what the library does on the text.

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use std::fmt;

/// Unlike `serde_json::Value` it keeps every field, also of the same name, in the order sent.
#[derive(Debug, PartialEq)]
pub(super) enum Tree {
    /// null, a Boolean, a number, or a string, as Debug text.
    Leaf(String),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl Tree {
    /// `None` for what is nested too deep for a tree, and for numbers that no computer holds.
    pub fn read(json: &str) -> Option<Tree> {
        serde_json::from_str(json).ok()
    }

    /// The tree with null for every `{"$undefined": …}`.
    pub fn without_undefined(self) -> Tree {
        match self {
            Tree::Object(fields) if !fields.is_empty() && fields.iter().all(|(name, _)| name == "$undefined") => {
                Tree::Leaf("null".to_owned())
            }
            Tree::Object(fields) => {
                Tree::Object(fields.into_iter().map(|(name, value)| (name, value.without_undefined())).collect())
            }
            Tree::Array(values) => Tree::Array(values.into_iter().map(Tree::without_undefined).collect()),
            leaf @ Tree::Leaf(_) => leaf,
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

fn leaf<E>(value: impl fmt::Debug) -> Result<Tree, E> {
    Ok(Tree::Leaf(format!("{value:?}")))
}

impl<'de> Visitor<'de> for Reader {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf("null".to_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        leaf(value)
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        leaf(value)
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        leaf(value)
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        leaf(value)
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        leaf(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Tree, A::Error> {
        let mut array = Vec::new();
        while let Some(value) = values.next_element()? {
            array.push(value);
        }
        Ok(Tree::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Tree, A::Error> {
        let mut object = Vec::new();
        while let Some(field) = fields.next_entry()? {
            object.push(field);
        }
        Ok(Tree::Object(object))
    }
}
