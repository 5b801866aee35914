//! Cross-validation, published splits, and the imbalance that divisions reach.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};

use derm_core::{ClassIndex, LabelMap, SplitRole};
use derm_data::{
    Dataset, EmptyClassPolicy, Error, FeatureSchema, FoldConfig, Folds, ImageSource, PublishedSplit, Record,
    RestFractions, Split, SplitConfig, SplitFractions, SyntheticConfig,
};
use proptest::prelude::*;

/// A table of three classes: a (class, lesion, patient) for each record.
fn dataset(rows: &[(usize, usize, Option<usize>)]) -> Dataset {
    of_classes(&["a", "b", "c"], rows)
}

fn of_classes(labels: &[&str], rows: &[(usize, usize, Option<usize>)]) -> Dataset {
    let records = rows.iter().enumerate().map(|(number, &(class, lesion, patient))| Record {
        lesion: format!("l{lesion} of {patient:?}"),
        case: format!("l{lesion} of {patient:?}"),
        patient: patient.map(|patient| format!("p{patient}")),
        ..Record::new(format!("r{number}"), ImageSource::Absent, ClassIndex::new(class))
    });
    let labels = LabelMap::new(labels.iter().copied()).unwrap();
    Dataset::new("rows", labels, records.collect(), FeatureSchema::empty(), Vec::new()).unwrap()
}

fn rows() -> impl Strategy<Value = Vec<(usize, usize, Option<usize>)>> {
    prop::collection::vec((0..3usize, 0..50usize, prop::option::of(0..30usize)), 1..200)
}

