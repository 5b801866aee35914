//! The table study on a made table: it finds the question that tells, and what taking answers away costs.
#![allow(clippy::unwrap_used)]

use derm_core::{ClassIndex, LabelMap};
use derm_data::schema::{Block, Feature, UnknownPolicy};
use derm_data::{Answers, Dataset, FeatureSchema, ImageSource, Record};
use examples::questionnaire_only::{Options, study_split, study_table};

/// 60 patients of three classes: `tells` says the class, `noise` nothing; `late` is answered by two classes only.
fn table() -> Dataset {
    let schema = FeatureSchema::builder("made", "1")
        .block(Block::new("first", ""))
        .block(Block::new("second", "").leaking("made so"))
        .feature(Feature::ordinal("tells", "?", &["0", "1", "2"], &[]).in_block("first"))
        .feature(Feature::numeric("noise", "?", "", 0.0, 10.0).in_block("second"))
        .feature(Feature::boolean("late", "?", UnknownPolicy::Missing).in_block("second"))
        .build()
        .unwrap();
    let records = (0..60).map(|at| {
        let class = at % 3;
        let mut answers = Answers::from([
            ("tells".to_owned(), class.to_string()),
            ("noise".to_owned(), (at * 7 % 10).to_string()),
        ]);
        if class > 0 {
            answers.insert("late".to_owned(), if at % 2 == 0 { "yes" } else { "no" }.to_owned());
        }
        Record { answers, ..Record::new(format!("p{at}"), ImageSource::Absent, ClassIndex::new(class)) }
    });
    let labels = LabelMap::new(["a", "b", "c"]).unwrap();
    Dataset::new("made", labels, records.collect(), schema, Vec::new()).unwrap()
}

#[test]
fn a_made_table_is_learnt_and_its_telling_question_found() {
    let device = examples::device().unwrap();
    let options = Options { epochs: 25, folds: 3, learning_rate: 1e-2, ..Options::default() };
    let study = study_table(&table(), &["second"], &options, &device).unwrap();
    let [all, second] = study.questionnaires.as_slice() else { unreachable!() };
    assert_eq!((all.questions, second.questions), (3, 2));
    assert!(all.folds.iter().all(|[tested, _]| *tested == 20));
    assert!(all.accuracy >= 0.95, "{study}");
    // Whether `late` is missing tells one class from the two others, and nothing tells those apart.
    assert!((0.5..=0.85).contains(&second.accuracy), "{study}");
    assert!(all.interval.contains(all.accuracy));
    assert_eq!(study.features[0].name, "tells");
    assert_eq!(study.blocks[0].name, "first");
    let scores: Vec<f64> = study.sweep.levels.iter().map(|level| level.mean).collect();
    assert_eq!(scores[0], all.accuracy, "nothing is taken away at level 0");
    assert!(scores[7] < scores[0] - 0.1, "{study}");
    assert!(study.leak_report.leaks(), "{study}");
    let text = study.to_string();
    assert!(text.contains("all, 3 questions") && text.contains("`second` (marked)"), "{text}");
}

#[test]
fn the_four_role_split_is_trained_and_tested() {
    let device = examples::device().unwrap();
    let options = Options { epochs: 25, learning_rate: 1e-2, balanced: true, ..Options::default() };
    let dataset = table();
    let study = study_split(&dataset, &derm_data::SplitConfig::default(), &options, &device).unwrap();
    let [records, lesions] = study.test;
    assert_eq!(records, lesions, "each record is a lesion of its own");
    let (name, value, interval) = &study.metrics[0];
    assert_eq!(name, "balanced accuracy");
    assert!(value.unwrap() >= 0.9 && interval.is_some(), "{study}");
}
