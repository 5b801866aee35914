//! Questionnaires: what encodes, what decodes, what is refused.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use derm_data::schema::{
    self, Block, Feature, FeatureKind, MissingPolicy, NONE, OutsidePolicy, SEPARATOR, Site, UnknownPolicy,
};
use derm_data::{Answers, Error, FeatureSchema};
use proptest::prelude::*;

fn answers(pairs: &[(&str, &str)]) -> Answers {
    pairs.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect()
}

fn one(feature: Feature) -> FeatureSchema {
    FeatureSchema::builder("test", "1").feature(feature).build().unwrap()
}

fn site() -> Feature {
    let sites = vec![
        Site::within("palm", "hand"),
        Site::root("trunk"),
        Site::within("back", "trunk"),
        Site::within("hand", "arm"),
        Site::root("arm"),
    ];
    Feature::body_site("site", "?", sites, &[("posterior torso", "back")])
}

fn several() -> Feature {
    let mut feature = Feature::multiple_choice("symptoms", "?", &["itch", "pain", "nothing at all"], &[]);
    if let FeatureKind::MultipleChoice { exclusive, synonyms, .. } = &mut feature.kind {
        exclusive.push("nothing at all".to_owned());
        synonyms.insert("itching".to_owned(), "itch".to_owned());
    }
    feature
}

/// Questions and columns of each ready questionnaire, as the README states them.
const READY: [(&str, usize, usize); 8] = [
    ("derm7pt", 10, 52),
    ("ham10000", 3, 20),
    ("isic", 3, 15),
    ("pad_ufes_20", 21, 87),
    ("scin", 10, 81),
    ("synthetic", 9, 26),
    ("teledermatology", 35, 213),
    ("uci_dermatology", 34, 132),
];

#[test]
fn ready_questionnaires_have_the_widths_that_are_stated() {
    assert_eq!(READY.map(|(name, _, _)| name), schema::NAMES);
    for (name, questions, columns) in READY {
        let schema = schema::ready(name).unwrap();
        assert_eq!((schema.name(), schema.features().len(), schema.width()), (name, questions, columns));
    }
}

/// Every value that a dataset publishes, by column.
fn published() -> Vec<(&'static str, Vec<(&'static str, &'static str)>)> {
    let booleans =
        "smoke drink pesticide skin_cancer_history cancer_history has_piped_water has_sewage_system";
    let symptoms = "itch grew hurt changed bleed elevation";
    let mut pad: Vec<(&str, &str)> = booleans.split(' ').map(|name| (name, "True False")).collect();
    pad.extend(symptoms.split(' ').map(|name| (name, "True False UNK")));
    pad.extend([
        ("fitspatrick", "1.0 2.0 3.0 4.0 5.0 6.0"),
        ("gender", "FEMALE MALE"),
        ("region", "ARM NECK FACE HAND FOREARM CHEST NOSE THIGH SCALP EAR BACK FOOT ABDOMEN LIP"),
        (
            "background_father",
            "POMERANIA GERMANY BRAZIL BRASIL NETHERLANDS ITALY POLAND UNK PORTUGAL CZECH AUSTRIA SPAIN ISRAEL",
        ),
        (
            "background_mother",
            "POMERANIA ITALY GERMANY BRAZIL UNK POLAND NORWAY PORTUGAL NETHERLANDS FRANCE SPAIN",
        ),
        ("age", "8 55 94"),
        ("diameter_1", "6.0 15.0 100.0"),
        ("diameter_2", "5.0 10.0 70.0"),
    ]);
    let scin = vec![
        (
            "age_group",
            "AGE_18_TO_29 AGE_30_TO_39 AGE_40_TO_49 AGE_50_TO_59 AGE_60_TO_69 AGE_70_TO_79 AGE_80_OR_ABOVE AGE_UNKNOWN",
        ),
        ("sex_at_birth", "FEMALE MALE OTHER_OR_UNSPECIFIED"),
        ("fitzpatrick_skin_type", "FST1 FST2 FST3 FST4 FST5 FST6 NONE_SELECTED"),
        (
            "race_ethnicity",
            "american_indian_or_alaska_native asian black_or_african_american hispanic_latino_or_spanish_origin \
             middle_eastern_or_north_african native_hawaiian_or_pacific_islander white other_race prefer_not_to_answer \
             two_or_more_after_mitigation",
        ),
        ("textures", "raised_or_bumpy flat rough_or_flaky fluid_filled raised_or_bumpy|fluid_filled"),
        (
            "body_parts",
            "head_or_neck arm palm back_of_hand torso_front torso_back genitalia_or_groin buttocks leg foot_top_or_side \
             foot_sole other",
        ),
        (
            "condition_symptoms",
            "bothersome_appearance bleeding increasing_size darkening itching burning pain no_relevant_experience",
        ),
        (
            "other_symptoms",
            "fever chills fatigue joint_pain mouth_sores shortness_of_breath no_relevant_symptoms",
        ),
        (
            "related_category",
            "ACNE GROWTH_OR_MOLE HAIR_LOSS OTHER_HAIR_PROBLEM NAIL_PROBLEM PIGMENTARY_PROBLEM RASH LOOKS_HEALTHY \
             OTHER_ISSUE_DESCRIPTION",
        ),
        (
            "condition_duration",
            "ONE_DAY LESS_THAN_ONE_WEEK ONE_TO_FOUR_WEEKS ONE_TO_THREE_MONTHS THREE_TO_TWELVE_MONTHS MORE_THAN_ONE_YEAR \
             MORE_THAN_FIVE_YEARS SINCE_CHILDHOOD UNKNOWN",
        ),
    ];
    // Sites with blanks are joined by underscores here.
    let ham = "abdomen acral back chest ear face foot genital hand lower_extremity neck scalp trunk unknown upper_extremity";
    let isic = "anterior_torso posterior_torso lateral_torso torso upper_extremity lower_extremity head/neck palms/soles \
                oral/genital";
    let ham = vec![("age", "80.0 0.0 85.0"), ("sex", "male female unknown"), ("localization", ham)];
    let isic = vec![("age_approx", "0 85.0 90"), ("sex", "male female"), ("anatom_site_general", isic)];
    vec![("ham10000", ham), ("isic", isic), ("pad_ufes_20", pad), ("scin", scin)]
}

