//! What the synthetic patients answer.

use std::collections::BTreeMap;

use super::diagnosis::Diagnosis;
use super::person::Person;
use crate::portable_rng::PortableRng;

/// Body sites, in the order of [`Habits::sites`].
pub(super) const BODY_SITES: [&str; 6] = ["face", "scalp", "trunk", "arm", "leg", "hand_foot"];

/// Levels of sun exposure, in the order of [`Habits::sun`].
pub(super) const SUN_EXPOSURES: [&str; 3] = ["low", "moderate", "high"];

/// Yes-or-no questions, in the order of [`Habits::yes`].
pub(super) const YES_NO: [&str; 4] = ["itch", "bleeding", "growth", "pain"];

/// How answers are distributed under one diagnosis.
pub(super) struct Habits {
    /// Mean age in years, and the largest deviation from it.
    pub(super) age: (f64, f64),
    /// Share of men.
    pub(super) male: f64,
    sites: [f64; 6],
    yes: [f64; 4],
    /// Shortest and longest duration in months; short ones are more frequent.
    months: (f64, f64),
    sun: [f64; 3],
}

/// The distributions of a diagnosis.
pub(super) fn habits(diagnosis: Diagnosis) -> Habits {
    match diagnosis {
        Diagnosis::ActinicKeratosis => Habits {
            age: (67.0, 38.0),
            male: 0.62,
            sites: [0.38, 0.17, 0.14, 0.17, 0.06, 0.08],
            yes: [0.45, 0.14, 0.35, 0.32],
            months: (6.0, 72.0),
            sun: [0.12, 0.30, 0.58],
        },
        Diagnosis::BasalCellCarcinoma => Habits {
            age: (65.0, 42.0),
            male: 0.60,
            sites: [0.40, 0.08, 0.28, 0.11, 0.11, 0.02],
            yes: [0.25, 0.44, 0.55, 0.20],
            months: (4.0, 60.0),
            sun: [0.17, 0.36, 0.47],
        },
        Diagnosis::BenignKeratosis => Habits {
            age: (62.0, 46.0),
            male: 0.54,
            sites: [0.22, 0.08, 0.40, 0.15, 0.13, 0.02],
            yes: [0.38, 0.13, 0.30, 0.08],
            months: (18.0, 220.0),
            sun: [0.30, 0.40, 0.30],
        },
        Diagnosis::Dermatofibroma => Habits {
            age: (46.0, 46.0),
            male: 0.36,
            sites: [0.03, 0.02, 0.15, 0.25, 0.51, 0.04],
            yes: [0.25, 0.05, 0.16, 0.28],
            months: (8.0, 150.0),
            sun: [0.38, 0.40, 0.22],
        },
        Diagnosis::Melanoma => Habits {
            age: (58.0, 52.0),
            male: 0.56,
            sites: [0.12, 0.06, 0.40, 0.18, 0.20, 0.04],
            yes: [0.27, 0.28, 0.66, 0.12],
            months: (2.0, 60.0),
            sun: [0.23, 0.40, 0.37],
        },
        Diagnosis::MelanocyticNevus => Habits {
            age: (44.0, 56.0),
            male: 0.48,
            sites: [0.08, 0.03, 0.50, 0.15, 0.20, 0.04],
            yes: [0.14, 0.06, 0.22, 0.06],
            months: (12.0, 320.0),
            sun: [0.34, 0.41, 0.25],
        },
        Diagnosis::VascularLesion => Habits {
            age: (49.0, 60.0),
            male: 0.47,
            sites: [0.17, 0.09, 0.40, 0.14, 0.14, 0.06],
            yes: [0.10, 0.44, 0.26, 0.09],
            months: (4.0, 220.0),
            sun: [0.38, 0.40, 0.22],
        },
    }
}

/// The answers about one lesion; an answer that was not given is absent.
pub(super) fn answers(
    diagnosis: Diagnosis,
    person: &Person,
    missing: f64,
    rng: &mut PortableRng,
) -> BTreeMap<String, String> {
    let habits = habits(diagnosis);
    let mut given = BTreeMap::new();
    let mut answer = |key: &str, value: String, rng: &mut PortableRng| {
        if !rng.chance(missing) {
            given.insert(key.to_owned(), value);
        }
    };
    answer("age", person.age.to_string(), rng);
    answer("sex", person.sex.to_owned(), rng);
    let site = BODY_SITES[rng.weighted(&habits.sites)];
    answer("body_site", site.to_owned(), rng);
    let fraction = rng.fraction();
    let months = habits.months.0 + (habits.months.1 - habits.months.0) * fraction * fraction;
    answer("duration_months", format!("{}", months.floor() as u64), rng);
    for (question, yes) in YES_NO.iter().zip(habits.yes) {
        let value = if rng.chance(yes) { "yes" } else { "no" };
        answer(question, value.to_owned(), rng);
    }
    let sun = SUN_EXPOSURES[rng.weighted(&habits.sun)];
    answer("sun_exposure", sun.to_owned(), rng);
    given
}
