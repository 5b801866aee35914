use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::Error;
use crate::recipe::check::check;

/// Epochs at the beginning of a training in which a part of the network stands still.
///
/// ```yaml
/// epochs: 7
/// phases:
///   - { epochs: 1, freeze: backbone }  # the other six train everything
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhaseRecipe {
    /// How many epochs it lasts, at least 1.
    pub epochs: usize,
    /// What stands still: weights, batch-norm statistics, dropout. Default nothing.
    #[serde(default)]
    pub freeze: FreezeRecipe,
    /// Peak learning rate in these epochs, in (0, 1]; absent for `training.learning_rate`. The curve over the whole
    /// training stays: a step of the phase has `learning_rate / training.learning_rate` times its rate.
    #[serde(default)]
    pub learning_rate: Option<f64>,
}

/// Names of what is frozen: `backbone` (the image encoder), `text`, a layer group such as `stem` or `layer1.0`, or
/// the beginning of their names, such as `layer1`; one of them, a list, or `none`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct FreezeRecipe(pub Vec<String>);

impl<'de> Deserialize<'de> for FreezeRecipe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = FreezeRecipe;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("`backbone`, `text`, `none`, a layer group, or a list of them")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<FreezeRecipe, E> {
                match name {
                    "none" => Ok(FreezeRecipe::default()),
                    "" => Err(E::custom("an empty name")),
                    name => Ok(FreezeRecipe(vec![name.to_owned()])),
                }
            }

            fn visit_unit<E>(self) -> Result<FreezeRecipe, E> {
                Ok(FreezeRecipe::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<FreezeRecipe, A::Error> {
                let mut found = Vec::new();
                while let Some(name) = names.next_element::<String>()? {
                    if name.is_empty() || name == "none" {
                        return Err(A::Error::custom(
                            "a list names what is frozen; leave it empty for nothing",
                        ));
                    }
                    found.push(name);
                }
                Ok(FreezeRecipe(found))
            }
        }
        deserializer.deserialize_any(Names)
    }
}

pub(super) fn validate(phases: &[PhaseRecipe], epochs: usize) -> Result<(), Error> {
    for phase in phases {
        check("training.phases.epochs", &phase.epochs, "1 or more", |v| *v >= 1)?;
        if let Some(rate) = phase.learning_rate {
            check("training.phases.learning_rate", &rate, "above 0, at most 1", |v| *v > 0.0 && *v <= 1.0)?;
        }
    }
    let sum = phases.iter().fold(0_usize, |sum, phase| sum.saturating_add(phase.epochs));
    check("training.phases", &format!("{sum} epochs"), "at most training.epochs together", |_| sum <= epochs)
}