#[test]
fn every_published_value_encodes() {
    let teledermatology = schema::teledermatology().unwrap();
    for (name, columns) in published() {
        let schema = schema::ready(name).unwrap();
        let asked: BTreeSet<&str> = schema.features().iter().map(|feature| feature.name.as_str()).collect();
        assert_eq!(asked, columns.iter().map(|(column, _)| *column).collect(), "{name}");
        for (column, values) in columns {
            for value in values.split_whitespace() {
                let spaced = value.replace('_', " ");
                let value =
                    if ["localization", "anatom_site_general"].contains(&column) { &spaced } else { value };
                let given = answers(&[(column, value)]);
                let row = schema.encode(&given).unwrap_or_else(|error| panic!("{name}: {error}"));
                let decoded = schema.decode(&row).unwrap();
                let missing = ["unknown", "AGE_UNKNOWN", "NONE_SELECTED", "UNKNOWN"].contains(&value);
                assert_eq!(decoded.is_empty(), missing, "{name}: {column} = {value}");
                // The general intake understands where it is, whoever asked.
                let places = ["localization", "anatom_site_general", "region", "body_parts"];
                if places.contains(&column) && !missing {
                    let row = teledermatology.encode(&answers(&[("body_site", value)])).unwrap();
                    assert_eq!(teledermatology.decode(&row).unwrap().len(), 1);
                }
            }
        }
    }
}

#[test]
fn spellings_of_one_place_are_one_site() {
    let schema = schema::teledermatology().unwrap();
    let columns = |text: &str| schema.encode(&answers(&[("body_site", text)])).unwrap();
    for same in [
        ["back", "posterior torso"],
        ["BACK", "torso_back"],
        ["lower extremity", "leg"],
        ["upper extremity", "arm"],
        ["acral", "palms/soles"],
        ["genital", "genitalia_or_groin"],
        ["head/neck", "head_or_neck"],
        ["torso", "trunk"],
        ["anterior torso", "torso_front"],
    ] {
        assert_eq!(columns(same[0]), columns(same[1]), "{same:?}");
    }
    let names = schema.column_names();
    let on = |text: &str| -> Vec<String> {
        let row = columns(text);
        let site =
            names.iter().zip(&row).filter(|(name, column)| **column == 1.0 && name.starts_with("body_site="));
        site.map(|(name, _)| name.trim_start_matches("body_site=").to_owned()).collect()
    };
    assert_eq!(on("LIP"), ["head and neck", "face", "lip"]);
    assert_eq!(on("chest"), ["trunk", "anterior trunk", "chest"]);
    assert_eq!(on("foot_sole"), ["lower limb", "foot", "sole"]);
}

#[test]
fn the_leaking_block_of_pad_ufes_is_what_is_empty_without_a_biopsy() {
    let schema = schema::pad_ufes_20().unwrap();
    let leaking: Vec<&str> = schema
        .blocks()
        .iter()
        .filter(|block| block.leak.is_some())
        .map(|block| block.name.as_str())
        .collect();
    assert_eq!(leaking, ["history"]);
    let always = ["age", "region", "itch", "grew", "hurt", "changed", "bleed", "elevation"];
    assert_eq!(schema.features_in("history").unwrap().len(), 21 - always.len());
    let given: Vec<(&str, &str)> =
        always.iter().map(|&name| (name, if name == "age" { "8" } else { "" })).collect();
    let missing = schema.missing(&answers(&given));
    assert!(schema.features_in("history").unwrap().iter().all(|name| missing.contains(name)));
}

