//! Reading a [`Gamma`] by hand: serde's untagged variants would say of any mistake only that nothing matched.
use std::fmt::{Formatter, Result as FmtResult};

use serde::de::value::{EnumAccessDeserializer, MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{EnumAccess, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::Gamma;

/// What has a name in a file.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum NamedGamma {
    Linear { from: f64, to: f64 },
    Cosine { from: f64, to: f64 },
    Flsd53,
}

impl From<NamedGamma> for Gamma {
    fn from(named: NamedGamma) -> Self {
        match named {
            NamedGamma::Linear { from, to } => Self::Linear { from, to },
            NamedGamma::Cosine { from, to } => Self::Cosine { from, to },
            NamedGamma::Flsd53 => Self::Flsd53,
        }
    }
}

struct GammaVisitor;

impl<'de> Visitor<'de> for GammaVisitor {
    type Value = Gamma;

    fn expecting(&self, formatter: &mut Formatter<'_>) -> FmtResult {
        formatter.write_str("a number, one a class, `linear`, `cosine` or `flsd53`")
    }

    fn visit_f64<E: Error>(self, gamma: f64) -> Result<Gamma, E> {
        Ok(Gamma::Constant(gamma))
    }

    fn visit_i64<E: Error>(self, gamma: i64) -> Result<Gamma, E> {
        Ok(Gamma::Constant(gamma as f64))
    }

    fn visit_u64<E: Error>(self, gamma: u64) -> Result<Gamma, E> {
        Ok(Gamma::Constant(gamma as f64))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Gamma, E> {
        NamedGamma::deserialize(name.into_deserializer()).map(Gamma::from)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, gammas: A) -> Result<Gamma, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(gammas)).map(Gamma::PerClass)
    }

    fn visit_map<A: MapAccess<'de>>(self, named: A) -> Result<Gamma, A::Error> {
        NamedGamma::deserialize(MapAccessDeserializer::new(named)).map(Gamma::from)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, named: A) -> Result<Gamma, A::Error> {
        NamedGamma::deserialize(EnumAccessDeserializer::new(named)).map(Gamma::from)
    }
}

impl<'de> Deserialize<'de> for Gamma {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(GammaVisitor)
    }
}
