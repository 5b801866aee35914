//! Reads a recipe: YAML, then `key.path=value` overrides, then a typed structure in which every unknown key is
//! an error that names the nearest known one.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use derm_core::FileError;
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{
    self, DeserializeOwned, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, Unexpected, VariantAccess,
    Visitor,
};
use serde::{Deserialize, Deserializer};
use serde_saphyr::options::NonFiniteFloatPolicy;

use crate::Error;

/// Similarity (Damerau-Levenshtein, a share of the longer name's letters, in [0, 1]) from which a known key is
/// offered for an unknown one.
const NEAR: f64 = 0.5;

/// Reads the YAML file at `path` and sets each `key.path=value` of `overrides`; the value is YAML as well.
///
/// # Errors
/// [`Error::File`], [`Error::Yaml`] for what is no YAML mapping, [`Error::Override`] for an override that is no
/// `key=value`, [`Error::UnknownKey`] and [`Error::Key`] for what the recipe does not allow.
pub(crate) fn read<T: DeserializeOwned>(path: &Path, overrides: &[String]) -> Result<T, Error> {
    let text = fs::read_to_string(path).map_err(FileError::at(path, "read"))?;
    parse(&text, &path.display().to_string(), overrides)
}

/// The same on a text; `origin` names it in errors.
pub(crate) fn parse<T: DeserializeOwned>(text: &str, origin: &str, overrides: &[String]) -> Result<T, Error> {
    let not_yaml = |reason: String| Error::Yaml { origin: origin.to_owned(), reason };
    let mut root: Node = if text.trim().is_empty() { Node::Null } else { yaml(text).map_err(not_yaml)? };
    // A file of comments alone says nothing.
    if matches!(root, Node::Null) {
        root = Node::Mapping(BTreeMap::new());
    }
    if !matches!(root, Node::Mapping(_)) {
        return Err(not_yaml(format!("expected a mapping of keys to values, got {root}")));
    }
    for text in overrides {
        set(&mut root, text)?;
    }
    let mut track = serde_path_to_error::Track::new();
    let node = serde_path_to_error::Deserializer::new(root, &mut track);
    T::deserialize(node).map_err(|error| {
        let path = track.path().to_string();
        match error {
            NodeError::UnknownField { field, known } => {
                // The path ends in the unknown key itself where the tracker has seen it.
                let parent = path.strip_suffix(&field).unwrap_or(&path).trim_end_matches('.');
                let key = if parent.is_empty() { field.clone() } else { format!("{parent}.{field}") };
                Error::UnknownKey { origin: origin.to_owned(), key, hint: hint(&field, "keys", known) }
            }
            NodeError::Other(reason) => Error::Key { origin: origin.to_owned(), key: path, reason },
        }
    })
}

/// Numbers that are not finite pass here, so that they are refused under the name of their key.
fn yaml(text: &str) -> Result<Node, String> {
    let options = serde_saphyr::options! { non_finite_float_policy: NonFiniteFloatPolicy::PassThrough };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
}

/// `did you mean …?` where a known key or value is near, else the list of those known.
fn hint(field: &str, what: &str, known: &[&str]) -> String {
    let nearest = known
        .iter()
        .map(|&key| (strsim::normalized_damerau_levenshtein(field, key), key))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(similarity, _)| *similarity >= NEAR);
    match nearest {
        Some((_, key)) => format!("did you mean `{key}`?"),
        None => format!("known {what} are {}", known.join(", ")),
    }
}

fn set(root: &mut Node, text: &str) -> Result<(), Error> {
    let wrong = |reason: &str| Error::Override { text: text.to_owned(), reason: reason.to_owned() };
    let (path, value) = text.split_once('=').ok_or_else(|| wrong("expected key.path=value"))?;
    let value: Node =
        if value.is_empty() { Node::Null } else { yaml(value).map_err(|reason| wrong(&reason))? };
    let mut node = root;
    for key in path.split('.') {
        if key.is_empty() {
            return Err(wrong("a key is empty"));
        }
        // A section that the file leaves out, or sets to null, is opened by the override.
        if matches!(node, Node::Null) {
            *node = Node::Mapping(BTreeMap::new());
        }
        let Node::Mapping(map) = node else {
            return Err(wrong(&format!("`{key}` lies below a value that is no mapping")));
        };
        node = map.entry(key.to_owned()).or_insert(Node::Null);
    }
    *node = value;
    Ok(())
}