#[test]
fn each_kind_has_the_columns_that_are_documented() {
    let cases: [(Feature, &str, &[&str], &[f32]); 14] = [
        (Feature::numeric("n", "?", "mm", 0.0, 4.0), "3.0", &["n", "n:missing"], &[0.5, 0.0]),
        (Feature::ordinal("o", "?", &["0", "1", "2"], &[]), "0.0", &["o>=1", "o>=2", "o:missing"], &[0.0; 3]),
        (
            Feature::ordinal("o", "?", &["0", "1", "2"], &[]),
            "1",
            &["o>=1", "o>=2", "o:missing"],
            &[1.0, 0.0, 0.0],
        ),
        (
            Feature::ordinal("o", "?", &["0", "1", "2"], &[("much", "2")]),
            "MUCH",
            &["o>=1", "o>=2", "o:missing"],
            &[1.0, 1.0, 0.0],
        ),
        (
            Feature::choice("c", "?", &["a", "b"], &[]),
            "\u{feff}B ",
            &["c=a", "c=b", "c:missing"],
            &[0.0, 1.0, 0.0],
        ),
        (
            several(),
            "pain|Itching",
            &["symptoms=itch", "symptoms=pain", "symptoms=nothing at all", "symptoms:missing"],
            &[1.0, 1.0, 0.0, 0.0],
        ),
        (
            several(),
            "None",
            &["symptoms=itch", "symptoms=pain", "symptoms=nothing at all", "symptoms:missing"],
            &[0.0; 4],
        ),
        (Feature::boolean("b", "?", UnknownPolicy::Missing), "False", &["b", "b:missing"], &[-1.0, 0.0]),
        (Feature::boolean("b", "?", UnknownPolicy::Missing), "unknown", &["b", "b:missing"], &[0.0, 1.0]),
        (
            Feature::boolean("b", "?", UnknownPolicy::Column),
            "unknown",
            &["b", "b:unknown", "b:missing"],
            &[0.0, 1.0, 0.0],
        ),
        (
            Feature::boolean("b", "?", UnknownPolicy::Column),
            "1.0",
            &["b", "b:unknown", "b:missing"],
            &[1.0, 0.0, 0.0],
        ),
        (
            site(),
            "palm",
            &["site=palm", "site=trunk", "site=back", "site=hand", "site=arm", "site:missing"],
            &[1.0, 0.0, 0.0, 1.0, 1.0, 0.0],
        ),
        (
            site().with_missing(MissingPolicy::Zeros),
            "Posterior torso",
            &["site=palm", "site=trunk", "site=back", "site=hand", "site=arm"],
            &[0.0, 1.0, 1.0, 0.0, 0.0],
        ),
        (
            site().with_missing(MissingPolicy::Required),
            "arm",
            &["site=palm", "site=trunk", "site=back", "site=hand", "site=arm"],
            &[0.0, 0.0, 0.0, 0.0, 1.0],
        ),
    ];
    for (feature, answer, columns, row) in cases {
        let (name, schema) = (feature.name.clone(), one(feature));
        assert_eq!(schema.column_names(), columns);
        assert_eq!(schema.width(), columns.len());
        assert_eq!(schema.encode(&answers(&[(&name, answer)])).unwrap(), row, "{name} = {answer}");
        if schema.features()[0].missing == MissingPolicy::Indicator {
            let mut missing = vec![0.0; columns.len()];
            missing[columns.len() - 1] = 1.0;
            for given in [answers(&[]), answers(&[(&name, "")]), answers(&[(&name, " \u{feff}\t")])] {
                assert_eq!(schema.encode(&given).unwrap(), missing);
                assert_eq!(schema.missing(&given), [name.as_str()]);
                assert_eq!(schema.decode(&missing).unwrap(), answers(&[]));
            }
        }
    }
}

#[test]
fn numbers_outside_are_refused_or_clipped() {
    let clipped = |min, max| {
        let mut feature = Feature::numeric("n", "?", "mm", min, max);
        if let FeatureKind::Numeric { outside, .. } = &mut feature.kind {
            *outside = OutsidePolicy::Clip;
        }
        one(feature)
    };
    let refusing = one(Feature::numeric("n", "?", "mm", 0.0, 10.0));
    for text in ["NaN", "inf", "-inf", "infinity", "1e999", "-1e999", "ten", "1,5", "0x1", "5 mm", "+", "."] {
        for schema in [&refusing, &clipped(0.0, 10.0)] {
            let error = schema.encode(&answers(&[("n", text)])).unwrap_err();
            assert!(matches!(&error, Error::Answer { value, .. } if value == text), "{text}: {error}");
        }
    }
    for (text, expected) in [("-3", -1.0), ("12", 1.0), ("1e300", 1.0), ("7.5", 0.5)] {
        let given = answers(&[("n", text)]);
        assert_eq!(clipped(0.0, 10.0).encode(&given).unwrap()[0], expected);
        assert_eq!(refusing.encode(&given).is_err(), text != "7.5", "{text}");
    }
    assert_eq!(
        clipped(0.0, 10.0).canonical(&answers(&[("n", " +1.2e1 ")])).unwrap(),
        answers(&[("n", "10")])
    );
    assert_eq!(refusing.canonical(&answers(&[("n", "-0.0")])).unwrap(), answers(&[("n", "0")]));
}

#[test]
fn whole_numbers_decode_to_themselves_whatever_the_scaling() {
    let schema = schema::ham10000().unwrap();
    for fit in [["53.3", "71"], ["0", "0.1"], ["119", "120"], ["5", "85"]] {
        let ages = fit.map(|age| answers(&[("age", age)]));
        let fitted = schema.fit_scaling(&ages.iter().collect::<Vec<_>>()).unwrap();
        for age in 0..=120 {
            let given = answers(&[("age", &age.to_string())]);
            let row = fitted.encode(&given).unwrap();
            assert_eq!(fitted.decode(&row).unwrap(), given, "scaled by {fit:?}");
        }
    }
}

