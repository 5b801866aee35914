//! Which dataset a recipe names.

use std::fmt;

use derm_data::readers::Source;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where the records come from: `synthetic`, or a reader of [`derm_data::readers`] by its name.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum DatasetSource {
    /// Drawn by the program.
    #[default]
    Synthetic,
    /// A published dataset, or a table of one's own.
    Read(Source),
}

const SYNTHETIC: &str = "synthetic";

/// Every name, for the error of an unknown one.
static NAMES: [&str; Source::NAMES.len() + 1] = {
    let mut names = [SYNTHETIC; Source::NAMES.len() + 1];
    let mut reader = 0;
    while reader < Source::NAMES.len() {
        names[reader + 1] = Source::NAMES[reader];
        reader += 1;
    }
    names
};

/// The reader that has settings of its own.
const CSV: &str = "csv";

impl Serialize for DatasetSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Synthetic => serializer.serialize_str(SYNTHETIC),
            Self::Read(source) => source.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for DatasetSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SourceVisitor)
    }
}

/// Tells `synthetic` from a reader's name, so that an error names the readers.
struct SourceVisitor;

impl<'de> Visitor<'de> for SourceVisitor {
    type Value = DatasetSource;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`synthetic`, the name of a reader, or `csv:` with a table's columns")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<DatasetSource, E> {
        if name == SYNTHETIC {
            return Ok(DatasetSource::Synthetic);
        }
        if !NAMES.contains(&name) {
            return Err(E::unknown_variant(name, &NAMES));
        }
        if name == CSV {
            return Err(E::custom(
                "the columns of the table are missing: expected `csv: {table: …, label: …}`",
            ));
        }
        Source::deserialize(StrDeserializer::new(name)).map(DatasetSource::Read)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<DatasetSource, A::Error> {
        Source::deserialize(MapAccessDeserializer::new(map)).map(DatasetSource::Read)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_name_but_csv_stands_alone_and_is_written_as_it_is_read() {
        for name in NAMES.iter().filter(|name| **name != CSV) {
            let text = serde_json::to_string(name).unwrap();
            let source: DatasetSource = serde_json::from_str(&text).unwrap();
            assert_eq!(serde_json::to_string(&source).unwrap(), text);
        }
        let unknown = serde_json::from_str::<DatasetSource>("\"pictures\"").unwrap_err().to_string();
        assert!(NAMES.iter().all(|name| unknown.contains(name)), "{unknown}");
    }
}
