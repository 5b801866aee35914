//! One lesion with all that a clinic would have of it: photographs and answers.

use std::collections::BTreeMap;

use super::caption::captions;
use super::lesion::Lesion;
use super::person::Planned;
use super::questionnaire::answers;
use super::skin::Skin;
use super::view::View;
use crate::portable_rng::{PortableRng, Purpose};

/// Photographs, answers and captions of one lesion.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// The photographs, RGB bytes.
    pub(super) photographs: Vec<Vec<u8>>,
    /// The answers that were given.
    pub(super) answers: BTreeMap<String, String>,
    /// The caption of each photograph that has one.
    pub(super) captions: Vec<Option<String>>,
}

/// Probabilities that something was not written down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Missing {
    /// An answer.
    pub(super) answer: f64,
    /// A caption.
    pub(super) caption: f64,
}

/// Draws a planned lesion from streams of its own, so that the order in which lesions are drawn does not matter.
pub(super) fn draw(
    seed: u64,
    planned: &Planned,
    size: usize,
    views: (usize, usize),
    missing: Missing,
) -> Case {
    let number = planned.number as u64;
    // A person's skin is the same under each of their lesions.
    let mut skin_rng = PortableRng::new(seed, Purpose::Patient, 1, planned.person.number as u64);
    let skin = Skin::draw(planned.person.fitzpatrick, &mut skin_rng);
    let lesion =
        Lesion::draw(planned.diagnosis, skin, &mut PortableRng::new(seed, Purpose::Lesion, 0, number));
    let mut rng = PortableRng::new(seed, Purpose::Views, 0, number);
    let count = views.0 + rng.below(views.1 - views.0 + 1);
    let photographs: Vec<_> = (0..count)
        .map(|_| View::draw(planned.person.hairiness, &mut rng).photograph(&lesion, size))
        .collect();
    let mut rng = PortableRng::new(seed, Purpose::Answers, 0, number);
    let answers = answers(planned.diagnosis, &planned.person, missing.answer, &mut rng);
    let site = answers.get("body_site").map(String::as_str);
    let captions = captions(seed, number, planned.diagnosis, site, photographs.len(), missing.caption);
    Case { photographs, answers, captions }
}