#[test]
fn answers_that_do_not_fit_name_feature_and_values() {
    let schema = schema::synthetic().unwrap();
    let encode = |key: &str, value: &str| schema.encode(&answers(&[(key, value)]));
    for (key, value) in [
        ("age", "old"),
        ("age", "NaN"),
        ("age", "inf"),
        ("age", "-1"),
        ("age", "121"),
        ("sex", "both"),
        ("itch", "maybe"),
        ("body_site", "elbow"),
    ] {
        let error = encode(key, value).unwrap_err();
        let Error::Answer { feature, value: got, .. } = &error else { panic!("{error}") };
        assert_eq!((feature.as_str(), got.as_str()), (key, value));
        // A text that is no answer is not a missing one.
        assert_eq!(schema.missing(&answers(&[(key, value)])).len(), 8);
    }
    for (key, value) in
        [("age", "0"), ("age", "120"), ("age", " "), ("sex", "F"), ("itch", "Unknown"), ("pain", "TRUE")]
    {
        assert!(encode(key, value).is_ok(), "{key} = {value}");
    }
    let unitless = one(Feature::numeric("score", "?", "", 0.0, 7.0));
    let error = unitless.encode(&answers(&[("score", "8")])).unwrap_err();
    assert_eq!(error.to_string(), "answer \"8\" to feature `score`: expected a number from 0 to 7");
    let error = encode("shoe_size", "42").unwrap_err();
    assert!(matches!(&error, Error::UnknownFeature { known, .. } if known.len() == 9), "{error}");

    let several = one(several());
    for text in ["itch|", "|", "itch||pain", "itch|nothing at all", "none|itch", "itch;pain", "fever"] {
        let error = several.encode(&answers(&[("symptoms", text)])).unwrap_err();
        assert!(matches!(&error, Error::Answer { .. }), "{text}: {error}");
    }
    let twice = several.encode(&answers(&[("symptoms", "itch | ITCHING")])).unwrap();
    assert_eq!(several.decode(&twice).unwrap(), answers(&[("symptoms", "itch")]));
}

#[test]
fn a_required_answer_must_be_given() {
    let feature = Feature::boolean("itch", "?", UnknownPolicy::Missing).with_missing(MissingPolicy::Required);
    let schema = FeatureSchema::builder("t", "1").missing_markers(&["n/a"]).feature(feature).build().unwrap();
    assert_eq!(schema.column_names(), ["itch"]);
    for given in [answers(&[]), answers(&[("itch", "unknown")]), answers(&[("itch", "N/A")])] {
        assert!(matches!(schema.encode(&given), Err(Error::MissingAnswer { .. })));
        assert_eq!(schema.missing(&given), ["itch"]);
    }
}

#[test]
fn zeros_stand_for_a_missing_answer_where_the_schema_says_so() {
    let lowest = Feature::ordinal("o", "?", &["0", "1"], &[]).with_missing(MissingPolicy::Zeros);
    let schema = one(lowest);
    let row = schema.encode(&answers(&[])).unwrap();
    assert_eq!(row, schema.encode(&answers(&[("o", "0")])).unwrap());
    assert_eq!(schema.decode(&row).unwrap(), answers(&[]), "the documented reading of zeros");
}

#[test]
fn an_excluded_answer_is_refused_with_the_reason() {
    let schema = schema::pad_ufes_20().unwrap();
    let given = answers(&[("biopsed", "True"), ("itch", "True")]);
    let error = schema.encode(&given).unwrap_err();
    assert!(matches!(&error, Error::ExcludedFeature { feature, .. } if feature == "biopsed"), "{error}");
    assert!(error.to_string().contains("biopsy"), "{error}");
    assert_eq!(schema.select(&given), answers(&[("itch", "True")]));
}

