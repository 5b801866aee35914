//! What a synthetic clinic writes beside a photograph.

use std::collections::BTreeSet;

use super::diagnosis::Diagnosis;
use crate::portable_rng::{PortableRng, Purpose};

/// Ways to say one thing.
type Synonyms = &'static [&'static str];

const COLOURS: [Synonyms; 6] = [
    &["brown", "tan", "chestnut"],
    &["black", "dark brown", "nearly black"],
    &["red", "crimson", "bright red"],
    &["pink", "rosy", "pale pink"],
    &["skin coloured", "pale", "flesh coloured"],
    &["purple", "bluish", "violet"],
];

const SHAPES: [Synonyms; 5] = [
    &["round", "circular"],
    &["oval", "egg shaped"],
    &["irregular", "uneven", "ragged", "asymmetric"],
    &["dome shaped", "raised"],
    &["flat", "level with the skin"],
];

const SURFACES: [Synonyms; 5] = [
    &["smooth", "soft"],
    &["scaly", "rough", "flaking"],
    &["waxy", "greasy", "stuck on"],
    &["shiny", "pearly", "glistening"],
    &["firm", "hard"],
];

const SIZES: [Synonyms; 3] =
    [&["small", "tiny", "pinhead sized"], &["medium sized", "pea sized"], &["large", "big", "broad"]];

const NOUNS: Synonyms = &["spot", "mark", "bump", "patch", "growth", "area"];

/// Words for the body sites of the questionnaire.
const SITES: [(&str, Synonyms); 6] = [
    ("face", &["face", "cheek", "forehead", "nose"]),
    ("scalp", &["scalp", "head"]),
    ("trunk", &["trunk", "back", "chest", "belly"]),
    ("arm", &["arm", "forearm", "shoulder"]),
    ("leg", &["leg", "thigh", "shin"]),
    ("hand_foot", &["hand", "foot"]),
];

/// Sentences that tell nothing of the diagnosis.
const DISTRACTORS: Synonyms = &[
    "photograph taken in the clinic",
    "seen in daylight",
    "the patient is worried",
    "no earlier treatment",
    "referred by the family doctor",
    "follow up in three months",
    "no other complaints",
];

/// How often a caption tells each thing that it may tell.
const TOLD: f64 = 0.75;
/// How often it holds a distractor, before and behind the rest.
const DISTRACTED: f64 = 0.35;

/// The words of every caption, each once, in the order of their bytes: a vocabulary for a tokenizer of one's own.
///
/// ```
/// let words = derm_data::synthetic_caption_words();
/// assert!(words.contains(&"irregular") && words.contains(&"scaly") && words.contains(&"."));
/// ```
pub fn synthetic_caption_words() -> Vec<&'static str> {
    let words: BTreeSet<&str> =
        every_phrase().flat_map(|phrase| phrase.split(' ')).chain(["on", "the", "."]).collect();
    words.into_iter().collect()
}

/// Whatever a caption may say.
fn every_phrase() -> impl Iterator<Item = &'static str> {
    let described = COLOURS.iter().chain(&SHAPES).chain(&SURFACES).chain(&SIZES);
    let sites = SITES.iter().map(|(_, words)| words);
    let phrases = described.chain(sites).chain([&NOUNS, &DISTRACTORS]);
    phrases.flat_map(|synonyms| synonyms.iter().copied())
}

/// What a person would say of a diagnosis: weights of the words' groups, in their order.
struct Looks {
    colours: [f64; 6],
    shapes: [f64; 5],
    surfaces: [f64; 5],
    sizes: [f64; 3],
}