/// What goes wrong between a value and a type. serde's own error types keep an unknown field only as prose.
#[derive(Debug)]
enum NodeError {
    UnknownField { field: String, known: &'static [&'static str] },
    Other(String),
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownField { field, .. } => write!(f, "unknown key `{field}`"),
            Self::Other(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for NodeError {}

impl de::Error for NodeError {
    fn custom<T: fmt::Display>(reason: T) -> Self {
        Self::Other(reason.to_string())
    }

    fn invalid_type(got: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let expected = expected.to_string();
        let expected = if expected.starts_with("struct ") { "a section of keys" } else { &expected };
        match got {
            Unexpected::Unit => Self::Other(format!("expected {expected}, got nothing")),
            got => Self::Other(format!("expected {expected}, got {got}")),
        }
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self::UnknownField { field: field.to_owned(), known }
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        Self::Other(format!("unknown value `{variant}`; {}", hint(variant, "values", known)))
    }
}

/// A value of a YAML file, which deserialises with [`NodeError`]. Unlike JSON's it keeps `.nan` and `.inf`.
#[derive(Debug, Clone)]
enum Node {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Mapping(BTreeMap<String, Node>),
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("nothing"),
            Self::Bool(value) => write!(f, "`{value}`"),
            Self::Unsigned(value) => write!(f, "`{value}`"),
            Self::Signed(value) => write!(f, "`{value}`"),
            Self::Float(value) => write!(f, "`{value}`"),
            Self::Text(value) => write!(f, "{value:?}"),
            Self::List(_) => f.write_str("a list"),
            Self::Mapping(_) => f.write_str("a mapping"),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(u64::try_from(value).map_or(Node::Signed(value), Node::Unsigned))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element()? {
            values.push(value);
        }
        Ok(Node::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut values = BTreeMap::new();
        while let Some((key, value)) = map.next_entry::<String, Node>()? {
            if values.contains_key(&key) {
                return Err(de::Error::custom(format!("the key `{key}` stands twice")));
            }
            values.insert(key, value);
        }
        Ok(Node::Mapping(values))
    }
}

impl<'de> Deserializer<'de> for Node {
    type Error = NodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NodeError> {
        match self {
            Self::Null => visitor.visit_unit(),
            Self::Bool(value) => visitor.visit_bool(value),
            Self::Unsigned(value) => visitor.visit_u64(value),
            Self::Signed(value) => visitor.visit_i64(value),
            Self::Float(value) => visitor.visit_f64(value),
            Self::Text(value) => visitor.visit_string(value),
            Self::List(values) => visitor.visit_seq(SeqDeserializer::new(values.into_iter())),
            Self::Mapping(map) => visitor.visit_map(MapDeserializer::new(map.into_iter())),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NodeError> {
        if matches!(self, Self::Null) { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, NodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NodeError> {
        match self {
            Self::Text(variant) => visitor.visit_enum(Variant { variant, content: Self::Null }),
            Self::Mapping(map) if map.len() == 1 => match map.into_iter().next() {
                Some((variant, content)) => visitor.visit_enum(Variant { variant, content }),
                None => Err(de::Error::custom("expected a name")),
            },
            other => {
                Err(de::Error::custom(format!("expected a name, or one name with its settings, got {other}")))
            }
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl IntoDeserializer<'_, NodeError> for Node {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

struct Variant {
    variant: String,
    content: Node,
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = NodeError;
    type Variant = Content;

    fn variant_seed<T: de::DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Content), NodeError> {
        let variant = seed.deserialize(self.variant.into_deserializer())?;
        Ok((variant, Content(self.content)))
    }
}

struct Content(Node);

impl<'de> VariantAccess<'de> for Content {
    type Error = NodeError;

    fn unit_variant(self) -> Result<(), NodeError> {
        match self.0 {
            Node::Null => Ok(()),
            other => Err(de::Error::custom(format!("expected no settings, got {other}"))),
        }
    }

    fn newtype_variant_seed<T: de::DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, NodeError> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, NodeError> {
        self.0.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NodeError> {
        match self.0 {
            Node::Null => Node::Mapping(BTreeMap::new()).deserialize_any(visitor),
            settings => settings.deserialize_any(visitor),
        }
    }
}