#[test]
fn a_schema_that_contradicts_itself_is_refused() {
    let numeric = |min, max| Feature::numeric("n", "?", "u", min, max);
    let scaled = |mean, std| {
        let unit = "u".to_owned();
        let outside = OutsidePolicy::Refuse;
        Feature::new("n", "?", FeatureKind::Numeric { unit, min: 0.0, max: 9.0, outside, mean, std })
    };
    let bool_with = |unknown, from: &str, to: &str| {
        let synonyms = BTreeMap::from([(from.to_owned(), to.to_owned())]);
        Feature::new("b", "?", FeatureKind::Boolean { unknown, synonyms })
    };
    let body = |sites: &[(&str, Option<&str>)]| {
        let sites = sites
            .iter()
            .map(|&(name, parent)| Site { name: name.to_owned(), parent: parent.map(str::to_owned) });
        Feature::body_site("s", "?", sites.collect(), &[])
    };
    let wrong: [(&str, Vec<Feature>); 36] = [
        ("rising order", vec![numeric(0.0, 0.0)]),
        ("rising order", vec![numeric(1.0, 0.0)]),
        ("finite", vec![numeric(f64::NAN, 1.0)]),
        ("finite", vec![numeric(0.0, f64::INFINITY)]),
        ("std", vec![scaled(0.0, 0.0)]),
        ("std", vec![scaled(0.0, -1.0)]),
        ("std", vec![scaled(0.0, f64::NAN)]),
        ("mean", vec![scaled(f64::INFINITY, 1.0)]),
        ("beyond f32", vec![scaled(0.0, 1e-300)]),
        ("answer and also", vec![numeric(-99.0, 1.0)]),
        ("stands twice", vec![numeric(0.0, 1.0), numeric(0.0, 2.0)]),
        ("at least two", vec![Feature::ordinal("o", "?", &["x"], &[])]),
        ("stands twice", vec![Feature::ordinal("o", "?", &["3", "3.0"], &[])]),
        ("at least one", vec![Feature::choice("c", "?", &[], &[])]),
        ("stands twice", vec![Feature::choice("c", "?", &["x", "X"], &[])]),
        ("blank", vec![Feature::choice("c", "?", &["x", " "], &[])]),
        ("is no value", vec![Feature::choice("c", "?", &["x"], &[("y", "z")])]),
        ("stands twice", vec![Feature::choice("c", "?", &["x"], &[("x", "x")])]),
        ("answer and also", vec![Feature::choice("c", "?", &["x", "N/A"], &[])]),
        ("answer and also", vec![Feature::choice("c", "?", &["x"], &[("n/a", "x")])]),
        ("answer and also", vec![Feature::choice("c", "?", &["-1.0"], &[])]),
        ("at least one", vec![Feature::multiple_choice("m", "?", &[], &[])]),
        ("separates", vec![Feature::multiple_choice("m", "?", &["a|b"], &[])]),
        ("no value applies", vec![Feature::multiple_choice("m", "?", &["a", "None"], &[])]),
        ("exclusive", vec![Feature::multiple_choice("m", "?", &["a"], &["b"])]),
        ("exclusive", vec![Feature::multiple_choice("m", "?", &["a"], &["a", "a"])]),
        ("is no value", vec![bool_with(UnknownPolicy::Missing, "ja", "oui")]),
        ("stands twice", vec![bool_with(UnknownPolicy::Missing, "TRUE", "no")]),
        ("answer and also", vec![bool_with(UnknownPolicy::Column, "n/a", "unknown")]),
        ("at least one", vec![body(&[])]),
        ("which is no site", vec![body(&[("back", Some("trunk"))])]),
        ("belongs to itself", vec![body(&[("a", Some("b")), ("b", Some("a"))])]),
        ("belongs to itself", vec![body(&[("a", Some("b")), ("b", Some("b"))])]),
        ("stands twice", vec![body(&[("a", None), ("A", None)])]),
        ("blanks", vec![Feature::choice("", "?", &["x"], &[])]),
        ("blanks", vec![Feature::choice(" b", "?", &["x"], &[])]),
    ];
    let build =
        |features| FeatureSchema::builder("t", "1").missing_markers(&["n/a", "-1"]).features(features);
    for (words, features) in wrong {
        let error = build(features.clone()).build().unwrap_err();
        assert!(matches!(&error, Error::Feature { .. }), "{features:?}: {error}");
        assert!(error.to_string().contains(words), "{features:?}: {error}");
    }
    let fine = bool_with(UnknownPolicy::Missing, "n/a", "unknown");
    assert!(build(vec![fine]).build().is_ok(), "both say that the answer is missing");

    let choice = || Feature::choice("c", "?", &["x"], &[]);
    let builder = || FeatureSchema::builder("t", "1");
    let refused = [
        ("not among", builder().feature(choice().in_block("b"))),
        ("it is excluded: why", builder().exclude("c", "why").feature(choice())),
        // `c=x` is a choice's column and a number's name.
        (
            "another feature's",
            builder().feature(choice()).feature(Feature::numeric("c=x", "?", "", 0.0, 1.0)),
        ),
        ("twice", builder().block(Block::new("b", "")).block(Block::new("b", ""))),
        ("block \"\"", builder().block(Block::new("", ""))),
        ("stands once", builder().exclude("a", "").exclude("a", "")),
        ("name", FeatureSchema::builder("", "1")),
        ("revision", FeatureSchema::builder("t", " 1")),
    ];
    for (words, builder) in refused {
        let error = builder.build().unwrap_err();
        assert!(matches!(&error, Error::Feature { .. } | Error::Schema { .. }), "{error}");
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
}

#[test]
fn a_schema_file_round_trips_and_refuses_what_it_does_not_know() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("feature_schema.json");
    let ages = ["10", "20", "60"].map(|age| answers(&[("age", age)]));
    for name in schema::NAMES {
        let ready = schema::ready(name).unwrap();
        let fitted = if ready.features().iter().any(|feature| feature.name == "age") {
            ready.fit_scaling(&ages.iter().collect::<Vec<_>>()).unwrap()
        } else {
            ready
        };
        fitted.write(&path).unwrap();
        assert_eq!(FeatureSchema::read(&path).unwrap(), fitted, "{name}");
    }

    schema::pad_ufes_20().unwrap().write(&path).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let with = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        FeatureSchema::read(&path)
    };
    assert!(with("{", "\u{feff}{").is_ok(), "a byte-order mark");
    for got in [1, 3] {
        let error = with("\"version\": 2", &format!("\"version\": {got}")).unwrap_err();
        assert!(matches!(error, Error::Version { got: g, expected: 2, .. } if g == got), "{error}");
    }
    // Version 1 had other keys; what is said is the version all the same.
    fs::write(&path, r#"{"version": 1, "missing_markers": [], "features": [{"name": "a"}]}"#).unwrap();
    assert!(matches!(FeatureSchema::read(&path), Err(Error::Version { got: 1, .. })));
    for (from, to, words) in [
        ("\"version\": 2", "\"edition\": 2", "edition"),
        ("\"question\"", "\"query\"", "query"),
        ("\"kind\": \"numeric\"", "\"kind\": \"number\"", "number"),
        ("\"unit\"", "\"units\"", "units"),
        ("\"leak\"", "\"leaks\"", "leaks"),
        ("\"reason\"", "\"because\"", "because"),
        ("\"min\": 0.0", "\"min\": 500.0", "rising order"),
        ("\"block\": \"lesion\"", "\"block\": \"lesions\"", "lesions"),
        ("\"biopsed\"", "\"itch\"", "excluded"),
        ("\"missing\": \"indicator\"", "\"missing\": \"indicate\"", "indicate"),
        ("\"unknown\": \"column\"", "\"unknown\": true", "expected"),
        (
            "\"BRASIL\": \"BRAZIL\"",
            "\"BRASIL\": \"BRAZIL\", \"BRASIL\": \"ITALY\"",
            "\"BRASIL\" stands twice",
        ),
        ("}", "", "key must be a string"),
    ] {
        let error = with(from, to).unwrap_err();
        let Error::Format { path: at, reason } = &error else { panic!("{to}: {error}") };
        assert!(at.ends_with("feature_schema.json") && reason.contains(words), "{to}: {error}");
    }
}

