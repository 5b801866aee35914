use serde::{Deserialize, Deserializer};

/// Reads the variant without fields of an enum that is told by a key of its own, and refuses any further key: serde
/// would pass over those, whatever `deny_unknown_fields` says.
pub(crate) fn no_fields<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct NoFields {}
    NoFields::deserialize(deserializer).map(|NoFields {}| ())
}
