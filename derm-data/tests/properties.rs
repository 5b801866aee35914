//! What must hold for all inputs.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use derm_core::{ClassIndex, LabelMap, SplitRole};
use derm_data::schema::{self, Feature, UnknownPolicy};
use derm_data::{
    Answers, Augmentation, Dataset, EmptyClassPolicy, Error, FeatureSchema, ImageSource, Orientation, Record,
    RgbPixels, SampleOrder, Sampler, Split, SplitConfig, SplitFractions,
};
use proptest::prelude::*;

/// A dataset of one-pixel images: a (class, lesion, patient) for each record.
fn dataset(rows: &[(usize, usize, Option<usize>)], num_classes: usize) -> Dataset {
    let pixels = Arc::new(RgbPixels::new(1, 1, vec![0; 3]).unwrap());
    let records = rows.iter().enumerate().map(|(number, &(class, lesion, patient))| Record {
        id: format!("r{number}"),
        image: ImageSource::Rgb(Arc::clone(&pixels)),
        class: ClassIndex::new(class),
        // A lesion is of one patient.
        lesion: format!("l{lesion} of {patient:?}"),
        case: format!("l{lesion} of {patient:?}"),
        patient: patient.map(|patient| format!("p{patient}")),
        soft_label: None,
        tasks: std::collections::BTreeMap::new(),
        published_role: None,
        answers: Answers::new(),
        text: None,
        subgroups: BTreeMap::new(),
    });
    let labels = LabelMap::new((0..num_classes).map(|class| format!("c{class}"))).unwrap();
    Dataset::new("rows", labels, records.collect(), FeatureSchema::empty(), Vec::new()).unwrap()
}