/// What is set in the columns of a good row.
type Changes = &'static [(&'static str, f32)];

#[test]
fn rows_that_no_answer_gives_are_not_decoded() {
    let schema = FeatureSchema::builder("t", "1")
        .feature(Feature::choice("c", "?", &["a", "b"], &[]))
        .feature(Feature::numeric("n", "?", "", 0.0, 1.0))
        .feature(Feature::boolean("b", "?", UnknownPolicy::Missing))
        .feature(Feature::ordinal("o", "?", &["0", "1", "2"], &[]))
        .feature(several())
        .feature(site())
        .build()
        .unwrap();
    let good = schema
        .encode(&answers(&[
            ("c", "a"),
            ("n", "1"),
            ("b", "no"),
            ("o", "1"),
            ("symptoms", "pain"),
            ("site", "back"),
        ]))
        .unwrap();
    assert!(schema.decode(&good).is_ok());
    assert!(matches!(schema.decode(&good[1..]), Err(Error::EncodedWidth { got: 19, expected: 20 })));
    let wrong: [(&str, &str, Changes); 14] = [
        ("c", "two of a choice", &[("c=b", 1.0)]),
        ("c", "none of a choice", &[("c=a", 0.0)]),
        ("c", "half", &[("c=a", 0.5)]),
        ("c", "NaN", &[("c=a", f32::NAN)]),
        ("c", "there and missing", &[("c:missing", 1.0)]),
        ("n", "beyond the range", &[("n", 1.5)]),
        ("n", "infinite", &[("n", f32::INFINITY)]),
        ("n", "NaN", &[("n", f32::NAN)]),
        ("b", "neither yes nor no", &[("b", 0.0)]),
        ("o", "a step without the one below", &[("o>=1", 0.0), ("o>=2", 1.0)]),
        ("symptoms", "an answer that stands alone, with another", &[("symptoms=nothing at all", 1.0)]),
        ("symptoms", "there and missing", &[("symptoms:missing", 1.0)]),
        ("site", "without the place it belongs to", &[("site=trunk", 0.0)]),
        ("site", "two places", &[("site=arm", 1.0)]),
    ];
    let names = schema.column_names();
    for (feature, why, changes) in wrong {
        let mut row = good.clone();
        for (column, value) in changes {
            row[names.iter().position(|name| name == column).unwrap()] = *value;
        }
        let decoded = schema.decode(&row);
        assert!(
            matches!(&decoded, Err(Error::EncodedAnswer { feature: got, .. }) if got == feature),
            "{feature}: {why}: {decoded:?}"
        );
    }
}

#[test]
fn an_encoder_can_be_told_which_columns_belong_together() {
    let schema = schema::scin().unwrap();
    let groups = schema.column_groups();
    let names = schema.column_names();
    let mut next = 0;
    for (group, feature) in groups.iter().zip(schema.features()) {
        assert_eq!((group.feature.as_str(), group.start), (feature.name.as_str(), next));
        next += group.columns;
        assert!(names[group.start..next].iter().all(|name| name.starts_with(&feature.name)));
        assert_eq!(group.has_missing_column, names[next - 1].ends_with(":missing"));
    }
    assert_eq!((groups.len(), next), (schema.features().len(), schema.width()));
}

#[test]
fn a_comparison_tells_what_two_versions_share() {
    let first = FeatureSchema::builder("intake", "1")
        .feature(Feature::numeric("age", "?", "years", 0.0, 100.0))
        .feature(Feature::choice("sex", "?", &["female", "male"], &[]))
        .feature(Feature::ordinal("itch", "?", &["no", "some", "much"], &[]))
        .feature(Feature::numeric("size", "?", "mm", 0.0, 10.0))
        .feature(site())
        .build()
        .unwrap();
    let mut larger = site();
    if let FeatureKind::BodySite { sites, .. } = &mut larger.kind {
        sites.push(Site::within("chest", "trunk"));
    }
    let second = FeatureSchema::builder("intake", "2")
        .feature(Feature::choice("sex", "Which?", &["male", "female", "other"], &[("f", "female")]))
        .feature(Feature::ordinal("itch", "?", &["no", "much"], &[]))
        .feature(Feature::numeric("size", "?", "cm", 0.0, 10.0))
        .feature(Feature::numeric("age", "?", "years", 0.0, 100.0))
        .feature(larger)
        .feature(Feature::boolean("bleeding", "?", UnknownPolicy::Missing))
        .build()
        .unwrap();
    let ages = ["20", "40"].map(|age| answers(&[("age", age)]));
    let second = second.fit_scaling(&ages.iter().collect::<Vec<_>>()).unwrap();
    let comparison = first.compare(&second);
    let shared: Vec<&str> = comparison.shared.iter().map(|column| column.name.as_str()).collect();
    let same = [
        "age",
        "age:missing",
        "sex=female",
        "sex=male",
        "sex:missing",
        "itch:missing",
        "size:missing",
        "site=palm",
        "site=back",
        "site=hand",
        "site=arm",
        "site:missing",
    ];
    assert_eq!(shared, same);
    let (here, there) = (first.column_names(), second.column_names());
    assert!(comparison.shared.iter().all(|c| here[c.here] == c.name && there[c.there] == c.name));
    // A step from no to much is another step where there is some between; the trunk now has a chest.
    assert_eq!(comparison.only_here, ["itch>=some", "itch>=much", "size", "site=trunk"]);
    let new = ["sex=other", "itch>=much", "size", "site=trunk", "site=chest", "bleeding", "bleeding:missing"];
    assert_eq!(comparison.only_there, new);
    let changed: Vec<&str> = comparison.changed.iter().map(|feature| feature.name.as_str()).collect();
    assert_eq!(changed, ["sex", "itch", "size", "site"]);
    assert_eq!(comparison.rescaled, ["age"]);
    assert!(comparison.to_string().contains("12 shared columns, 4 only in the first, 7 only in the other"));

    let same = first.compare(&first);
    assert_eq!(same.shared.len(), first.width());
    assert!(same.only_here.is_empty() && same.only_there.is_empty() && same.changed.is_empty());
}

