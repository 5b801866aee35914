use serde::{Deserialize, Serialize};

/// A part of a questionnaire whose questions are asked together, such as the patient's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// The name by which features refer to it.
    pub name: String,
    /// What a person reads above its questions.
    pub label: String,
    /// Why its missing answers tell the diagnosis, where they do: a block that is only filled in for patients who had a
    /// biopsy says, by being empty, that there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leak: Option<String>,
}

impl Block {
    /// A block that is not known to leak.
    pub fn new(name: &str, label: &str) -> Self {
        Self { name: name.to_owned(), label: label.to_owned(), leak: None }
    }

    /// The block, marked as telling the diagnosis by what is missing in it.
    #[must_use]
    pub fn leaking(self, reason: &str) -> Self {
        Self { leak: Some(reason.to_owned()), ..self }
    }
}

/// A column of a dataset that must never be an input, such as whether a biopsy was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Excluded {
    /// The column.
    pub name: String,
    /// Why.
    pub reason: String,
}