fn looks(diagnosis: Diagnosis) -> Looks {
    match diagnosis {
        Diagnosis::ActinicKeratosis => Looks {
            colours: [0.10, 0.02, 0.46, 0.30, 0.10, 0.02],
            shapes: [0.10, 0.10, 0.27, 0.05, 0.48],
            surfaces: [0.04, 0.78, 0.06, 0.04, 0.08],
            sizes: [0.55, 0.30, 0.15],
        },
        Diagnosis::BasalCellCarcinoma => Looks {
            colours: [0.06, 0.06, 0.18, 0.42, 0.24, 0.04],
            shapes: [0.22, 0.12, 0.20, 0.40, 0.06],
            surfaces: [0.08, 0.12, 0.05, 0.67, 0.08],
            sizes: [0.25, 0.50, 0.25],
        },
        Diagnosis::BenignKeratosis => Looks {
            colours: [0.56, 0.24, 0.03, 0.04, 0.12, 0.01],
            shapes: [0.20, 0.34, 0.18, 0.20, 0.08],
            surfaces: [0.06, 0.20, 0.66, 0.03, 0.05],
            sizes: [0.12, 0.40, 0.48],
        },
        Diagnosis::Dermatofibroma => Looks {
            colours: [0.52, 0.06, 0.08, 0.26, 0.06, 0.02],
            shapes: [0.50, 0.16, 0.04, 0.26, 0.04],
            surfaces: [0.16, 0.06, 0.04, 0.04, 0.70],
            sizes: [0.55, 0.40, 0.05],
        },
        Diagnosis::Melanoma => Looks {
            colours: [0.22, 0.52, 0.07, 0.05, 0.02, 0.12],
            shapes: [0.06, 0.08, 0.64, 0.10, 0.12],
            surfaces: [0.38, 0.20, 0.06, 0.18, 0.18],
            sizes: [0.08, 0.32, 0.60],
        },
        Diagnosis::MelanocyticNevus => Looks {
            colours: [0.66, 0.18, 0.02, 0.06, 0.07, 0.01],
            shapes: [0.42, 0.32, 0.08, 0.10, 0.08],
            surfaces: [0.74, 0.06, 0.05, 0.05, 0.10],
            sizes: [0.55, 0.38, 0.07],
        },
        Diagnosis::VascularLesion => Looks {
            colours: [0.02, 0.06, 0.48, 0.05, 0.01, 0.38],
            shapes: [0.38, 0.14, 0.08, 0.30, 0.10],
            surfaces: [0.56, 0.03, 0.03, 0.30, 0.08],
            sizes: [0.55, 0.32, 0.13],
        },
    }
}

/// The captions of one lesion's photographs, an absent one for each that nobody described. They agree about the
/// lesion, and say it in words of their own; the body site is that of the answers, where it was answered.
pub(super) fn captions(
    seed: u64,
    number: u64,
    diagnosis: Diagnosis,
    body_site: Option<&str>,
    photographs: usize,
    missing: f64,
) -> Vec<Option<String>> {
    let looks = looks(diagnosis);
    let mut rng = PortableRng::new(seed, Purpose::Caption, 0, number);
    let colour = COLOURS[rng.weighted(&looks.colours)];
    let shape = SHAPES[rng.weighted(&looks.shapes)];
    let surface = SURFACES[rng.weighted(&looks.surfaces)];
    let size = SIZES[rng.weighted(&looks.sizes)];
    let site = SITES.iter().find(|(site, _)| Some(*site) == body_site).map(|(_, words)| *words);
    let written = (1..=photographs as u64).map(|photograph| {
        let mut rng = PortableRng::new(seed, Purpose::Caption, photograph, number);
        (!rng.chance(missing)).then(|| caption(&[size, shape, surface, colour], site, &mut rng))
    });
    written.collect()
}

/// One caption: `[distractor.] adjectives noun [on the site][. distractor]`.
fn caption(adjectives: &[Synonyms], site: Option<Synonyms>, rng: &mut PortableRng) -> String {
    let one = |synonyms: Synonyms, rng: &mut PortableRng| synonyms[rng.below(synonyms.len())];
    let mut words = Vec::new();
    for synonyms in adjectives {
        if rng.chance(TOLD) {
            words.push(one(synonyms, rng));
        }
    }
    rng.shuffle(&mut words);
    words.push(one(NOUNS, rng));
    let mut text = words.join(" ");
    if let Some(site) = site.filter(|_| rng.chance(TOLD)) {
        text = format!("{text} on the {}", one(site, rng));
    }
    if rng.chance(DISTRACTED) {
        text = format!("{}. {text}", one(DISTRACTORS, rng));
    }
    if rng.chance(DISTRACTED) {
        text = format!("{text}. {}", one(DISTRACTORS, rng));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_phrase_holds_a_word_of_a_class() {
        let classes = Diagnosis::ALL.map(|diagnosis| diagnosis.name().split('_').collect::<Vec<_>>());
        let of_classes: BTreeSet<&str> = classes.iter().flatten().copied().collect();
        assert!(of_classes.contains("nevus") && of_classes.contains("lesion"));
        for phrase in every_phrase() {
            for word in phrase.split(' ') {
                assert!(!of_classes.contains(word), "{phrase}");
            }
        }
    }

    #[test]
    fn no_two_groups_share_a_phrase() {
        let phrases: Vec<&str> = every_phrase().collect();
        assert_eq!(phrases.iter().collect::<BTreeSet<_>>().len(), phrases.len());
    }

    #[test]
    fn weights_are_distributions() {
        for diagnosis in Diagnosis::ALL {
            let Looks { colours, shapes, surfaces, sizes } = looks(diagnosis);
            for weights in [&colours[..], &shapes, &surfaces, &sizes] {
                assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{diagnosis:?} {weights:?}");
            }
        }
    }
}