#[test]
fn unknown_names_are_errors_that_tell_the_known_ones() {
    let schema = schema::pad_ufes_20().unwrap();
    for result in [schema.keep(&["itch", "shoe size"]), schema.drop(&["shoe size"])] {
        assert!(
            matches!(result, Err(Error::UnknownFeature { feature, known }) if feature == "shoe size" && known.len() == 21)
        );
    }
    assert!(
        matches!(schema.features_in("x"), Err(Error::UnknownBlock { known, .. }) if known == ["history", "lesion"])
    );
    let error = schema::ready("ham1000").unwrap_err();
    assert!(matches!(&error, Error::UnknownSchema { known, .. } if known == &schema::NAMES), "{error}");
    let trimmed = schema.drop(&schema.features_in("history").unwrap()).unwrap();
    assert_eq!(trimmed.blocks().len(), 1, "a block without questions is gone");
    assert_eq!(trimmed.excluded(), schema.excluded());
}

/// A feature of each kind under the name, with the i-th policy for missing answers.
fn feature(name: &str, kind: usize, size: usize, policy: usize, flag: bool) -> Feature {
    let values: Vec<String> = (0..=size).map(|value| format!("V {value}")).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let synonyms = [("first one", "V 0")];
    let unknown = if flag { UnknownPolicy::Column } else { UnknownPolicy::Missing };
    let feature = match kind {
        0 => {
            let mut feature = Feature::numeric(name, "?", "u", -50.0, 50.0 + size as f64);
            if let (FeatureKind::Numeric { outside, .. }, true) = (&mut feature.kind, flag) {
                *outside = OutsidePolicy::Clip;
            }
            feature
        }
        1 => Feature::ordinal(name, "?", &values, &synonyms),
        2 => Feature::choice(name, "?", &values, &synonyms),
        3 => Feature::multiple_choice(name, "?", &values, if flag { &values[..1] } else { &[] }),
        4 => Feature::boolean(name, "?", unknown),
        _ => {
            // Each site lies within the one at half its number.
            let parent = |at: usize| {
                if at == 0 { None } else { Some(values[at / 2 - usize::from(at == 1)].to_owned()) }
            };
            let sites = (0..values.len()).map(|at| Site {
                name: values[at].to_owned(),
                parent: if at == 1 { None } else { parent(at) },
            });
            Feature::body_site(name, "?", sites.collect(), &synonyms)
        }
    };
    feature.with_missing([MissingPolicy::Indicator, MissingPolicy::Zeros, MissingPolicy::Required][policy])
}

/// Some answer to a feature, in some spelling, from a number; `None` where it is missing.
fn answer(feature: &Feature, draw: u32, spelling: usize) -> Option<String> {
    let draw = draw as usize;
    if feature.missing != MissingPolicy::Required && draw.is_multiple_of(5) {
        return if spelling == 0 { None } else { Some(["", " ", "N/A"][spelling % 3].to_owned()) };
    }
    let dress = |text: &str| match spelling {
        0 => text.to_owned(),
        1 => text.to_uppercase(),
        2 => format!("  {} ", text.to_lowercase()),
        _ if text == "V 0" => "First One".to_owned(),
        _ => text.to_owned(),
    };
    Some(match &feature.kind {
        FeatureKind::Numeric { min, max, outside, .. } => {
            let clip = *outside == OutsidePolicy::Clip && draw.is_multiple_of(7);
            // Tenths within the range; f32 columns tell them apart.
            let tenths = (max - min) * 10.0;
            let number = (min * 10.0 + (draw % (tenths as usize + 1)) as f64) / 10.0;
            let number = if clip { max + 1.0 } else { number };
            match spelling {
                1 => format!("{number:.3}"),
                2 => format!(" {number:e}"),
                _ => format!("{number}"),
            }
        }
        FeatureKind::Ordinal { values, .. } | FeatureKind::Choice { values, .. } => {
            dress(&values[draw % values.len()])
        }
        FeatureKind::MultipleChoice { values, exclusive, .. } => {
            let chosen: Vec<String> = values
                .iter()
                .enumerate()
                .filter(|(at, value)| draw >> at & 1 == 1 && !exclusive.contains(value))
                .map(|(_, value)| if spelling == 3 { value.clone() } else { dress(value) })
                .collect();
            match (chosen.is_empty(), exclusive.first()) {
                (true, Some(alone)) if draw % 2 == 1 => alone.clone(),
                (true, _) => NONE.to_owned(),
                (false, _) => chosen.join(&SEPARATOR.to_string()),
            }
        }
        FeatureKind::Boolean { unknown, .. } => {
            let words: &[&str] = match unknown {
                UnknownPolicy::Column => &["yes", "no", "unknown", "True", "0.0"],
                UnknownPolicy::Missing => &["yes", "no", "true", "FALSE", "1"],
            };
            dress(words[draw % words.len()])
        }
        FeatureKind::BodySite { sites, .. } => dress(&sites[draw % sites.len()].name),
    })
}

