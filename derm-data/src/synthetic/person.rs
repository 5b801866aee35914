//! The people who have the lesions.

use super::diagnosis::Diagnosis;
use super::questionnaire::habits;
use super::skin::FITZPATRICK_WEIGHTS;
use crate::portable_rng::{PortableRng, Purpose};

/// A synthetic patient.
#[derive(Clone, Debug)]
pub(super) struct Person {
    /// Number, from 0.
    pub(super) number: usize,
    /// Age in years.
    pub(super) age: u32,
    /// `female` or `male`.
    pub(super) sex: &'static str,
    /// Fitzpatrick type, 0 to 5.
    pub(super) fitzpatrick: usize,
    /// In [0, 1].
    pub(super) hairiness: f64,
}

/// One lesion to be drawn: its diagnosis and whose it is.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    /// Number, from 0; it names the random streams.
    pub(super) number: usize,
    /// What it truly is.
    pub(super) diagnosis: Diagnosis,
    /// Whose it is.
    pub(super) person: Person,
}

/// Share of the patients who show two lesions.
const TWO_LESIONS: f64 = 0.12;

/// Decides the diagnosis of every lesion (exact class shares, at least `min_per_class` each, in random order) and
/// whose it is.
pub(super) fn plan(seed: u64, num_lesions: usize, min_per_class: usize) -> Vec<Planned> {
    let mut diagnoses = Vec::with_capacity(num_lesions);
    for diagnosis in Diagnosis::ALL {
        if diagnosis != Diagnosis::MelanocyticNevus {
            let count = (num_lesions * diagnosis.per_mille() + 500) / 1000;
            diagnoses.extend(std::iter::repeat_n(diagnosis, count.max(min_per_class)));
        }
    }
    // The commonest class takes what is left.
    let left = num_lesions.saturating_sub(diagnoses.len()).max(min_per_class);
    diagnoses.extend(std::iter::repeat_n(Diagnosis::MelanocyticNevus, left));
    PortableRng::new(seed, Purpose::Classes, 0, 0).shuffle(&mut diagnoses);

    let mut planned: Vec<Planned> = Vec::with_capacity(diagnoses.len());
    let (mut number, mut open) = (0, false);
    for (lesion, diagnosis) in diagnoses.into_iter().enumerate() {
        let before = planned.last().map(|before| before.person.clone()).filter(|_| open);
        let person = if let Some(person) = before {
            open = false;
            person
        } else {
            let mut rng = PortableRng::new(seed, Purpose::Patient, 0, number as u64);
            let person = Person::draw(number, diagnosis, &mut rng);
            open = rng.chance(TWO_LESIONS);
            number += 1;
            person
        };
        planned.push(Planned { number: lesion, diagnosis, person });
    }
    planned
}

impl Person {
    fn draw(number: usize, diagnosis: Diagnosis, rng: &mut PortableRng) -> Self {
        let habits = habits(diagnosis);
        let age = (habits.age.0 + habits.age.1 * rng.bell()).clamp(4.0, 95.0).floor() as u32;
        let sex = if rng.chance(habits.male) { "male" } else { "female" };
        let fitzpatrick = rng.weighted(&FITZPATRICK_WEIGHTS);
        let hairiness = if rng.chance(0.45) { 0.0 } else { rng.fraction() };
        Self { number, age, sex, fitzpatrick, hairiness }
    }
}
