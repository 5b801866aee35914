//! What is measured about a questionnaire: robustness to missing answers, permutation importance, leaks.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::BTreeSet;

use derm_core::{ClassIndex, LabelMap};
use derm_data::schema::{self, Block, Feature, FeatureKind, MissingPolicy, UnknownPolicy};
use derm_data::{
    AnswerDropoutConfig, Answers, Dataset, Error, FeatureSchema, ImageSource, LeakReport, LeakVerdict,
    MissingnessPrediction, PermutationImportance, PermutationImportanceConfig, PermutationUnit, Record,
};
use ndarray::Array2;
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

/// Largest deviation from scikit-learn: sums of a few dozen f64 products in another order.
const TOLERANCE: f64 = 1e-12;

fn questions(count: usize, required: usize) -> FeatureSchema {
    let features = (0..count).map(|at| {
        let policy = if at < required { MissingPolicy::Required } else { MissingPolicy::Indicator };
        Feature::numeric(&format!("f{at}"), "?", "", -4.0, 4.0).with_missing(policy)
    });
    FeatureSchema::builder("questions", "1").features(features).build().unwrap()
}

fn draws(seed: u64) -> impl FnMut() -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    move || (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// N records of F answers, each missing with a probability.
fn random_answers(records: usize, features: usize, required: usize, missing: f64, seed: u64) -> Vec<Answers> {
    let mut draw = draws(seed);
    let mut record = || -> Answers {
        let given: Vec<usize> = (0..features).filter(|&at| draw() >= missing || at < required).collect();
        given.into_iter().map(|at| (format!("f{at}"), format!("{:.2}", draw()))).collect()
    };
    (0..records).map(|_| record()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn answers_are_dropped_nested_exactly_and_never_where_required(
        records in 1..40usize, features in 1..5usize, required in 0..3usize, missing in 0.0..0.6f64, seed in any::<u64>(),
    ) {
        let required = required.min(features);
        let schema = questions(features, required);
        let answers = random_answers(records, features, required, missing, seed);
        let refs: Vec<&Answers> = answers.iter().collect();
        let config = AnswerDropoutConfig { repeats: 2, seed, ..AnswerDropoutConfig::default() };
        let mut seen: Vec<Vec<Answers>> = Vec::new();
        let sweep = config.sweep(&schema, &refs, |kept| {
            seen.push(kept.to_vec());
            Ok::<f64, Error>(kept.iter().map(|one| one.len() as f64).sum())
        }).unwrap();
        // One draw at level 0, then two a level.
        prop_assert_eq!(seen.len(), 1 + 2 * 7);
        prop_assert_eq!(&seen[0], &answers);
        let mut again = Vec::new();
        config.sweep(&schema, &refs, |kept| { again.push(kept.to_vec()); Ok::<f64, Error>(0.0) }).unwrap();
        prop_assert_eq!(&again, &seen, "the same from the same seed");
        for repeat in 0..2 {
            let levels: Vec<&Vec<Answers>> =
                std::iter::once(&seen[0]).chain((0..7).map(|level| &seen[1 + 2 * level + repeat])).collect();
            for (at, level) in sweep.levels.iter().enumerate() {
                for feature in 0..features {
                    let name = format!("f{feature}");
                    let given = |rows: &[Answers]| -> BTreeSet<usize> {
                        (0..rows.len()).filter(|&row| rows[row].contains_key(&name)).collect()
                    };
                    let (before, now) = (given(&answers), given(levels[at]));
                    let expected = if feature < required { 0 } else { (level.level * before.len() as f64).round() as usize };
                    prop_assert_eq!(before.len() - now.len(), expected);
                    if at > 0 {
                        prop_assert!(now.is_subset(&given(levels[at - 1])), "missing at less is missing at more");
                    }
                }
                let optional = records * (features - required);
                let there: usize = levels[at].iter().map(|one| one.keys().filter(|key| key[1..].parse::<usize>().unwrap() >= required).count()).sum();
                let share = if optional == 0 { 0.0 } else { (optional - there) as f64 / optional as f64 };
                prop_assert!((level.missing_share - share).abs() < TOLERANCE);
                prop_assert!(level.min <= level.mean + TOLERANCE && level.mean <= level.max + TOLERANCE);
            }
        }
        prop_assert_eq!(sweep.never_dropped.len(), required);
    }

    #[test]
    fn a_feature_that_the_score_ignores_has_importance_zero(
        records in 1..30usize, groups in 1..10usize, seed in any::<u64>(),
    ) {
        let schema = questions(4, 0);
        let answers = random_answers(records, 4, 0, 0.3, seed);
        let rows: Vec<f32> = answers.iter().flat_map(|one| schema.encode(one).unwrap()).collect();
        let rows = Array2::from_shape_vec((records, schema.width()), rows).unwrap();
        let groups: Vec<String> = (0..records).map(|row| format!("g{}", row % groups)).collect();
        let config = PermutationImportanceConfig { seed, repeats: 3, ..PermutationImportanceConfig::default() };
        // Reads f1 and its missing column alone, by position, so that a permutation shows.
        let score = |rows: &Array2<f32>| {
            let weighed = rows.outer_iter().enumerate().map(|(at, row)| (at + 1) as f64 * f64::from(row[2] + 3.0 * row[3]));
            Ok::<f64, Error>(weighed.sum())
        };
        let measured = config.measure(&schema, &rows, &groups, score).unwrap();
        prop_assert_eq!(measured.baseline, score(&rows).unwrap());
        for importance in &measured.importances {
            let ignored = importance.name != "f1";
            prop_assert!(!ignored || importance.repeats.iter().all(|&value| value == 0.0), "{importance:?}");
            prop_assert!(!ignored || (importance.mean == 0.0 && importance.std == 0.0));
        }
        prop_assert_eq!(&config.measure(&schema, &rows, &groups, score).unwrap(), &measured);
        // Where records have a group each, what a feature holds changes places and nothing else.
        let alone: Vec<String> = (0..records).map(|row| format!("{row}")).collect();
        let mut columns = Vec::new();
        config.measure(&schema, &rows, &alone, |rows| { columns.push(rows.column(0).to_vec()); Ok::<f64, Error>(0.0) }).unwrap();
        for mut column in columns {
            let mut before = rows.column(0).to_vec();
            before.sort_by(f32::total_cmp);
            column.sort_by(f32::total_cmp);
            prop_assert_eq!(column, before);
        }
    }
}

#[test]
fn studies_refuse_what_they_cannot_use() {
    let schema = questions(2, 0);
    let answers = random_answers(5, 2, 0, 0.0, 1);
    let refs: Vec<&Answers> = answers.iter().collect();
    let fine = |_: &[Answers]| Ok::<f64, Error>(0.0);
    for levels in [vec![], vec![-0.1], vec![1.1], vec![0.5, f64::NAN]] {
        let config = AnswerDropoutConfig { levels, ..AnswerDropoutConfig::default() };
        assert!(matches!(config.sweep(&schema, &refs, fine), Err(Error::Setting { .. })));
    }
    let none = AnswerDropoutConfig { repeats: 0, ..AnswerDropoutConfig::default() };
    assert!(matches!(none.sweep(&schema, &refs, fine), Err(Error::Setting { .. })));
    assert!(matches!(AnswerDropoutConfig::default().sweep(&schema, &[], fine), Err(Error::Setting { .. })));
    let nan = AnswerDropoutConfig::default().sweep(&schema, &refs, |_| Ok::<f64, Error>(f64::NAN));
    assert!(matches!(nan, Err(Error::Score { value }) if value.is_nan()));

    let rows = Array2::<f32>::zeros((5, 4));
    let groups = ["a", "b", "c", "d", "e"];
    let score = |_: &Array2<f32>| Ok::<f64, Error>(0.0);
    let config = PermutationImportanceConfig::default();
    let wide = Array2::<f32>::zeros((5, 5));
    assert!(matches!(
        config.measure(&schema, &wide, &groups, score),
        Err(Error::EncodedWidth { got: 5, expected: 4 })
    ));
    assert!(matches!(config.measure(&schema, &rows, &groups[1..], score), Err(Error::Setting { .. })));
    let empty = Array2::<f32>::zeros((0, 4));
    assert!(matches!(config.measure(&schema, &empty, &groups[..0], score), Err(Error::Setting { .. })));
    let none = PermutationImportanceConfig { repeats: 0, ..config };
    assert!(matches!(none.measure(&schema, &rows, &groups, score), Err(Error::Setting { .. })));
    let infinite = config.measure(&schema, &rows, &groups, |_| Ok::<f64, Error>(f64::INFINITY));
    assert!(matches!(infinite, Err(Error::Score { .. })));
    for permutations in [vec![], vec![vec![0, 1, 2, 3]], vec![vec![0, 1, 2, 3, 5]]] {
        let unit = PermutationUnit::Features;
        let result = PermutationImportance::of_permutations(&schema, unit, &rows, &permutations, score);
        assert!(matches!(result, Err(Error::Setting { .. })));
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn close(got: f64, expected: &Value) {
    let expected = expected.as_f64().unwrap();
    assert!((got - expected).abs() <= TOLERANCE * (1.0 + expected.abs()), "{got}: expected {expected}");
}

#[test]
fn permutation_importance_is_scikit_learns_on_its_permutations() {
    let file: Value = serde_json::from_str(include_str!("golden/permutation_importance.json")).unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 3);
    for case in cases {
        let (weights, y) = (numbers(&case["weights"]), numbers(&case["y"]));
        let x: Vec<Vec<f64>> = case["x"].as_array().unwrap().iter().map(numbers).collect();
        // Columns as they are: mean 0, deviation 1, no column for a missing answer.
        let features = (0..weights.len()).map(|at| {
            let mut feature =
                Feature::numeric(&format!("x{at}"), "?", "", -8.0, 8.0).with_missing(MissingPolicy::Required);
            if let schema::FeatureKind::Numeric { std, .. } = &mut feature.kind {
                *std = 1.0;
            }
            feature
        });
        let schema = FeatureSchema::builder("linear", "1").features(features).build().unwrap();
        let rows: Vec<f32> = x
            .iter()
            .flat_map(|row| {
                let answers = row.iter().enumerate().map(|(at, x)| (format!("x{at}"), x.to_string()));
                schema.encode(&answers.collect()).unwrap()
            })
            .collect();
        let rows = Array2::from_shape_vec((x.len(), weights.len()), rows).unwrap();
        let mean = y.iter().sum::<f64>() / y.len() as f64;
        let total: f64 = y.iter().map(|y| (y - mean) * (y - mean)).sum();
        let r2 = |rows: &Array2<f32>| {
            let residual = rows.outer_iter().zip(&y).map(|(row, y)| {
                let predicted: f64 = row.iter().zip(&weights).map(|(&x, w)| f64::from(x) * w).sum();
                (y - predicted) * (y - predicted)
            });
            Ok::<f64, Error>(1.0 - residual.sum::<f64>() / total)
        };
        let permutations: Vec<Vec<usize>> = case["permutations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p.as_array().unwrap().iter().map(|row| row.as_u64().unwrap() as usize).collect())
            .collect();
        let unit = PermutationUnit::Features;
        let measured =
            PermutationImportance::of_permutations(&schema, unit, &rows, &permutations, r2).unwrap();
        close(measured.baseline, &case["baseline"]);
        for (at, importance) in measured.importances.iter().enumerate() {
            close(importance.mean, &case["mean"][at]);
            close(importance.std, &case["std"][at]);
            assert_eq!(importance.repeats.len(), permutations.len());
            for (repeat, value) in importance.repeats.iter().enumerate() {
                close(*value, &case["importances"][at][repeat]);
            }
        }
    }
}

#[test]
fn a_block_is_permuted_as_a_whole_and_a_group_moves_as_a_whole() {
    let schema = FeatureSchema::builder("t", "1")
        .block(Block::new("pair", ""))
        .feature(Feature::numeric("a", "?", "", -1.0, 1.0).in_block("pair"))
        .feature(Feature::numeric("alone", "?", "", -1.0, 1.0))
        .feature(Feature::numeric("b", "?", "", -1.0, 1.0).in_block("pair"))
        .build()
        .unwrap();
    // a and b are the row's number: together they stay equal, whatever the permutation.
    let rows = Array2::from_shape_fn((6, 6), |(row, column)| if column % 2 == 0 { row as f32 } else { 0.0 });
    let groups = ["x", "y", "x", "y", "z", "z"];
    let config = PermutationImportanceConfig { unit: PermutationUnit::Blocks, seed: 3, repeats: 20 };
    let mut seen = BTreeSet::new();
    let measured = config
        .measure(&schema, &rows, &groups, |rows| {
            assert_eq!(rows.column(0), rows.column(4));
            let order: Vec<usize> = rows.column(0).iter().map(|&row| row as usize).collect();
            for pair in [[0, 2], [1, 3], [4, 5]] {
                let from = pair.map(|row| groups[order[row]]);
                assert_eq!(from[0], from[1], "one group's rows get one group's answers");
                assert!(order[pair[0]] < order[pair[1]], "in their order");
            }
            assert_eq!(rows.column(2), ndarray::arr1(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]), "in no block");
            seen.insert(order);
            Ok::<f64, Error>(0.0)
        })
        .unwrap();
    assert_eq!(measured.importances.len(), 1);
    assert_eq!(measured.importances[0].name, "pair");
    assert_eq!(seen.len(), 6, "all orders of three groups in twenty draws");
}

/// A dataset whose record `i` has the class, group and given answers of `of(i)`.
fn dataset(
    schema: FeatureSchema,
    classes: usize,
    records: usize,
    of: impl Fn(usize) -> (usize, String, Vec<String>),
) -> Dataset {
    let names: Vec<String> = (0..classes).map(|class| format!("c{class}")).collect();
    let records = (0..records).map(|at| {
        let (class, group, given) = of(at);
        let answers = given.into_iter().map(|name| (name, "yes".to_owned())).collect();
        let record = Record::new(format!("r{at}"), ImageSource::Absent, ClassIndex::new(class));
        Record { lesion: group, answers, ..record }
    });
    Dataset::new("made", LabelMap::new(names).unwrap(), records.collect(), schema, Vec::new()).unwrap()
}

fn yes_or_no(count: usize) -> FeatureSchema {
    let features = (0..count).map(|at| {
        let feature = Feature::boolean(&format!("f{at}"), "?", UnknownPolicy::Missing);
        if at < 2 { feature.in_block("history") } else { feature }
    });
    let block = Block::new("history", "").leaking("only asked where a biopsy was taken");
    FeatureSchema::builder("made", "1").block(block).features(features).build().unwrap()
}

fn measured(report: &LeakReport) -> &MissingnessPrediction {
    let LeakVerdict::Measured(measured) = &report.verdict else { panic!("{report}") };
    measured
}

fn report(dataset: &Dataset) -> LeakReport {
    LeakReport::of(dataset, &(0..dataset.records().len()).collect::<Vec<_>>()).unwrap()
}

#[test]
fn a_block_that_is_empty_for_one_class_is_found() {
    let names = |range: std::ops::Range<usize>| range.map(|at| format!("f{at}")).collect::<Vec<_>>();
    let mut data = dataset(yes_or_no(4), 2, 40, |at| {
        let class = at % 2;
        (class, format!("l{}", at / 2 * 2 + class), names(if class == 0 { 0..4 } else { 2..4 }))
    });
    let all: Vec<usize> = (0..40).collect();
    let report = data.fit_schema(&all).unwrap();
    let found = measured(&report);
    assert_eq!((found.balanced_accuracy, found.chance, found.leaks), (1.0, 0.5, true));
    assert_eq!(found.auroc, [Some(1.0), Some(1.0)]);
    assert!(report.leaks());
    assert_eq!((report.records, report.groups), (40, 40));
    let share = |name: &str| {
        let one = report.features.iter().find(|one| one.feature == name).unwrap();
        (one.overall, one.by_class.clone())
    };
    assert_eq!(share("f0"), (0.5, vec![Some(0.0), Some(1.0)]));
    assert_eq!(share("f3"), (0.0, vec![Some(0.0), Some(0.0)]));
    let block = &report.blocks[0];
    assert_eq!((block.overall, block.by_class.as_slice()), (0.5, &[Some(0.0), Some(1.0)][..]));
    assert!(report.summary().contains("they tell the class") && report.summary().contains("history"));
    let table = report.to_string();
    assert!(table.contains("only asked where a biopsy was taken") && table.contains("f1"), "{table}");
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<LeakReport>(&json).unwrap(), report);
}

#[test]
fn nothing_is_claimed_where_nothing_can_be_known() {
    let full = || vec!["f0".to_owned(), "f1".to_owned()];
    // All given; all missing; given in nine lesions of one class and ten of the other.
    let all_given = dataset(yes_or_no(2), 2, 40, |at| (at % 2, format!("l{at}"), full()));
    assert_eq!(report(&all_given).verdict, LeakVerdict::NothingVaries);
    let all_missing = dataset(yes_or_no(2), 2, 40, |at| (at % 2, format!("l{at}"), Vec::new()));
    assert_eq!(report(&all_missing).verdict, LeakVerdict::NothingVaries);
    assert!(!report(&all_missing).leaks());
    let empty = dataset(FeatureSchema::empty(), 2, 4, |at| (at % 2, format!("l{at}"), Vec::new()));
    assert_eq!(report(&empty).verdict, LeakVerdict::NothingVaries);
    let few = |groups: usize| {
        // Two records a lesion: records are many, lesions are not.
        dataset(yes_or_no(2), 3, 4 * groups, move |at| {
            let class = at / 2 % 2;
            (class, format!("l{}", at / 2), if class == 0 { full() } else { Vec::new() })
        })
    };
    assert_eq!(report(&few(9)).verdict, LeakVerdict::TooFewGroups { needed: 10, classes: 0 });
    assert!(report(&few(9)).summary().contains("0 of 3 classes"), "{}", report(&few(9)));
    let judged = report(&few(10));
    assert_eq!(measured(&judged).classes, [0, 1], "the third class has no record");
    assert_eq!(judged.features[0].by_class, [Some(0.0), Some(1.0), None]);
    assert!(judged.leaks());
    assert!(matches!(LeakReport::of(&empty, &[]), Err(Error::EmptyDataset { .. })));
    assert!(matches!(LeakReport::of(&empty, &[4]), Err(Error::RecordOutOfRange { .. })));
}

/// Leaks found in 200 made datasets whose missing answers know nothing of the class, `images` records a lesion.
fn false_alarms(lesions: usize, images: usize, classes: usize) -> usize {
    let alarms = (0..200).filter(|&seed| {
        let mut draw = draws(seed);
        let of_lesion: Vec<(usize, Vec<String>)> = (0..lesions)
            .map(|lesion| {
                let given: Vec<usize> = (0..4).filter(|_| draw() < 0.6).collect();
                (lesion % classes, given.into_iter().map(|at| format!("f{at}")).collect())
            })
            .collect();
        let data = dataset(yes_or_no(4), classes, lesions * images, |at| {
            let (class, given) = &of_lesion[at / images];
            (*class, format!("l{}", at / images), given.clone())
        });
        report(&data).leaks()
    });
    alarms.count()
}

#[test]
fn missing_answers_that_know_nothing_are_rarely_accused() {
    // One-sided 2.5 % of 200 is 5; 13 or fewer have probability 0.999 at that rate.
    for (lesions, images, classes) in [(40, 1, 2), (40, 20, 2), (140, 1, 7), (100, 3, 5)] {
        let alarms = false_alarms(lesions, images, classes);
        assert!(
            alarms <= 13,
            "{lesions} lesions of {classes} classes, {images} images each: {alarms} of 200"
        );
    }
}

/// Some answer to a question.
fn some_answer(kind: &FeatureKind) -> &str {
    match kind {
        FeatureKind::Numeric { .. } => "30",
        FeatureKind::Boolean { .. } => "no",
        FeatureKind::Ordinal { values, .. }
        | FeatureKind::Choice { values, .. }
        | FeatureKind::MultipleChoice { values, .. } => &values[0],
        FeatureKind::BodySite { sites, .. } => &sites[0].name,
    }
}

#[test]
fn a_history_that_is_empty_without_a_biopsy_is_accused() {
    // Images of each class in PAD-UFES-20, and about how many of them had a biopsy: all cancers.
    let counts = [
        ("ACK", 730, 178),
        ("BCC", 845, 845),
        ("MEL", 52, 52),
        ("NEV", 244, 60),
        ("SCC", 192, 192),
        ("SEK", 235, 15),
    ];
    let schema = schema::pad_ufes_20().unwrap();
    let history = schema.features_in("history").unwrap();
    let mut draw = draws(8);
    let mut records = Vec::new();
    for (class, (name, images, biopsies)) in counts.into_iter().enumerate() {
        for image in 0..images {
            // Two images a patient. Without a biopsy the history was asked all the same of one in six.
            let asked = image < biopsies || draw() < 1.0 / 6.0;
            let given =
                schema.features().iter().filter(|feature| asked || !history.contains(&feature.name.as_str()));
            let answers =
                given.map(|feature| (feature.name.clone(), some_answer(&feature.kind).to_owned())).collect();
            let patient = Some(format!("{name}{}", image / 2));
            let record = Record::new(format!("{name}_{image}"), ImageSource::Absent, ClassIndex::new(class));
            records.push(Record { patient, answers, ..record });
        }
    }
    let labels = LabelMap::new(counts.map(|(name, _, _)| name)).unwrap();
    let data = Dataset::new("PAD-UFES-20, made", labels, records, schema.clone(), Vec::new()).unwrap();
    let found = report(&data);
    let judged = measured(&found);
    assert!(judged.leaks && judged.low > judged.chance + 0.05, "{found}");
    // Who has a history is likelier a basal cell carcinoma than not, and who has none a seborrhoeic keratosis.
    assert!([1, 5].iter().all(|&class| judged.auroc[class].unwrap() > 0.7), "{found}");
    assert!(found.summary().ends_with("blocks that the schema marks as leaking: history"), "{found}");
    // Without the marked block nothing is left that could tell.
    let trimmed = data.with_schema(schema.drop(&history).unwrap()).unwrap();
    assert_eq!(report(&trimmed).verdict, LeakVerdict::NothingVaries);
}

#[test]
fn a_moderate_leak_is_found_among_many() {
    let mut draw = draws(5);
    let given: Vec<Vec<String>> = (0..400)
        .map(|at| {
            let missing = if at % 2 == 0 { 0.2 } else { 0.5 };
            (0..3).filter(|_| draw() >= missing).map(|feature| format!("f{feature}")).collect()
        })
        .collect();
    let data = dataset(yes_or_no(3), 2, 400, |at| (at % 2, format!("l{at}"), given[at].clone()));
    let report = report(&data);
    let found = measured(&report);
    assert!(found.leaks && found.balanced_accuracy > 0.6, "{report}");
    // The three indicators are independent draws: the area cannot be far below that of one of them, 0.65.
    assert!(found.auroc.iter().all(|area| area.unwrap() > 0.62), "{report}");
    assert!(found.low <= found.balanced_accuracy && found.balanced_accuracy <= found.high);
}