fn random_schema(drawn: &[(usize, usize, usize, bool)]) -> FeatureSchema {
    let features = drawn
        .iter()
        .enumerate()
        .map(|(at, &(kind, size, policy, flag))| feature(&format!("f{at}"), kind, size, policy, flag));
    FeatureSchema::builder("random", "1").missing_markers(&["n/a"]).features(features).build().unwrap()
}

fn random_answers(schema: &FeatureSchema, draws: &[(u32, usize)]) -> Answers {
    let pairs = schema.features().iter().zip(draws.iter().cycle());
    pairs
        .filter_map(|(feature, &(draw, spelling))| {
            answer(feature, draw, spelling).map(|text| (feature.name.clone(), text))
        })
        .collect()
}

/// Answers whose row is that of a missing one: documented for [`MissingPolicy::Zeros`].
fn reads_as_missing(feature: &Feature, row: &[f32]) -> bool {
    feature.missing == MissingPolicy::Zeros && row.iter().all(|&column| column == 0.0)
}

fn kinds() -> impl Strategy<Value = Vec<(usize, usize, usize, bool)>> {
    prop::collection::vec((0..6usize, 1..6usize, 0..3usize, any::<bool>()), 1..9)
}

fn draws() -> impl Strategy<Value = Vec<(u32, usize)>> {
    prop::collection::vec((any::<u32>(), 0..4usize), 9)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn decoding_undoes_encoding(
        drawn in kinds(), draws in draws(), ages in prop::collection::vec(-500..=500i32, 0..6),
    ) {
        let schema = random_schema(&drawn);
        let numeric = schema.features().iter().find(|f| matches!(f.kind, FeatureKind::Numeric { .. }));
        let schema = match numeric.map(|feature| feature.name.clone()) {
            None => schema,
            Some(name) => {
                let fit: Vec<Answers> =
                    ages.iter().map(|age| answers(&[(&name, &format!("{}", f64::from(*age) / 10.0))])).collect();
                schema.fit_scaling(&fit.iter().collect::<Vec<_>>()).unwrap()
            }
        };
        let given = random_answers(&schema, &draws);
        let row = schema.encode(&given).unwrap();
        prop_assert_eq!(row.len(), schema.width());
        prop_assert!(row.iter().all(|column| column.is_finite()));
        let decoded = schema.decode(&row).unwrap();
        // row → answers → row, bit by bit
        prop_assert_eq!(&schema.encode(&decoded).unwrap(), &row);
        // answers → row → canonical answers
        let mut canonical = schema.canonical(&given).unwrap();
        prop_assert_eq!(&schema.canonical(&canonical).unwrap(), &canonical);
        for (group, feature) in schema.column_groups().iter().zip(schema.features()) {
            if reads_as_missing(feature, &row[group.start..group.start + group.columns]) {
                canonical.remove(&feature.name);
            }
        }
        prop_assert_eq!(&decoded, &canonical);
        // what is missing is what has no canonical answer
        let missing: BTreeSet<&str> = schema.missing(&given).into_iter().collect();
        let absent = schema.features().iter().map(|feature| feature.name.as_str());
        let expected: BTreeSet<&str> = absent.filter(|name| !schema.canonical(&given).unwrap().contains_key(*name)).collect();
        prop_assert_eq!(missing, expected);
    }

    #[test]
    fn a_trimmed_schema_has_the_full_ones_columns(drawn in kinds(), draws in draws(), mask in any::<u16>()) {
        let full = random_schema(&drawn);
        let names: Vec<&str> = full
            .features()
            .iter()
            .enumerate()
            .filter(|(at, _)| mask >> at & 1 == 1)
            .map(|(_, feature)| feature.name.as_str())
            .collect();
        let others: Vec<&str> =
            full.features().iter().map(|feature| feature.name.as_str()).filter(|name| !names.contains(name)).collect();
        let kept = full.keep(&names).unwrap();
        prop_assert_eq!(&kept, &full.drop(&others).unwrap());
        let given = random_answers(&full, &draws);
        let row = full.encode(&given).unwrap();
        let matching: Vec<f32> = full
            .column_groups()
            .iter()
            .filter(|group| names.contains(&group.feature.as_str()))
            .flat_map(|group| row[group.start..group.start + group.columns].to_vec())
            .collect();
        prop_assert_eq!(&kept.encode(&kept.select(&given)).unwrap(), &matching);
        let comparison = kept.compare(&full);
        prop_assert_eq!(comparison.shared.len(), kept.width());
        prop_assert!(comparison.shared.iter().all(|c| matching[c.here] == row[c.there]));
        prop_assert!(comparison.changed.is_empty() && comparison.only_here.is_empty());
        prop_assert_eq!(comparison.only_there.len(), full.width() - kept.width());
    }

    #[test]
    fn no_text_makes_a_row_that_is_not_finite(text in "\\PC{0,12}", drawn in kinds()) {
        let schema = random_schema(&drawn);
        for feature in schema.features() {
            let alone = schema.keep(&[&feature.name]).unwrap();
            if let Ok(row) = alone.encode(&answers(&[(&feature.name, &text)])) {
                prop_assert!(row.iter().all(|column| column.is_finite()), "{text:?} to {feature:?}");
                prop_assert_eq!(&alone.encode(&alone.decode(&row).unwrap()).ok(), &Some(row));
            }
        }
    }
}
