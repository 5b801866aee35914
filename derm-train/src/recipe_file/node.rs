//! A value of a YAML file, and how it becomes a typed structure.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{
    self, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde::{Deserialize, Deserializer};

use super::hint;

/// What goes wrong between a value and a type. serde's own error types keep an unknown field only as prose.
#[derive(Debug)]
pub(crate) enum NodeError {
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
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Mapping(BTreeMap<String, Node>),
}

impl Node {
    /// A section without keys.
    pub(crate) fn empty() -> Self {
        Self::Mapping(BTreeMap::new())
    }

    /// This value with `over` laid over it: mappings key by key, everything else replaced.
    pub(crate) fn overlaid(self, over: Self) -> Self {
        match (self, over) {
            (Self::Mapping(mut below), Self::Mapping(over)) => {
                for (key, value) in over {
                    let merged = match below.remove(&key) {
                        Some(base) => base.overlaid(value),
                        None => value,
                    };
                    below.insert(key, merged);
                }
                Self::Mapping(below)
            }
            (_, over) => over,
        }
    }

    /// The value at a key, `a.b.c`. A section that is not there, or nothing, is opened.
    ///
    /// # Errors
    /// Says what is wrong with the key.
    pub(crate) fn at(&mut self, path: &str) -> Result<&mut Self, String> {
        let mut node = self;
        for key in path.split('.') {
            if key.is_empty() {
                return Err("a key is empty".to_owned());
            }
            if matches!(node, Self::Null) {
                *node = Self::empty();
            }
            let Self::Mapping(map) = node else {
                return Err(format!("`{key}` lies below a value that is no mapping"));
            };
            node = map.entry(key.to_owned()).or_insert(Self::Null);
        }
        Ok(node)
    }

    /// Whether no number in it is NaN or infinite.
    pub(crate) fn is_finite(&self) -> bool {
        match self {
            Self::Float(value) => value.is_finite(),
            Self::List(values) => values.iter().all(Self::is_finite),
            Self::Mapping(map) => map.values().all(Self::is_finite),
            _ => true,
        }
    }

    /// Whether there is a section of that name.
    pub(crate) fn has_section(&self, name: &str) -> bool {
        matches!(self, Self::Mapping(map) if matches!(map.get(name), Some(Self::Mapping(_))))
    }

    /// Whether a key, `a.b.c` with `[i]` for the places of lists, is set here.
    pub(crate) fn sets(&self, path: &str) -> bool {
        let mut node = self;
        for key in path.split('.') {
            match node {
                Self::Mapping(map) => match map.get(key.split('[').next().unwrap_or(key)) {
                    Some(below) => node = below,
                    None => return false,
                },
                // A value that stands where a section should be, and the inside of a list, are this file's.
                _ => return true,
            }
        }
        true
    }
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
            // A name that is set to nothing takes the choice of a base away.
            Self::Mapping(mut map) if map.len() > 1 => {
                map.retain(|_, settings| !matches!(settings, Self::Null));
                if map.len() > 1 {
                    let names: Vec<String> = map.into_keys().collect();
                    let reason = format!("expected one name with its settings, got {}", names.join(" and "));
                    return Err(de::Error::custom(reason));
                }
                Self::Mapping(map).deserialize_enum("", &[], visitor)
            }
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