fn groups(dataset: &Dataset, indices: &[usize]) -> BTreeSet<String> {
    indices.iter().map(|&index| dataset.records()[index].group().to_owned()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn every_record_is_tested_once_and_no_group_is_on_both_sides(
        rows in rows(),
        folds in 2..7usize,
        seed in any::<u64>(),
        allow in any::<bool>(),
    ) {
        let dataset = dataset(&rows);
        let empty_class = if allow { EmptyClassPolicy::Allow } else { EmptyClassPolicy::Refuse };
        match Folds::stratified(&dataset, FoldConfig { folds, seed, empty_class }) {
            Ok(made) => {
                let mut tested = Vec::new();
                for fold in 0..folds {
                    let (test, train) = (made.test(&dataset, fold).unwrap(), made.train(&dataset, fold).unwrap());
                    prop_assert!(!test.is_empty());
                    prop_assert_eq!(test.len() + train.len(), rows.len());
                    prop_assert!(groups(&dataset, &test).is_disjoint(&groups(&dataset, &train)));
                    if !allow {
                        prop_assert!(dataset.class_counts_of(&test).unwrap().iter().all(|&count| count > 0));
                    }
                    tested.extend(test);
                }
                tested.sort_unstable();
                prop_assert!(tested.into_iter().eq(0..rows.len()));
            }
            Err(Error::Setting { name: "folds", .. }) => {
                prop_assert!(groups(&dataset, &(0..rows.len()).collect::<Vec<_>>()).len() < folds);
            }
            Err(Error::TooFewGroups { groups, needed, .. }) => prop_assert!(!allow && groups < needed),
            // Enough groups by count, but too unequal ones.
            Err(Error::EmptyFold { .. }) => prop_assert!(allow),
            Err(error) => prop_assert!(false, "{error}"),
        }
    }

    #[test]
    fn a_fold_as_a_split_has_four_parts_without_a_shared_group(rows in rows(), seed in any::<u64>()) {
        let dataset = dataset(&rows);
        let config = FoldConfig { folds: 3, seed, empty_class: EmptyClassPolicy::Allow };
        let Ok(folds) = Folds::stratified(&dataset, config) else { return Ok(()) };
        for fold in 0..3 {
            match folds.split(&dataset, fold, RestFractions::default()) {
                Ok(split) => {
                    split.check(&dataset, EmptyClassPolicy::Allow).unwrap();
                    prop_assert_eq!(
                        split.indices(&dataset, SplitRole::Test).unwrap(),
                        folds.test(&dataset, fold).unwrap()
                    );
                }
                Err(error) => prop_assert!(matches!(error, Error::EmptyRole { .. }), "{error}"),
            }
        }
    }

    #[test]
    fn a_published_split_keeps_what_was_published(rows in rows(), seed in any::<u64>(), all in any::<bool>()) {
        let plain = dataset(&rows);
        // By group, so that nothing leaks; a third each, or validation as well.
        let role = |group: &str| match group.bytes().map(usize::from).sum::<usize>() % 4 {
            0 => SplitRole::Test,
            1 if all => SplitRole::Validation,
            _ => SplitRole::Train,
        };
        let records = plain.records().iter().cloned().map(|record| Record {
            published_role: Some(role(record.group())),
            ..record
        });
        let labels = plain.labels().clone();
        let dataset = Dataset::new("rows", labels, records.collect(), FeatureSchema::empty(), Vec::new()).unwrap();
        let config = PublishedSplit { seed, empty_class: EmptyClassPolicy::Allow, ..PublishedSplit::default() };
        match Split::published(&dataset, &config) {
            Ok(split) => {
                for (id, got) in split.roles_by_id() {
                    let number: usize = id[1..].parse().unwrap();
                    match role(dataset.records()[number].group()) {
                        SplitRole::Train => prop_assert!(got != SplitRole::Test),
                        published => prop_assert_eq!(got, published),
                    }
                }
            }
            Err(error) => prop_assert!(matches!(error, Error::EmptyRole { .. }), "{error}"),
        }
    }
}

/// Enough records to be divided evenly.
fn synthetic() -> Dataset {
    SyntheticConfig { num_lesions: 400, image_size: 16, ..SyntheticConfig::default() }.generate().unwrap()
}

#[test]
fn repeats_differ_and_are_repeatable() {
    let dataset = synthetic();
    let repeats = Folds::repeated(&dataset, FoldConfig::default(), 3).unwrap();
    let hashes: BTreeSet<String> = repeats.iter().map(Folds::hash).collect();
    assert_eq!(hashes.len(), 3);
    assert_eq!(repeats[0], Folds::stratified(&dataset, FoldConfig::default()).unwrap());
    assert_eq!(repeats, Folds::repeated(&dataset, FoldConfig::default(), 3).unwrap());
}

#[test]
fn the_balance_states_what_was_reached() {
    let dataset = synthetic();
    let folds = Folds::stratified(&dataset, FoldConfig::default()).unwrap();
    let balance = folds.balance(&dataset).unwrap();
    assert_eq!(balance.parts().len(), 5);
    let mut by_class = vec![0; dataset.labels().num_classes()];
    for (fold, part) in balance.parts().iter().enumerate() {
        let indices = folds.test(&dataset, fold).unwrap();
        assert_eq!(part.records, indices.len());
        assert_eq!(part.groups, groups(&dataset, &indices).len());
        for (sum, count) in by_class.iter_mut().zip(&part.class_counts) {
            *sum += count;
        }
    }
    assert_eq!(by_class, dataset.class_counts());
    // The rarest class has 16 records here, in lesions of up to three.
    let (part, class, deviation) = balance.worst().unwrap();
    let reached = balance.parts()[part].class_shares[class].unwrap();
    assert_eq!((reached - 0.2).abs(), deviation);
    assert!(deviation < 0.15, "{balance}");
    let text = balance.to_string();
    assert!(text.contains("fold 5") && text.contains("furthest from its share"), "{text}");

    // A split that is far from its shares says so.
    let config = SplitConfig::default();
    let split = Split::stratified(&dataset, &config).unwrap();
    let other = SplitFractions { train: 0.2, validation: 0.2, calibration: 0.2, test: 0.4 };
    assert!(split.balance(&dataset, config.fractions).unwrap().largest_deviation() < 0.15);
    assert!(split.balance(&dataset, other).unwrap().largest_deviation() > 0.4);
}

#[test]
fn folds_of_other_data_and_impossible_settings_are_refused() {
    let dataset = synthetic();
    let folds = Folds::stratified(&dataset, FoldConfig::default()).unwrap();
    assert!(matches!(folds.test(&dataset, 5), Err(Error::Setting { name: "fold", .. })));
    let fewer = |keep: usize| {
        let records = dataset.records()[..keep].to_vec();
        Dataset::new("fewer", dataset.labels().clone(), records, dataset.schema().clone(), Vec::new())
            .unwrap()
    };
    let error = folds.test(&fewer(100), 0).unwrap_err();
    assert!(matches!(error, Error::SplitMismatch { present: "split", .. }), "{error}");
    let small = Folds::stratified(
        &fewer(300),
        FoldConfig { empty_class: EmptyClassPolicy::Allow, ..FoldConfig::default() },
    );
    let error = small.unwrap().test(&dataset, 0).unwrap_err();
    assert!(matches!(error, Error::SplitMismatch { present: "dataset", .. }), "{error}");
    for count in [0, 1, 100_000] {
        let config = FoldConfig { folds: count, ..FoldConfig::default() };
        assert!(matches!(Folds::stratified(&dataset, config), Err(Error::Setting { name: "folds", .. })));
    }
    let rest = RestFractions { train: 0.9, validation: 0.2, calibration: 0.1 };
    assert!(matches!(folds.split(&dataset, 0, rest), Err(Error::Setting { .. })));
    let rest = RestFractions { train: f64::NAN, ..RestFractions::default() };
    assert!(matches!(folds.split(&dataset, 0, rest), Err(Error::Setting { .. })));
}

/// Rows of the classes a, b, c and d (counts) of one lesion.
fn lesion(name: usize, counts: [usize; 4]) -> Vec<(usize, usize, Option<usize>)> {
    let of_class = |(class, &count): (usize, &usize)| vec![(class, name, None); count];
    counts.iter().enumerate().flat_map(of_class).collect()
}

#[test]
fn a_class_whose_groups_end_in_one_fold_is_refused() {
    // Class c has two groups, as many as there are folds, and both follow other classes into the second one.
    let lesions = [[1, 0, 20, 0], [1, 0, 0, 100], [0, 1, 20, 0], [0, 1, 0, 0], [0, 0, 0, 100]];
    let rows: Vec<_> = lesions.iter().enumerate().flat_map(|(name, &counts)| lesion(name, counts)).collect();
    let dataset = of_classes(&["a", "b", "c", "d"], &rows);
    let config = FoldConfig { folds: 2, ..FoldConfig::default() };
    let error = Folds::stratified(&dataset, config).unwrap_err();
    assert!(matches!(&error, Error::AbsentFromFold { class, fold: 1 } if class == "c"), "{error}");
    let allowed = FoldConfig { empty_class: EmptyClassPolicy::Allow, ..config };
    assert!(Folds::stratified(&dataset, allowed).is_ok());
}

#[test]
fn publishers_validation_stays_and_calibration_comes_from_their_training_part() {
    let plain = synthetic();
    let mut role_of: BTreeMap<String, SplitRole> = BTreeMap::new();
    for (number, group) in
        groups(&plain, &(0..plain.records().len()).collect::<Vec<_>>()).into_iter().enumerate()
    {
        let role = [SplitRole::Train, SplitRole::Train, SplitRole::Validation, SplitRole::Test][number % 4];
        role_of.insert(group, role);
    }
    let records: Vec<Record> = plain
        .records()
        .iter()
        .map(|record| Record { published_role: role_of.get(record.group()).copied(), ..record.clone() })
        .collect();
    let (labels, schema) = (plain.labels().clone(), plain.schema().clone());
    let dataset = Dataset::new("p", labels, records, schema, Vec::new()).unwrap();
    let config = PublishedSplit { empty_class: EmptyClassPolicy::Allow, ..PublishedSplit::default() };
    let split = Split::published(&dataset, &config).unwrap();
    for record in dataset.records() {
        let (published, role) = (record.published_role.unwrap(), split.roles_by_id()[record.id.as_str()]);
        let taken = published == SplitRole::Train && role == SplitRole::Calibration;
        assert!(published == role || taken, "{published} became {role}");
    }
    assert!(!split.ids(SplitRole::Calibration).is_empty());
    // It is a split as any other: a file, with its hash.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("split.json");
    split.write(&path).unwrap();
    let read = Split::read(&path).unwrap();
    assert_eq!((&read, read.hash()), (&split, split.hash()));
}

#[test]
fn a_published_split_that_leaks_or_is_not_whole_is_refused() {
    let plain = synthetic();
    let with = |role: &dyn Fn(usize, &Record) -> Option<SplitRole>| {
        let records = plain.records().iter().enumerate();
        let records =
            records.map(|(index, record)| Record { published_role: role(index, record), ..record.clone() });
        let (labels, schema) = (plain.labels().clone(), plain.schema().clone());
        let dataset = Dataset::new("p", labels, records.collect(), schema, Vec::new()).unwrap();
        let config = PublishedSplit { empty_class: EmptyClassPolicy::Allow, ..PublishedSplit::default() };
        Split::published(&dataset, &config)
    };
    let error = with(&|_, _| None).unwrap_err();
    assert!(matches!(error, Error::NoPublishedRole { .. }), "{error}");
    // Image by image, as some published splits are: lesions are on both sides.
    let error =
        with(&|index, _| Some(if index % 2 == 0 { SplitRole::Train } else { SplitRole::Test })).unwrap_err();
    assert!(matches!(error, Error::Leak { .. }), "{error}");
    let mut seen: BTreeMap<String, SplitRole> = BTreeMap::new();
    for (number, record) in plain.records().iter().enumerate() {
        let role = if number % 3 == 0 { SplitRole::Test } else { SplitRole::Train };
        seen.entry(record.group().to_owned()).or_insert(role);
    }
    with(&|_, record| seen.get(record.group()).copied()).unwrap();
    let shares =
        |validation, calibration| PublishedSplit { validation, calibration, ..PublishedSplit::default() };
    let records = plain
        .records()
        .iter()
        .map(|record| Record { published_role: seen.get(record.group()).copied(), ..record.clone() });
    let (labels, schema) = (plain.labels().clone(), plain.schema().clone());
    let dataset = Dataset::new("p", labels, records.collect(), schema, Vec::new()).unwrap();
    for config in [shares(0.0, 0.1), shares(0.6, 0.4), shares(f64::NAN, 0.1), shares(0.1, 1.0)] {
        assert!(matches!(Split::published(&dataset, &config), Err(Error::Setting { .. })), "{config:?}");
    }
}
