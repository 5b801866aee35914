//! Reads a recipe: YAML, then `key.path=value` overrides, then a typed structure in which every unknown key is
//! an error that names the nearest known one.

use std::fmt;
use std::fs;
use std::path::Path;

use derm_core::FileError;
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{self, DeserializeOwned, EnumAccess, IntoDeserializer, VariantAccess, Visitor};
use serde_json::{Map, Value};

use crate::Error;

/// Similarity (Jaro-Winkler, in [0, 1]) from which a known key is offered for an unknown one.
const NEAR: f64 = 0.7;

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
    let mut root: Value = if text.trim().is_empty() {
        Value::Object(Map::new())
    } else {
        serde_saphyr::from_str(text).map_err(|error| not_yaml(error.to_string()))?
    };
    if !root.is_object() {
        return Err(not_yaml("expected a mapping of keys to values".to_owned()));
    }
    for text in overrides {
        set(&mut root, text)?;
    }
    let mut track = serde_path_to_error::Track::new();
    let node = serde_path_to_error::Deserializer::new(Node(root), &mut track);
    T::deserialize(node).map_err(|error| {
        let path = track.path().to_string();
        match error {
            NodeError::UnknownField { field, known } => {
                // The path ends in the unknown key itself where the tracker has seen it.
                let parent = path.strip_suffix(&field).unwrap_or(&path).trim_end_matches('.');
                let key = if parent.is_empty() || parent == "." {
                    field.clone()
                } else {
                    format!("{parent}.{field}")
                };
                Error::UnknownKey { origin: origin.to_owned(), key, hint: hint(&field, known) }
            }
            NodeError::Other(reason) => Error::Key { origin: origin.to_owned(), key: path, reason },
        }
    })
}

/// `did you mean …?` where a known key is near, else the list of known keys.
fn hint(field: &str, known: &[&str]) -> String {
    let nearest = known
        .iter()
        .map(|&key| (strsim::jaro_winkler(field, key), key))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(similarity, _)| *similarity >= NEAR);
    match nearest {
        Some((_, key)) => format!("did you mean `{key}`?"),
        None => format!("known keys are {}", known.join(", ")),
    }
}

fn set(root: &mut Value, text: &str) -> Result<(), Error> {
    let wrong = |reason: &str| Error::Override { text: text.to_owned(), reason: reason.to_owned() };
    let (path, value) = text.split_once('=').ok_or_else(|| wrong("expected key.path=value"))?;
    let value: Value = if value.is_empty() {
        Value::Null
    } else {
        serde_saphyr::from_str(value).map_err(|error| wrong(&error.to_string()))?
    };
    let mut node = root;
    let mut keys = path.split('.').peekable();
    while let Some(key) = keys.next() {
        if key.is_empty() {
            return Err(wrong("a key is empty"));
        }
        // A section that the file leaves out, or sets to null, is opened by the override.
        if node.is_null() {
            *node = Value::Object(Map::new());
        }
        let Value::Object(map) = node else {
            return Err(wrong(&format!("`{key}` lies below a value that is no mapping")));
        };
        let entry = map.entry(key).or_insert(Value::Null);
        if keys.peek().is_none() {
            *entry = value;
            return Ok(());
        }
        node = entry;
    }
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

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self::UnknownField { field: field.to_owned(), known }
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        Self::Other(format!("unknown value `{variant}`; {}", hint(variant, known)))
    }
}

/// A JSON value that deserialises with [`NodeError`].
struct Node(Value);

impl<'de> de::Deserializer<'de> for Node {
    type Error = NodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NodeError> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Number(value) => match (value.as_u64(), value.as_i64()) {
                (Some(value), _) => visitor.visit_u64(value),
                (None, Some(value)) => visitor.visit_i64(value),
                (None, None) => visitor.visit_f64(value.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(value) => visitor.visit_string(value),
            Value::Array(values) => visitor.visit_seq(SeqDeserializer::new(values.into_iter().map(Node))),
            Value::Object(map) => visitor
                .visit_map(MapDeserializer::new(map.into_iter().map(|(key, value)| (key, Node(value))))),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NodeError> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
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
        match self.0 {
            Value::String(variant) => visitor.visit_enum(Variant { variant, content: Value::Null }),
            Value::Object(map) if map.len() == 1 => match map.into_iter().next() {
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
    content: Value,
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = NodeError;
    type Variant = Content;

    fn variant_seed<T: de::DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Content), NodeError> {
        let variant = seed.deserialize(self.variant.into_deserializer())?;
        Ok((variant, Content(self.content)))
    }
}

struct Content(Value);

impl<'de> VariantAccess<'de> for Content {
    type Error = NodeError;

    fn unit_variant(self) -> Result<(), NodeError> {
        match self.0 {
            Value::Null => Ok(()),
            other => Err(de::Error::custom(format!("expected no settings, got {other}"))),
        }
    }

    fn newtype_variant_seed<T: de::DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, NodeError> {
        seed.deserialize(Node(self.0))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, NodeError> {
        de::Deserializer::deserialize_any(Node(self.0), visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NodeError> {
        match self.0 {
            Value::Null => de::Deserializer::deserialize_any(Node(Value::Object(Map::new())), visitor),
            settings => de::Deserializer::deserialize_any(Node(settings), visitor),
        }
    }
}