fn fractions() -> impl Strategy<Value = SplitFractions> {
    [0.05..1.0, 0.05..1.0, 0.05..1.0, 0.05..1.0f64].prop_map(|parts| {
        let sum: f64 = parts.iter().sum();
        let [train, validation, calibration, test] = parts.map(|part| part / sum);
        SplitFractions { train, validation, calibration, test }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_group_is_in_two_parts(
        rows in prop::collection::vec((0..4usize, 0..60usize, prop::option::of(0..40usize)), 1..250),
        seed in any::<u64>(),
        fractions in fractions(),
        allow in any::<bool>(),
    ) {
        let dataset = dataset(&rows, 4);
        let empty_class = if allow { EmptyClassPolicy::Allow } else { EmptyClassPolicy::Refuse };
        let config = SplitConfig { seed, fractions, empty_class };
        match Split::stratified(&dataset, &config) {
            Ok(split) => {
                let mut role_of_group: BTreeMap<&str, SplitRole> = BTreeMap::new();
                let mut seen = BTreeSet::new();
                for role in SplitRole::ALL {
                    let indices = split.indices(&dataset, role).unwrap();
                    prop_assert!(!indices.is_empty());
                    let counts = dataset.class_counts_of(&indices).unwrap();
                    prop_assert!(allow || counts.iter().all(|&count| count > 0));
                    for index in indices {
                        prop_assert!(seen.insert(index));
                        let group = dataset.records()[index].group();
                        prop_assert_eq!(*role_of_group.entry(group).or_insert(role), role);
                    }
                }
                prop_assert_eq!(seen.len(), dataset.records().len());
                prop_assert_eq!(&Split::stratified(&dataset, &config).unwrap(), &split);
            }
            Err(Error::TooFewGroups { groups, needed, .. }) => prop_assert!(!allow && groups < needed),
            Err(Error::EmptyClass { .. }) => prop_assert!(!allow),
            Err(Error::EmptyRole { .. }) => {}
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn with_a_group_a_record_and_enough_of_them_every_part_gets_its_share(
        counts in prop::collection::vec(40..120usize, 2..5),
        seed in any::<u64>(),
    ) {
        let mut rows = Vec::new();
        for (class, &count) in counts.iter().enumerate() {
            rows.extend((0..count).map(|_| class));
        }
        let rows: Vec<_> = rows.into_iter().enumerate().map(|(lesion, class)| (class, lesion, None)).collect();
        let dataset = dataset(&rows, counts.len());
        let config = SplitConfig { seed, ..SplitConfig::default() };
        let split = Split::stratified(&dataset, &config).unwrap();
        for (role, share) in SplitRole::ALL.into_iter().zip([0.65, 0.075, 0.075, 0.20]) {
            let got = dataset.class_counts_of(&split.indices(&dataset, role).unwrap()).unwrap();
            for (got, &all) in got.iter().zip(&counts) {
                // Every class of every part is within one record of its share.
                prop_assert!((*got as f64 - share * all as f64).abs() <= 1.0, "{role}: {got} of {all}");
            }
        }
    }

    #[test]
    fn an_orientation_moves_every_pixel_once(
        seed in any::<u64>(), epoch in 0..50u64, index in 0..1000u64, side in 1..9usize,
    ) {
        let all = Augmentation { quarter_turns: 0.5, ..Augmentation::default() };
        let orientation = all.orientation(seed, epoch, index);
        prop_assert_eq!(orientation, all.orientation(seed, epoch, index));
        let sources: BTreeSet<(usize, usize)> = (0..side * side)
            .map(|at| orientation.source(at / side, at % side, side))
            .collect();
        prop_assert_eq!(sources.len(), side * side);
        prop_assert!(sources.iter().all(|&(row, column)| row < side && column < side));
        let none = Augmentation::none();
        prop_assert_eq!(none.orientation(seed, epoch, index), Orientation::UPRIGHT);
    }

    #[test]
    fn a_shuffled_epoch_is_a_permutation_and_a_balanced_one_is_balanced(
        classes in prop::collection::vec(0..5usize, 1..120), seed in any::<u64>(), epoch in 0..20u64,
    ) {
        let indices: Vec<usize> = (0..classes.len()).map(|index| index * 3 + 1).collect();
        let of: Vec<ClassIndex> = classes.iter().map(|&class| ClassIndex::new(class)).collect();
        let sampler = |order| Sampler::new(indices.clone(), &of, order, seed).unwrap();
        prop_assert_eq!(&sampler(SampleOrder::Sequential).epoch(epoch), &indices);
        let mut shuffled = sampler(SampleOrder::Shuffled).epoch(epoch);
        shuffled.sort_unstable();
        prop_assert_eq!(&shuffled, &indices);

        let balanced = sampler(SampleOrder::ClassBalanced).epoch(epoch);
        prop_assert_eq!(balanced.len(), indices.len());
        let mut draws: BTreeMap<usize, BTreeMap<usize, usize>> = BTreeMap::new();
        for class in &classes {
            draws.entry(*class).or_default();
        }
        for index in balanced {
            *draws.get_mut(&classes[index / 3]).unwrap().entry(index).or_default() += 1;
        }
        let totals: Vec<usize> = draws.values().map(|members| members.values().sum()).collect();
        prop_assert!(totals.iter().max().unwrap() - totals.iter().min().unwrap() <= 1);
        for (class, members) in draws {
            let size = classes.iter().filter(|&&other| other == class).count();
            let most = members.values().max().copied().unwrap_or(0);
            let least = if members.len() < size { 0 } else { members.values().min().copied().unwrap_or(0) };
            prop_assert!(most - least <= 1, "all members are drawn before one is drawn again");
        }
    }

    #[test]
    fn every_feature_is_either_given_or_marked_missing(
        age in prop::option::of(0..=120u32), sex in prop::option::of(0..2usize), itch in prop::option::of(any::<bool>()),
    ) {
        let schema = FeatureSchema::builder("test", "1")
            .missing_markers(&["n/a"])
            .features([
                Feature::numeric("age", "?", "years", 0.0, 120.0),
                Feature::choice("sex", "?", &["female", "male"], &[("w", "female")]),
                Feature::boolean("itch", "?", UnknownPolicy::Missing),
            ])
            .build()
            .unwrap();
        let mut answers = Answers::new();
        answers.extend(age.map(|age| ("age".to_owned(), format!(" {age} "))));
        answers.extend(sex.map(|sex| ("sex".to_owned(), ["W", "Male"][sex].to_owned())));
        answers.insert("itch".to_owned(), match itch { Some(true) => "yes", Some(false) => "FALSE", None => "N/A" }.to_owned());
        let row = schema.encode(&answers).unwrap();
        prop_assert_eq!(row.len(), schema.width());
        prop_assert_eq!(schema.column_names().len(), schema.width());
        let expected_age = age.map_or([0.0, 1.0], |age| [((f64::from(age) - 60.0) / 60.0) as f32, 0.0]);
        let expected_sex = [sex == Some(0), sex == Some(1), sex.is_none()].map(|yes| f32::from(u8::from(yes)));
        let expected_itch = itch.map_or([0.0, 1.0], |yes| [if yes { 1.0 } else { -1.0 }, 0.0]);
        prop_assert_eq!(row, [&expected_age[..], &expected_sex[..], &expected_itch[..]].concat());
    }

    #[test]
    fn fitted_numbers_have_mean_zero_and_deviation_one(ages in prop::collection::vec(0..=120u32, 2..60)) {
        prop_assume!(ages.iter().any(|age| *age != ages[0]));
        let schema = schema::ham10000().unwrap();
        let answers: Vec<Answers> =
            ages.iter().map(|age| Answers::from([("age".to_owned(), age.to_string())])).collect();
        let fitted = schema.fit_scaling(&answers.iter().collect::<Vec<_>>()).unwrap();
        let column: Vec<f64> = answers.iter().map(|one| f64::from(fitted.encode(one).unwrap()[0])).collect();
        let mean = column.iter().sum::<f64>() / column.len() as f64;
        let variance = column.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / column.len() as f64;
        // Columns are f32.
        prop_assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-5, "mean {mean}, variance {variance}");
    }
}

/// The class shares of a sampler's draws, over many epochs.
fn shares(counts: &[usize], order: SampleOrder) -> Vec<f64> {
    const EPOCHS: u64 = 400;
    let classes: Vec<ClassIndex> = counts
        .iter()
        .enumerate()
        .flat_map(|(class, &count)| std::iter::repeat_n(ClassIndex::new(class), count))
        .collect();
    let sampler = Sampler::new((0..classes.len()).collect(), &classes, order, 5).unwrap();
    let mut drawn = vec![0usize; counts.len()];
    for epoch in 0..EPOCHS {
        let order = sampler.epoch(epoch);
        assert_eq!(order.len(), classes.len());
        for index in order {
            drawn[classes[index].get()] += 1;
        }
    }
    drawn.into_iter().map(|count| count as f64 / (EPOCHS as usize * classes.len()) as f64).collect()
}

#[test]
fn balanced_orders_draw_classes_in_their_stated_shares() {
    // Systematic rounding keeps an epoch within one draw of its share; over 400 epochs the mean is within 0.1 draws.
    const TOLERANCE: f64 = 0.1 / 113.0;
    let counts = [100, 9, 4];
    let stated = |weights: [f64; 3]| {
        let total: f64 = weights.iter().sum();
        weights.map(|weight| weight / total)
    };
    let effective = |count: f64, beta: f64| (1.0 - beta) * count / (1.0 - beta.powf(count));
    for (order, expected) in [
        (SampleOrder::ClassBalanced, stated([1.0, 1.0, 1.0])),
        (SampleOrder::SquareRootBalanced, stated([10.0, 3.0, 2.0])),
        (SampleOrder::EffectiveNumber { beta: 0.0 }, stated([100.0, 9.0, 4.0])),
        (
            SampleOrder::EffectiveNumber { beta: 0.9 },
            stated([effective(100.0, 0.9), effective(9.0, 0.9), effective(4.0, 0.9)]),
        ),
        // As β approaches 1, every class the same.
        (SampleOrder::EffectiveNumber { beta: 1.0 - 1e-12 }, stated([1.0, 1.0, 1.0])),
    ] {
        for (got, expected) in shares(&counts, order).into_iter().zip(expected) {
            assert!((got - expected).abs() < TOLERANCE, "{order:?}: {got} instead of {expected}");
        }
    }
    let one = [ClassIndex::new(0)];
    for beta in [-0.1, 1.0, f64::NAN] {
        let error = Sampler::new(vec![0], &one, SampleOrder::EffectiveNumber { beta }, 0).unwrap_err();
        assert!(matches!(error, Error::Setting { name: "beta", .. }), "{error}");
    }
}
