//! Ready questionnaires.

use super::{Feature, FeatureSchema};
use crate::Error;

/// Sites of HAM10000's column `localization`.
const LOCALIZATIONS: [&str; 14] = [
    "abdomen",
    "acral",
    "back",
    "chest",
    "ear",
    "face",
    "foot",
    "genital",
    "hand",
    "lower extremity",
    "neck",
    "scalp",
    "trunk",
    "upper extremity",
];

/// What HAM10000 knows of a patient: `age`, `sex` and `localization`. `unknown` and the empty cell are missing.
///
/// # Errors
/// None in practice; the schema is checked as any other.
pub fn ham10000() -> Result<FeatureSchema, Error> {
    FeatureSchema::new(
        vec![
            Feature::numeric("age", "How old is the patient?", "years", 0.0, 120.0),
            Feature::choice("sex", "What is the patient's sex?", &["female", "male"], &[]),
            Feature::choice("localization", "Where on the body is the lesion?", &LOCALIZATIONS, &[]),
        ],
        &["unknown"],
    )
}

/// What the synthetic patients are asked.
///
/// # Errors
/// None in practice; the schema is checked as any other.
pub fn synthetic() -> Result<FeatureSchema, Error> {
    let sites = ["face", "scalp", "trunk", "arm", "leg", "hand_foot"];
    let sun = ["low", "moderate", "high"];
    FeatureSchema::new(
        vec![
            Feature::numeric("age", "How old is the patient?", "years", 0.0, 120.0),
            Feature::choice(
                "sex",
                "What is the patient's sex?",
                &["female", "male"],
                &[("f", "female"), ("m", "male")],
            ),
            Feature::choice("body_site", "Where on the body is the lesion?", &sites, &[]),
            Feature::numeric("duration_months", "For how long has it been there?", "months", 0.0, 1200.0),
            Feature::boolean("itch", "Does it itch?"),
            Feature::boolean("bleeding", "Has it bled?"),
            Feature::boolean("growth", "Has it grown in the last months?"),
            Feature::boolean("pain", "Does it hurt?"),
            Feature::choice("sun_exposure", "How much sun does the skin there get?", &sun, &[]),
        ],
        &["unknown"],
    )
}
