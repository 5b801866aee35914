//! Every reader on made-up files of the published layout.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use derm_core::SplitRole;
use derm_data::readers::{
    CsvLayout, Source, bcn20000, ddi, derm7pt, dermamnist, fitzpatrick17k, folders, ham10000, isic2019,
    isic2020, pad_ufes_20, scin, uci_dermatology,
};
use derm_data::{Answers, Dataset, Error, ImageSource, ReadPolicy, Record};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A folder with these files. No reader of a table opens an image, so that an image may be empty.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

fn pairs(map: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
    map.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

fn ids(dataset: &Dataset) -> Vec<&str> {
    dataset.records().iter().map(|record| record.id.as_str()).collect()
}

fn labels(dataset: &Dataset) -> Vec<&str> {
    dataset.records().iter().map(|record| dataset.labels().name(record.class).unwrap()).collect()
}

fn skipped(dataset: &Dataset) -> Vec<(&str, &str)> {
    dataset.skipped().iter().map(|skipped| (skipped.key.as_str(), skipped.reason.as_str())).collect()
}

fn file_name(record: &Record) -> String {
    match &record.image {
        ImageSource::File(path) => path.file_name().unwrap().to_str().unwrap().to_owned(),
        other => panic!("{other:?} is no file"),
    }
}

// --- ISIC 2019 ---

const TRUTH_2019: &str = "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK\n\
    I1,0.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0\n\
    I2,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,0.0\n\
    I3,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0\n\
    I4,1,0,0,0,0,0,0,0,0\n";
const METADATA_2019: &str = "image,age_approx,anatom_site_general,lesion_id,sex\n\
    I2,55,anterior torso,BCN_1,female\n\
    I1,,,,\n\
    I3,30,head/neck,,male\n\
    I4,55,anterior torso,BCN_1,female\n\
    I5,30,head/neck,,male\n";

fn isic2019_folder(truth: &str, metadata: &str, images: &str) -> TempDir {
    let root = folder(&[(isic2019::GROUND_TRUTH, truth), (isic2019::METADATA, metadata)]);
    fs::create_dir_all(root.path().join(images)).unwrap();
    for id in ["I1", "I2", "I3", "I4"] {
        fs::write(root.path().join(images).join(format!("{id}.jpg")), "").unwrap();
    }
    root
}

#[test]
fn isic2019_joins_labels_and_metadata() {
    for images in
        ["ISIC_2019_Training_Input", "ISIC_2019_Training_Input/ISIC_2019_Training_Input", "images", "."]
    {
        let root = isic2019_folder(TRUTH_2019, METADATA_2019, images);
        let dataset = isic2019::read(root.path(), ReadPolicy::STRICT).unwrap();
        assert_eq!(dataset.labels().names(), isic2019::LABELS);
        assert_eq!((ids(&dataset), labels(&dataset)), (vec!["I1", "I2", "I4"], vec!["NV", "SCC", "MEL"]));
        let groups: Vec<&str> = dataset.records().iter().map(Record::group).collect();
        assert_eq!(groups, ["I1", "BCN_1", "BCN_1"]);
        assert!(dataset.records()[0].answers.is_empty());
        let answers = pairs(&dataset.records()[1].answers);
        assert_eq!(
            answers,
            [("age_approx", "55"), ("anatom_site_general", "anterior torso"), ("sex", "female")]
        );
        let groups = pairs(&dataset.records()[0].subgroups);
        assert_eq!(groups, [("age_band", "unknown"), ("anatom_site_general", "unknown"), ("sex", "unknown")]);
        assert_eq!(file_name(&dataset.records()[0]), "I1.jpg");
        let left_out = [
            ("I3", "its diagnosis is UNK, none of the eight"),
            ("I5", "it has no row in ISIC_2019_Training_GroundTruth.csv"),
        ];
        assert_eq!(skipped(&dataset), left_out);
    }
}

#[test]
fn isic2019_refuses_none_and_two_labels_and_missing_metadata() {
    let read = |truth: &str, metadata: &str| {
        let root = isic2019_folder(truth, metadata, "images");
        (isic2019::read(root.path(), ReadPolicy::STRICT), isic2019::read(root.path(), ReadPolicy::SKIP))
    };
    let header = "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK\n";
    let good = "I1,0,1,0,0,0,0,0,0,0\n";
    for (row, words) in [
        ("I2,0,0,0,0,0,0,0,0,0\n", "none of the class columns is 1"),
        ("I2,0,1,0,1,0,0,0,0,0\n", "`NV` and `AK` are both 1"),
    ] {
        let (strict, lenient) = read(&format!("{header}{good}{row}"), METADATA_2019);
        let error = strict.unwrap_err();
        assert!(matches!(&error, Error::Row { line: 3, reason, .. } if reason.contains(words)), "{error}");
        let lenient = lenient.unwrap();
        assert_eq!((ids(&lenient), lenient.skipped()[0].key.as_str()), (vec!["I1"], "I2"));
    }
    let (strict, _) = read(&format!("{header}{good}I2,0,half,1,0,0,0,0,0,0\n"), METADATA_2019);
    let error = strict.unwrap_err();
    assert!(
        matches!(&error, Error::Cell { column, value, .. } if column == "NV" && value == "half"),
        "{error}"
    );
    let (strict, lenient) =
        read(TRUTH_2019, "image,age_approx,anatom_site_general,lesion_id,sex\nI1,,,,\nI4,,,,\n");
    let error = strict.unwrap_err();
    assert!(
        matches!(&error, Error::Row { line: 3, reason, .. } if reason.contains("\"I2\" has no row")),
        "{error}"
    );
    assert_eq!(ids(&lenient.unwrap()), ["I1", "I4"]);
    let (strict, lenient) = read(TRUTH_2019, &format!("{METADATA_2019}I2,55,,,female\n"));
    let error = strict.unwrap_err();
    assert!(matches!(&error, Error::DuplicateRow { line: 7, first: 2, id, .. } if id == "I2"), "{error}");
    assert_eq!(ids(&lenient.unwrap()), ["I1", "I4"]);
}

// --- ISIC 2020 ---

const ROWS_2020: &str = "A,P1,male,45.0,head/neck,unknown,benign,0\n\
    B,P1,male,45.0,torso,melanoma,malignant,1\n\
    C,P2,,,,nevus,benign,0\n\
    D,P3,female,50.0,palms/soles,nevus,benign,0\n";
const HEADER_2020: &str =
    "image_name,patient_id,sex,age_approx,anatom_site_general_challenge,diagnosis,benign_malignant,target\n";

fn isic2020_folder(table: &str, text: &str, more: &[(&str, &str)]) -> TempDir {
    let root = folder(&[
        (table, text),
        ("train/A.jpg", ""),
        ("train/B.jpg", ""),
        ("train/C.jpg", ""),
        ("train/D.jpg", ""),
    ]);
    for (name, text) in more {
        fs::write(root.path().join(name), text).unwrap();
    }
    root
}

#[test]
fn isic2020_is_read_in_both_versions() {
    let first = format!("{HEADER_2020}{ROWS_2020}");
    for table in ["ISIC_2020_Training_GroundTruth.csv", "train.csv"] {
        let root = isic2020_folder(table, &first, &[]);
        let dataset = isic2020::read(root.path(), ReadPolicy::STRICT).unwrap();
        assert_eq!(labels(&dataset), ["benign", "malignant", "benign", "benign"]);
        let groups: Vec<&str> = dataset.records().iter().map(Record::group).collect();
        assert_eq!(groups, ["P1", "P1", "P2", "P3"]);
        assert_eq!(dataset.records()[0].lesion, "A");
        let groups = pairs(&dataset.records()[1].subgroups);
        let expected = [
            ("age_band", "30_to_49"),
            ("anatom_site_general", "torso"),
            ("diagnosis", "melanoma"),
            ("sex", "male"),
        ];
        assert_eq!(groups, expected);
    }
    let second = "image_name,patient_id,lesion_id,sex,age_approx,anatom_site_general_challenge,diagnosis,\
        benign_malignant,target\nA,P1,L1,male,45,,unknown,benign,0\nB,P1,L1,male,45,,unknown,benign,0\n";
    // The second version wins over the first.
    let root = isic2020_folder(
        "ISIC_2020_Training_GroundTruth_v2.csv",
        second,
        &[("ISIC_2020_Training_GroundTruth.csv", &first)],
    );
    let dataset = isic2020::read(root.path(), ReadPolicy::STRICT).unwrap();
    let lesions: Vec<&str> = dataset.records().iter().map(|record| record.lesion.as_str()).collect();
    assert_eq!(lesions, ["L1", "L1"]);
}

#[test]
fn isic2020_leaves_out_published_duplicates() {
    let table = format!("{HEADER_2020}{ROWS_2020}");
    // B repeats A; C repeats B, so A; A and B in the other order is the same pair; X is not in the table.
    let list = "image_name_1,image_name_2\nA,B\nB,C\nB,A\nX,D\n";
    let root = isic2020_folder("train.csv", &table, &[(isic2020::DUPLICATES, list)]);
    let dataset = isic2020::read(root.path(), ReadPolicy::STRICT).unwrap();
    assert_eq!(ids(&dataset), ["A", "D"]);
    let reason = |of: &str| format!("it is the image {of:?} again, by {}", isic2020::DUPLICATES);
    assert_eq!(skipped(&dataset), [("B", reason("A").as_str()), ("C", reason("A").as_str())]);
}

#[test]
fn isic2020_names_a_pair_of_duplicates_that_is_none() {
    let table = format!("{HEADER_2020}{ROWS_2020}");
    let list = "image_name_1,image_name_2\nA,\nA,B\n";
    let root = isic2020_folder("train.csv", &table, &[(isic2020::DUPLICATES, list)]);
    let error = isic2020::read(root.path(), ReadPolicy::STRICT).unwrap_err();
    assert!(matches!(&error, Error::Cell { line: 2, .. }), "{error}");
    let lenient = isic2020::read(root.path(), ReadPolicy::SKIP).unwrap();
    let keys: Vec<&str> = skipped(&lenient).into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [isic2020::DUPLICATES, "B"]);
}

#[test]
fn isic2020_refuses_a_target_that_contradicts_its_name() {
    let table = format!("{HEADER_2020}{}", ROWS_2020.replace("malignant,1", "malignant,0"));
    let root = isic2020_folder("train.csv", &table, &[]);
    let error = isic2020::read(root.path(), ReadPolicy::STRICT).unwrap_err();
    assert!(matches!(&error, Error::Cell { line: 3, column, .. } if column == "target"), "{error}");
}

// --- PAD-UFES-20 ---

const PAD: &str = "patient_id,lesion_id,smoke,drink,background_father,background_mother,age,pesticide,gender,\
    skin_cancer_history,cancer_history,has_piped_water,has_sewage_system,fitspatrick,region,diameter_1,diameter_2,\
    diagnostic,itch,grew,hurt,changed,bleed,elevation,img_id,biopsed\n\
    PAT_1,10,,,,,8,,,,,,,,ARM,,,NEV,False,UNK,False,False,False,False,PAT_1_10_5.png,False\n\
    PAT_2,10,False,True,POMERANIA,BRASIL,55,False,FEMALE,True,True,True,True,3.0,NECK,6.0,5.0,BCC,True,True,False,\
    True,True,True,PAT_2_10_6.png,True\n";

#[test]
fn pad_ufes_20_has_21_answers_and_never_biopsed() {
    for part in ["imgs_part_1", "images", "images/imgs_part_3", "imgs_part_2/imgs_part_2"] {
        let root = folder(&[
            (pad_ufes_20::METADATA, PAD),
            (&format!("{part}/PAT_1_10_5.png"), ""),
            (&format!("{part}/PAT_2_10_6.png"), ""),
        ]);
        let dataset = pad_ufes_20::read(root.path(), ReadPolicy::STRICT).unwrap();
        assert_eq!(dataset.schema().features().len(), 21);
        assert_eq!(labels(&dataset), ["NEV", "BCC"]);
        let [first, second] = dataset.records() else { panic!("two rows") };
        assert_eq!((first.group(), first.lesion.as_str()), ("PAT_1", "PAT_1/10"));
        assert_eq!((second.group(), second.lesion.as_str()), ("PAT_2", "PAT_2/10"));
        assert_eq!(first.answers.len(), 8);
        assert_eq!(second.answers.len(), 21);
        assert_eq!(first.answers["grew"], "UNK");
        assert!(dataset.records().iter().all(|record| !record.answers.contains_key("biopsed")));
        assert_eq!(first.subgroups["biopsed"], "False");
        assert_eq!(second.subgroups["gender"], "FEMALE");
        assert_eq!(first.subgroups["gender"], "unknown");
    }
}

// --- SCIN ---

/// A SCIN folder: case rows as (column, value) lists, and rows of labels.
fn scin_folder(cases: &[&[(&str, &str)]], labels: &[&[(&str, &str)]], prefix: &str) -> TempDir {
    let schema = derm_data::schema::scin().unwrap();
    let mut columns = vec!["case_id".to_owned()];
    for feature in schema.features() {
        match &feature.kind {
            derm_data::schema::FeatureKind::MultipleChoice { values, .. } => {
                columns.extend(values.iter().map(|value| format!("{}_{value}", feature.name)));
            }
            _ => columns.push(feature.name.clone()),
        }
    }
    for number in 1..=3 {
        columns.extend([format!("image_{number}_path"), format!("image_{number}_shot_type")]);
    }
    let label_columns = [
        "case_id",
        "dermatologist_skin_condition_on_label_name",
        "dermatologist_skin_condition_confidence",
        "weighted_skin_condition_label",
        "dermatologist_fitzpatrick_skin_type_label_1",
        "dermatologist_fitzpatrick_skin_type_label_2",
        "dermatologist_fitzpatrick_skin_type_label_3",
        "monk_skin_tone_label_india",
        "monk_skin_tone_label_us",
    ];
    let root = folder(&[]);
    fs::create_dir_all(root.path().join(prefix).join("images")).unwrap();
    let label_columns = label_columns.map(str::to_owned);
    for (file, columns, rows) in
        [("scin_cases.csv", columns.as_slice(), cases), ("scin_labels.csv", &label_columns, labels)]
    {
        let mut text = columns.join(",") + "\r\n";
        for row in rows {
            let cells: Vec<String> = columns
                .iter()
                .map(|column| {
                    let cell = row.iter().find(|(name, _)| name == column).map_or("", |(_, value)| value);
                    format!("\"{}\"", cell.replace('"', "\"\""))
                })
                .collect();
            text.push_str(&(cells.join(",") + "\r\n"));
            assert!(row.iter().all(|(name, _)| columns.iter().any(|column| column == name)), "{row:?}");
        }
        fs::write(root.path().join(prefix).join(file), text).unwrap();
    }
    root
}

#[test]
fn scin_gives_a_record_an_image_and_a_soft_label_a_case() {
    let cases: &[&[(&str, &str)]] = &[
        &[
            ("case_id", "-12"),
            ("age_group", "AGE_30_TO_39"),
            ("sex_at_birth", "FEMALE"),
            ("fitzpatrick_skin_type", "NONE_SELECTED"),
            ("textures_flat", "YES"),
            ("textures_rough_or_flaky", "YES"),
            ("other_symptoms_no_relevant_symptoms", "YES"),
            ("image_1_path", "dataset/images/1.png"),
            ("image_1_shot_type", "CLOSE_UP"),
            ("image_3_path", "dataset/images/2.png"),
            ("image_3_shot_type", "AT_DISTANCE"),
        ],
        &[("case_id", "13"), ("image_1_path", "dataset/images/3.png")],
        &[("case_id", "14"), ("image_1_path", "dataset/images/3.png")],
        &[("case_id", "15")],
        &[
            ("case_id", "16"),
            ("image_1_path", "dataset/images/2.png"),
            ("image_2_path", "dataset/images/4.png"),
        ],
    ];
    let weights = r#"{'Eczema': 0.41, "It's \"odd\"": 0.41, 'Acne': 0.17}"#;
    let opinions: &[&[(&str, &str)]] = &[
        &[
            ("case_id", "-12"),
            ("weighted_skin_condition_label", weights),
            ("dermatologist_skin_condition_on_label_name", r#"["It's \"odd\"", 'Nummular eczema']"#),
            ("dermatologist_skin_condition_confidence", "[4, 2]"),
            ("dermatologist_fitzpatrick_skin_type_label_1", "FST5"),
            ("dermatologist_fitzpatrick_skin_type_label_3", "FST4"),
            ("monk_skin_tone_label_india", "7"),
            ("monk_skin_tone_label_us", "6.0"),
        ],
        &[("case_id", "13"), ("weighted_skin_condition_label", "{}")],
        &[("case_id", "15"), ("weighted_skin_condition_label", "{'Acne': 1.0}")],
        &[("case_id", "16"), ("weighted_skin_condition_label", "{'Psoriasis': 1.0}")],
        &[("case_id", "17"), ("weighted_skin_condition_label", "{'Acne': 1.0}")],
    ];
    for prefix in ["", "dataset"] {
        let root = scin_folder(cases, opinions, prefix);
        for name in ["1", "2", "3", "4"] {
            fs::write(root.path().join(prefix).join(format!("images/{name}.png")), "").unwrap();
        }
        let dataset = scin::read(root.path(), ReadPolicy::STRICT).unwrap();
        assert_eq!(dataset.labels().names(), ["Acne", "Eczema", "It's \"odd\"", "Psoriasis"]);
        assert_eq!(ids(&dataset), ["-12_1", "-12_3", "16_2"]);
        let first = &dataset.records()[0];
        // Of equal weights the first class.
        assert_eq!(labels(&dataset), ["Eczema", "Eczema", "Psoriasis"]);
        let soft_label = first.soft_label.as_ref().unwrap();
        for (got, weight) in soft_label.iter().zip([0.17, 0.41, 0.41, 0.0]) {
            assert!((got - weight / 0.99).abs() < 1e-6, "{soft_label:?}");
        }
        assert_eq!((first.case.as_str(), first.group()), ("-12", "-12"));
        let answers = [
            ("age_group", "AGE_30_TO_39"),
            ("other_symptoms", "no_relevant_symptoms"),
            ("sex_at_birth", "FEMALE"),
            ("textures", "flat|rough_or_flaky"),
        ];
        assert_eq!(pairs(&first.answers), answers);
        let groups = [
            ("age_group", "AGE_30_TO_39"),
            ("confidence", "4"),
            ("fitzpatrick_dermatologists", "FST4"),
            ("fitzpatrick_skin_type", "unknown"),
            ("monk_india", "7"),
            ("monk_us", "6"),
            ("sex_at_birth", "FEMALE"),
            ("shot_type", "CLOSE_UP"),
        ];
        assert_eq!(pairs(&first.subgroups), groups);
        assert_eq!(dataset.records()[1].subgroups["shot_type"], "AT_DISTANCE");
        assert_eq!(file_name(&dataset.records()[1]), "2.png");
        let left_out = [
            ("13", "no dermatologist gave the case a diagnosis"),
            ("14", "the case has no row in the table of labels"),
            ("15", "the case has no image"),
            ("16", "its image \"dataset/images/2.png\" stands in case \"-12\" already"),
            ("17", "it has no row in scin_cases.csv"),
        ];
        assert_eq!(skipped(&dataset), left_out);
        // A missing photograph leaves out itself, not its case.
        fs::remove_file(root.path().join(prefix).join("images/1.png")).unwrap();
        let error = scin::read(root.path(), ReadPolicy::STRICT).unwrap_err();
        assert!(matches!(&error, Error::MissingImage { line: 2, .. }), "{error}");
        assert_eq!(ids(&scin::read(root.path(), ReadPolicy::SKIP).unwrap()), ["-12_3", "16_2"]);
        assert_eq!(
            ids(&scin::read(root.path(), ReadPolicy::TABLE_ONLY).unwrap()),
            ["-12_1", "-12_3", "16_2"]
        );
    }
}

#[test]
fn scin_keeps_answers_that_contradict_each_other() {
    // People tick what they like: the publishers' form keeps none from ticking both.
    let case: &[(&str, &str)] = &[
        ("case_id", "1"),
        ("image_1_path", "images/1.png"),
        ("other_symptoms_fever", "YES"),
        ("other_symptoms_no_relevant_symptoms", "YES"),
    ];
    let label: &[(&str, &str)] = &[("case_id", "1"), ("weighted_skin_condition_label", "{'Acne': 1.0}")];
    let root = scin_folder(&[case], &[label], "");
    let dataset = scin::read(root.path(), ReadPolicy::TABLE_ONLY).unwrap();
    assert_eq!(pairs(&dataset.records()[0].answers), [("other_symptoms", "fever|no_relevant_symptoms")]);
}

#[test]
fn scin_refuses_what_is_no_label() {
    let good: &[(&str, &str)] = &[("case_id", "1"), ("image_1_path", "images/1.png")];
    let bad: &[(&str, &str)] = &[("case_id", "2"), ("image_1_path", "images/2.png")];
    for (column, value) in [
        ("weighted_skin_condition_label", "{'Acne': 0.5"),
        ("weighted_skin_condition_label", "['Acne']"),
        ("weighted_skin_condition_label", "{'Acne': 0.5}"),
        ("weighted_skin_condition_label", "{'Acne': 1.5, 'Eczema': -0.5}"),
        ("weighted_skin_condition_label", "{'Acne': 0.5, 'Acne': 0.5}"),
        ("weighted_skin_condition_label", "{'Acne': '1'}"),
        ("weighted_skin_condition_label", "{'': 1}"),
        ("dermatologist_skin_condition_confidence", "[1]"),
        ("dermatologist_skin_condition_confidence", "[6, 1]"),
        ("dermatologist_skin_condition_on_label_name", "[1, 2]"),
        ("dermatologist_skin_condition_on_label_name", "Acne"),
        ("dermatologist_fitzpatrick_skin_type_label_2", "FST7"),
        ("monk_skin_tone_label_us", "11"),
    ] {
        let mut label = vec![
            ("case_id", "2"),
            ("weighted_skin_condition_label", "{'Acne': 1.0}"),
            ("dermatologist_skin_condition_on_label_name", "['Acne', 'Acne']"),
            ("dermatologist_skin_condition_confidence", "[1, 1]"),
        ];
        label.retain(|(name, _)| *name != column);
        label.push((column, value));
        let fine: &[(&str, &str)] = &[("case_id", "1"), ("weighted_skin_condition_label", "{'Acne': 1}")];
        let root = scin_folder(&[good, bad], &[fine, &label], "");
        let error = scin::read(root.path(), ReadPolicy::TABLE_ONLY).unwrap_err();
        assert!(
            matches!(&error, Error::Cell { line: 3, column: named, path, .. }
                if path.ends_with("scin_labels.csv") && (named == column || named.ends_with("confidence"))),
            "{column} {value}: {error}"
        );
        let skip = ReadPolicy { images: derm_data::ImagePolicy::Without, ..ReadPolicy::SKIP };
        assert_eq!(ids(&scin::read(root.path(), skip).unwrap()), ["1_1"], "{column} {value}");
    }
    for (column, value) in [
        ("image_1_path", "../1.png"),
        ("image_1_path", "/etc/1.png"),
        ("image_1_path", "dataset/../../1.png"),
        ("image_1_path", "..\\1.png"),
        ("image_1_shot_type", "FAR"),
        ("textures_flat", "NO"),
        ("age_group", "AGE_17"),
    ] {
        let mut case = vec![("case_id", "1"), ("image_1_path", "images/1.png")];
        case.retain(|(name, _)| *name != column);
        case.push((column, value));
        let root =
            scin_folder(&[&case], &[&[("case_id", "1"), ("weighted_skin_condition_label", "{'A': 1}")]], "");
        let error = scin::read(root.path(), ReadPolicy::TABLE_ONLY).unwrap_err();
        assert!(matches!(&error, Error::Cell { line: 2, column: named, .. } if named == column), "{error}");
    }
}

// --- Fitzpatrick17k ---

#[test]
fn fitzpatrick17k_names_what_its_check_found_wrong() {
    let text = "md5hash,fitzpatrick_scale,fitzpatrick_centaur,label,nine_partition_label,three_partition_label,qc,url\n\
        aa,3,-1,acne,inflammatory,non-neoplastic,,http://x\n\
        bb,-1,6,melanoma,malignant melanoma,malignant,1 Diagnostic,http://x\n\
        cc,1,1,acne,inflammatory,non-neoplastic,3 Wrongly labelled,http://x\n\
        dd,1,1,acne,inflammatory,non-neoplastic,4 Other,http://x\n";
    let root =
        folder(&[(fitzpatrick17k::METADATA, text), ("data/finalfitz17k/aa.jpg", ""), ("images/bb.jpg", "")]);
    let dataset = fitzpatrick17k::read(root.path(), ReadPolicy::STRICT).unwrap();
    assert_eq!(dataset.labels().num_classes(), 114);
    assert_eq!(labels(&dataset), ["acne", "melanoma"]);
    let groups = [
        ("fitzpatrick_centaur", "unknown"),
        ("fitzpatrick_scale", "3"),
        ("nine_partition", "inflammatory"),
        ("qc", "not checked"),
        ("three_partition", "non-neoplastic"),
    ];
    assert_eq!(pairs(&dataset.records()[0].subgroups), groups);
    let left_out = [
        ("cc", "its quality check says \"3 Wrongly labelled\""),
        ("dd", "its quality check says \"4 Other\""),
    ];
    assert_eq!(skipped(&dataset), left_out);
    for (from, to, column) in
        [("aa,3", "aa,7", "fitzpatrick_scale"), (",acne,", ",acnee,", "label"), ("1 Diag", "6 Diag", "qc")]
    {
        fs::write(root.path().join(fitzpatrick17k::METADATA), text.replace(from, to)).unwrap();
        let error = fitzpatrick17k::read(root.path(), ReadPolicy::STRICT).unwrap_err();
        assert!(matches!(&error, Error::Cell { column: named, .. } if named == column), "{error}");
    }
}

// --- DDI ---

#[test]
fn ddi_has_diseases_or_malignancy_as_classes() {
    let text = ",DDI_ID,DDI_file,skin_tone,malignant,disease\n0,1,000001.png,56,TRUE,melanoma-in-situ\n\
        1,2,000002.png,12,False,wart\n2,3,000003.png,34,false,angioma\n";
    let root =
        folder(&[(ddi::METADATA, text), ("000001.png", ""), ("000002.png", ""), ("images/000003.png", "")]);
    let dataset = ddi::read(root.path(), ReadPolicy::STRICT).unwrap();
    assert_eq!(dataset.labels().names(), ["angioma", "melanoma-in-situ", "wart"]);
    assert_eq!(labels(&dataset), ["melanoma-in-situ", "wart", "angioma"]);
    assert_eq!(pairs(&dataset.records()[0].subgroups), [("malignant", "malignant"), ("skin_tone", "56")]);
    let dataset = ddi::read_malignant(root.path(), ReadPolicy::STRICT).unwrap();
    assert_eq!(labels(&dataset), ["malignant", "benign", "benign"]);
    assert_eq!(pairs(&dataset.records()[1].subgroups), [("disease", "wart"), ("skin_tone", "12")]);
    for (from, to, column) in
        [("56", "6", "skin_tone"), ("TRUE", "yes", "malignant"), ("wart", "", "disease")]
    {
        fs::write(root.path().join(ddi::METADATA), text.replace(from, to)).unwrap();
        let error = ddi::read(root.path(), ReadPolicy::STRICT).unwrap_err();
        assert!(matches!(&error, Error::Cell { column: named, .. } if named == column), "{error}");
    }
}

// --- Derm7pt ---

const DERM7PT: &str = "case_num,diagnosis,seven_point_score,pigment_network,streaks,pigmentation,\
    regression_structures,dots_and_globules,blue_whitish_veil,vascular_structures,level_of_diagnostic_difficulty,\
    elevation,location,sex,management,clinic,derm,case_id,notes\n\
    1,basal cell carcinoma,0,absent,absent,absent,absent,absent,absent,arborizing,medium,nodular,abdomen,female,\
    excision,NEL/NEL025.JPG,NEL/Nel026.jpg,,\n\
    2,melanoma (in situ),3,atypical,irregular,absent,blue areas,absent,present,dotted,high,flat,back,male,excision,\
    NEL/NEL027.JPG,NEL/Nel028.jpg,c7,\n\
    3,blue nevus,0,absent,absent,absent,absent,regular,absent,absent,low,palpable,head neck,male,\
    no further examination,NEL/NEL029.JPG,NEL/Nel030.jpg,c7,\n";

#[test]
fn derm7pt_is_read_in_full_with_its_split() {
    let root = folder(&[
        ("meta/meta.csv", DERM7PT),
        ("meta/train_indexes.csv", "indexes\n2\n"),
        ("meta/valid_indexes.csv", "indexes\n1\n"),
        ("meta/test_indexes.csv", "indexes\n0\n"),
        ("images/NEL/Nel026.jpg", ""),
        ("images/NEL/Nel028.jpg", ""),
        ("images/NEL/Nel030.jpg", ""),
        ("images/NEL/NEL025.JPG", ""),
        ("images/NEL/NEL027.JPG", ""),
        ("images/NEL/NEL029.JPG", ""),
    ]);
    let dataset = derm7pt::read(root.path(), ReadPolicy::STRICT).unwrap();
    assert_eq!(labels(&dataset), ["basal cell carcinoma", "melanoma (in situ)", "blue nevus"]);
    let roles: Vec<_> = dataset.records().iter().map(|record| record.published_role).collect();
    assert_eq!(roles, [Some(SplitRole::Test), Some(SplitRole::Validation), Some(SplitRole::Train)]);
    let lesions: Vec<&str> = dataset.records().iter().map(Record::group).collect();
    assert_eq!(lesions, ["NEL/Nel026.jpg", "c7", "c7"]);
    let record = &dataset.records()[0];
    assert_eq!(record.answers.len(), 10);
    assert_eq!(
        (record.answers["location"].as_str(), record.answers["streaks"].as_str()),
        ("abdomen", "absent")
    );
    let groups = [
        ("elevation", "nodular"),
        ("level_of_diagnostic_difficulty", "medium"),
        ("location", "abdomen"),
        ("management", "excision"),
        ("seven_point_score", "0"),
        ("sex", "female"),
    ];
    assert_eq!(pairs(&record.subgroups), groups);
    assert_eq!(file_name(record), "Nel026.jpg");
    let clinic = derm7pt::read_clinic(root.path(), ReadPolicy::STRICT).unwrap();
    assert_eq!(file_name(&clinic.records()[0]), "NEL025.JPG");
    for (file, text, words) in [
        ("train_indexes.csv", "indexes\n3\n", "the number of a row"),
        ("train_indexes.csv", "indexes\n-1\n", "the number of a row"),
        ("train_indexes.csv", "indexes\n1\n", "each row once"),
    ] {
        fs::write(root.path().join("meta").join(file), text).unwrap();
        let error = derm7pt::read(root.path(), ReadPolicy::STRICT).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    // Row 1 is in the training part and then in the validation part: it stays in the first, and that is named.
    let lenient = derm7pt::read(root.path(), ReadPolicy::SKIP).unwrap();
    let roles: Vec<_> = lenient.records().iter().map(|record| record.published_role).collect();
    assert_eq!(roles, [Some(SplitRole::Test), Some(SplitRole::Train), None]);
    let [(key, reason)] = skipped(&lenient)[..] else { panic!("{:?}", lenient.skipped()) };
    assert!(key == "validation part" && reason.contains("each row once"), "{key}: {reason}");
}

#[test]
fn derm7pt_is_read_in_its_reduced_form() {
    let text = "diagnosis,pigment_network,streaks,pigmentation,regression_structures,dots_and_globules,\
        blue_whitish_veil,vascular_structures,derm\nlentigo,absent,absent,absent,absent,absent,absent,absent,A/1.jpg\n";
    let root = folder(&[("meta.csv", text), ("A/1.jpg", "")]);
    let dataset = derm7pt::read(root.path(), ReadPolicy::STRICT).unwrap();
    assert_eq!((dataset.records()[0].answers.len(), dataset.records()[0].published_role), (7, None));
    let error = derm7pt::read_clinic(root.path(), ReadPolicy::STRICT).unwrap_err();
    assert!(matches!(&error, Error::Column { column, .. } if column == "clinic"), "{error}");
}

// --- BCN20000 ---

#[test]
fn bcn20000_leaves_out_what_is_none_of_the_eight() {
    let text = "bcn_filename,age_approx,anatom_site_general,diagnosis,lesion_id,capture_date,sex,split\n\
        BCN_1.jpg,55.0,anterior torso,MEL,BCN_L1,2012-05-16,male,train\n\
        BCN_2.jpg,,,NV,BCN_L1,2012-05-16,,train\n\
        BCN_3.jpg,55.0,head/neck,OOD,BCN_L2,,male,test\n\
        BCN_4.jpg,55.0,head/neck,,BCN_L3,,male,test\n";
    let root = folder(&[
        (bcn20000::METADATA, text),
        ("bcn_20k_train/BCN_1.jpg", ""),
        ("bcn_20k_train/BCN_2.jpg", ""),
    ]);
    let dataset = bcn20000::read(root.path(), ReadPolicy::STRICT).unwrap();
    assert_eq!(labels(&dataset), ["MEL", "NV"]);
    assert_eq!(dataset.records()[1].group(), "BCN_L1");
    assert_eq!(dataset.records()[0].published_role, Some(SplitRole::Train));
    assert_eq!(dataset.records()[0].subgroups["capture_date"], "2012-05-16");
    let left_out =
        [("BCN_3.jpg", "its diagnosis is OOD, none of the eight"), ("BCN_4.jpg", "it has no diagnosis")];
    assert_eq!(skipped(&dataset), left_out);
    let unknown = text.replace("male,train", "male,holdout");
    fs::write(root.path().join(bcn20000::METADATA), unknown).unwrap();
    let error = bcn20000::read(root.path(), ReadPolicy::STRICT).unwrap_err();
    assert!(matches!(&error, Error::Cell { column, .. } if column == "split"), "{error}");
}

// --- UCI dermatology ---

fn uci_row(age: &str, class: &str) -> String {
    let mut row = "1,".repeat(33);
    write!(row, "{age},{class}").unwrap();
    row
}

#[test]
fn uci_dermatology_has_34_answers_and_no_image() {
    let text = format!("{}\r\n{}\r\n", uci_row("55", "2"), uci_row("?", "6"));
    let root = folder(&[(uci_dermatology::DATA, &text)]);
    let dataset = uci_dermatology::read(root.path(), ReadPolicy::STRICT).unwrap();
    assert_eq!(labels(&dataset), ["seboreic dermatitis", "pityriasis rubra pilaris"]);
    let [first, second] = dataset.records() else { panic!("two rows") };
    assert_eq!((first.answers.len(), second.answers.len()), (34, 33));
    assert!(!second.answers.contains_key("age"));
    assert!(matches!(first.image, ImageSource::Absent));
    assert_eq!((first.group(), second.group()), ("patient_001", "patient_002"));
    for (row, words) in [
        (uci_row("55", "7"), "expected 1 to 6"),
        (uci_row("55", "0"), "expected 1 to 6"),
        (uci_row("55,1", "1"), "36 cells: expected 35"),
        (uci_row("old", "1"), "a number from"),
        (uci_row("55", "1").replacen('1', "4", 1), "one of"),
    ] {
        fs::write(root.path().join(uci_dermatology::DATA), format!("{text}{row}\n")).unwrap();
        let error = uci_dermatology::read(root.path(), ReadPolicy::STRICT).unwrap_err();
        assert!(error.to_string().contains("line 3") && error.to_string().contains(words), "{error}");
        let lenient = uci_dermatology::read(root.path(), ReadPolicy::SKIP).unwrap();
        assert_eq!((lenient.records().len(), lenient.skipped().len()), (2, 1));
    }
}

// --- DermaMNIST ---

/// A `.npy` array of bytes with this header text.
fn npy(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    let padded = format!("{header:<117}\n");
    bytes.extend((padded.len() as u16).to_le_bytes());
    bytes.extend(padded.as_bytes());
    bytes.extend(data);
    bytes
}

fn array(shape: &str, data: &[u8]) -> Vec<u8> {
    npy(&format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}"), data)
}

fn zip_file(path: &Path, members: &[(String, Vec<u8>)], method: CompressionMethod) {
    let mut writer = ZipWriter::new(fs::File::create(path).unwrap());
    for (name, bytes) in members {
        writer.start_file(name, SimpleFileOptions::default().compression_method(method)).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap();
}

/// The members of a file with 2, 1 and 1 images, whose pixels count up.
fn mnist(side: usize) -> Vec<(String, Vec<u8>)> {
    let mut members = Vec::new();
    for (part, labels) in [("train", &[5_u8, 0][..]), ("val", &[6]), ("test", &[4])] {
        let count = labels.len();
        let pixels: Vec<u8> = (0..count * side * side * 3).map(|byte| byte as u8).collect();
        members
            .push((format!("{part}_images.npy"), array(&format!("({count}, {side}, {side}, 3)"), &pixels)));
        members.push((format!("{part}_labels.npy"), array(&format!("({count}, 1)"), labels)));
    }
    members
}

#[test]
fn dermamnist_is_read_at_any_side_stored_and_deflated() {
    for (side, name) in [(28, "dermamnist.npz"), (64, "dermamnist_64.npz")] {
        for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
            let root = folder(&[]);
            let path = root.path().join(name);
            zip_file(&path, &mnist(side), method);
            for given in [root.path(), &path] {
                let dataset = dermamnist::read(given, ReadPolicy::STRICT).unwrap();
                assert_eq!(ids(&dataset), ["train_00000", "train_00001", "val_00000", "test_00000"]);
                assert_eq!(labels(&dataset), ["nv", "akiec", "vasc", "mel"]);
                let roles: Vec<_> =
                    dataset.records().iter().filter_map(|record| record.published_role).collect();
                assert_eq!(
                    roles,
                    [SplitRole::Train, SplitRole::Train, SplitRole::Validation, SplitRole::Test]
                );
                let ImageSource::Rgb(pixels) = &dataset.records()[1].image else { panic!("pixels") };
                assert_eq!((pixels.width(), pixels.height()), (side, side));
                assert_eq!(usize::from(pixels.as_bytes()[0]), side * side * 3 % 256);
            }
            let bare = dermamnist::read(&path, ReadPolicy::TABLE_ONLY).unwrap();
            assert!(bare.records().iter().all(|record| matches!(record.image, ImageSource::Absent)));
        }
    }
}

#[test]
fn dermamnist_refuses_what_is_no_such_file() {
    let root = folder(&[]);
    let path = root.path().join("dermamnist.npz");
    let huge = array("(1, 4096, 4096, 3)", &[]);
    let long = |bytes: &[u8]| [b"\x93NUMPY\x02\x00".as_slice(), &u32::MAX.to_le_bytes(), bytes].concat();
    let cases: Vec<(&str, &str, Vec<u8>)> = vec![
        ("val_labels.npy", "label 7 at row 0", array("(1, 1)", &[7])),
        ("val_labels.npy", "expected [rows, 1]", array("(1,)", &[0])),
        ("val_labels.npy", "does not fit the 1 bytes", array("(2, 1)", &[0])),
        ("val_labels.npy", "does not fit", array("(9999999999999999, 9999999999999999)", &[0])),
        (
            "val_labels.npy",
            "expected unsigned bytes",
            npy("{'descr': '<i8', 'fortran_order': False, 'shape': (1, 1)}", &[0; 8]),
        ),
        (
            "val_labels.npy",
            "expected unsigned bytes",
            npy("{'descr': '|O', 'fortran_order': False, 'shape': (1, 1)}", &[0; 8]),
        ),
        (
            "val_labels.npy",
            "fortran_order",
            npy("{'descr': '|u1', 'fortran_order': True, 'shape': (1, 1)}", &[0]),
        ),
        (
            "val_labels.npy",
            "no shape",
            npy("{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 1)}", &[0]),
        ),
        ("val_labels.npy", "header", npy("import os", &[0])),
        ("val_labels.npy", "no .npy array", b"PICKLEPICKLE".to_vec()),
        ("val_labels.npy", "a header of 4294967295 bytes", long(&[0])),
        ("val_labels.npy", "fill whole buffer", b"\x93NUM".to_vec()),
        ("val_images.npy", "2 images: expected 1", array("(2, 28, 28, 3)", &vec![0; 2 * 28 * 28 * 3])),
        ("val_images.npy", "expected [1, side, side, 3]", array("(1, 28, 27, 3)", &vec![0; 28 * 27 * 3])),
        ("val_images.npy", "expected [1, side, side, 3]", array("(1, 28, 28)", &[0; 28 * 28])),
        ("val_images.npy", "expected [1, side, side, 3]", array("(1, 0, 0, 3)", &[])),
        ("val_images.npy", "does not fit", huge),
    ];
    for (member, words, bytes) in cases {
        let mut members = mnist(28);
        members.iter_mut().find(|(name, _)| name == member).unwrap().1 = bytes;
        zip_file(&path, &members, CompressionMethod::Deflated);
        let error = dermamnist::read(&path, ReadPolicy::SKIP).unwrap_err();
        assert!(matches!(&error, Error::Format { .. } | Error::File(_)), "{error:?}");
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
    for (name, words) in [
        ("../evil.npy", "a path in its name"),
        ("/etc/evil.npy", "a path in its name"),
        ("a/b.npy", "a path in its name"),
        ("..\\evil.npy", "a path in its name"),
    ] {
        let mut members = mnist(28);
        members.push((name.to_owned(), vec![0]));
        zip_file(&path, &members, CompressionMethod::Stored);
        let error = dermamnist::read(&path, ReadPolicy::STRICT).unwrap_err();
        assert!(error.to_string().contains(words), "{name}: {error}");
    }
    let mut members = mnist(28);
    members.remove(3);
    zip_file(&path, &members, CompressionMethod::Stored);
    let error = dermamnist::read(&path, ReadPolicy::STRICT).unwrap_err();
    assert!(error.to_string().contains("val_labels"), "{error}");
    fs::write(&path, "no zip").unwrap();
    let error = dermamnist::read(&path, ReadPolicy::STRICT).unwrap_err();
    assert!(matches!(&error, Error::Format { .. }), "{error:?}");
    fs::remove_file(&path).unwrap();
    let error = dermamnist::read(root.path(), ReadPolicy::STRICT).unwrap_err();
    assert!(matches!(&error, Error::File(file) if file.path.ends_with("dermamnist.npz")), "{error}");
    for name in ["dermamnist.npz", "dermamnist_64.npz"] {
        fs::write(root.path().join(name), "").unwrap();
    }
    let error = dermamnist::read(root.path(), ReadPolicy::STRICT).unwrap_err();
    assert!(error.to_string().contains("holds 2 DermaMNIST files"), "{error}");
}

#[test]
fn dermamnist_with_a_damaged_pixel_is_refused() {
    let root = folder(&[]);
    let path = root.path().join("dermamnist.npz");
    zip_file(&path, &mnist(28), CompressionMethod::Stored);
    let mut bytes = fs::read(&path).unwrap();
    // Within the first member's data, behind its headers.
    bytes[1000] ^= 0xff;
    fs::write(&path, bytes).unwrap();
    let error = dermamnist::read(&path, ReadPolicy::STRICT).unwrap_err();
    assert!(
        matches!(&error, Error::Format { reason, .. } if reason.starts_with("train_images")),
        "{error:?}"
    );
}

#[test]
fn dermamnist_with_a_damaged_label_is_refused() {
    let root = folder(&[]);
    let path = root.path().join("dermamnist.npz");
    zip_file(&path, &mnist(28), CompressionMethod::Stored);
    let mut bytes = fs::read(&path).unwrap();
    let mut arrays = bytes.windows(6).enumerate().filter(|(_, window)| window == b"\x93NUMPY");
    // The first label, 5, becomes 4: another class, and nothing but the checksum tells.
    let first = arrays.nth(1).unwrap().0 + 10 + 118;
    assert_eq!(bytes[first..first + 2], [5, 0]);
    bytes[first] = 4;
    fs::write(&path, bytes).unwrap();
    let error = dermamnist::read(&path, ReadPolicy::STRICT).unwrap_err();
    assert!(
        matches!(&error, Error::Format { reason, .. } if reason.starts_with("train_labels")),
        "{error:?}"
    );
}

// --- folders ---

#[test]
fn folders_are_classes() {
    let root = folder(&[
        ("nv/b.jpg", ""),
        ("nv/a.PNG", ""),
        ("nv/deep/er/c.webp", ""),
        ("mel/a.png", ""),
        ("mel/notes.txt", ""),
        ("mel/.hidden.png", ""),
        (".git/x.png", ""),
        ("stray.jpg", ""),
        ("README.md", ""),
    ]);
    fs::create_dir(root.path().join("df")).unwrap();
    let dataset = folders::read(root.path(), ReadPolicy::STRICT).unwrap();
    assert_eq!(dataset.labels().names(), ["df", "mel", "nv"]);
    assert_eq!(ids(&dataset), ["mel/a.png", "nv/a.PNG", "nv/b.jpg", "nv/deep/er/c.webp"]);
    assert_eq!(labels(&dataset), ["mel", "nv", "nv", "nv"]);
    assert!(dataset.records().iter().all(|record| record.published_role.is_none()));
    let left_out = [
        ("README.md", "no image by its extension"),
        ("stray.jpg", "an image in no folder of a class"),
        ("df", "a class without an image"),
        ("mel/notes.txt", "no image by its extension"),
    ];
    assert_eq!(skipped(&dataset), left_out);
}

#[test]
fn folders_may_be_parts_of_a_split() {
    let root = folder(&[
        ("Train/nv/1.jpg", ""),
        ("Train/mel/2.jpg", ""),
        ("val/nv/1.jpg", ""),
        ("test/bcc/3.jpg", ""),
    ]);
    let dataset = folders::read(root.path(), ReadPolicy::STRICT).unwrap();
    assert_eq!(dataset.labels().names(), ["bcc", "mel", "nv"]);
    assert_eq!(ids(&dataset), ["Train/mel/2.jpg", "Train/nv/1.jpg", "test/bcc/3.jpg", "val/nv/1.jpg"]);
    let roles: Vec<_> = dataset.records().iter().filter_map(|record| record.published_role).collect();
    assert_eq!(roles, [SplitRole::Train, SplitRole::Train, SplitRole::Test, SplitRole::Validation]);
    fs::create_dir(root.path().join("nv")).unwrap();
    let error = folders::read(root.path(), ReadPolicy::STRICT).unwrap_err();
    assert!(error.to_string().contains("expected all or none"), "{error}");
    let empty = folder(&[]);
    let error = folders::read(empty.path(), ReadPolicy::STRICT).unwrap_err();
    assert!(matches!(&error, Error::EmptyDataset { .. }), "{error}");
    let error = folders::read(empty.path().join("nowhere"), ReadPolicy::STRICT).unwrap_err();
    assert!(matches!(&error, Error::File(_)), "{error}");
}

#[cfg(unix)]
#[test]
fn links_stay_within_the_folder() {
    use std::os::unix::fs::symlink;
    let outside = folder(&[("secret.jpg", "")]);
    let root = folder(&[("nv/1.jpg", ""), ("mel/2.jpg", "")]);
    symlink(root.path().join("nv/1.jpg"), root.path().join("nv/3.jpg")).unwrap();
    assert_eq!(folders::read(root.path(), ReadPolicy::STRICT).unwrap().records().len(), 3);
    symlink(outside.path().join("secret.jpg"), root.path().join("nv/4.jpg")).unwrap();
    let error = folders::read(root.path(), ReadPolicy::SKIP).unwrap_err();
    assert!(matches!(&error, Error::OutsideRoot { path, .. } if path.ends_with("nv/4.jpg")), "{error}");
    fs::remove_file(root.path().join("nv/4.jpg")).unwrap();
    symlink(root.path(), root.path().join("nv/again")).unwrap();
    let error = folders::read(root.path(), ReadPolicy::SKIP).unwrap_err();
    assert!(error.to_string().contains("a link to a folder"), "{error}");
}

// --- a table of one's own ---

fn layout(json: &str) -> CsvLayout {
    match serde_json::from_str(&format!("{{\"csv\": {json}}}")).unwrap() {
        Source::Csv(layout) => *layout,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_table_of_ones_own_is_read_by_its_layout() {
    let text = "file;who;lesion;visit;dx;part;Age;Gender;camera\n\
        a.b;A;1;v1;nv;x;40;f;one\n\
        c.jpg;B;1;;mel;y;;;\n\
        d;;;;nv;;41;m;two\n\
        e;;;;;;41;m;two\n";
    let schema = r#"{"version": 2, "name": "own", "revision": "1", "missing_markers": [], "features": [
        {"name": "age", "question": "Age?", "answer": {"kind": "numeric", "unit": "years", "min": 0, "max": 120,
         "mean": 60, "std": 60}},
        {"name": "sex", "question": "Sex?", "answer": {"kind": "choice", "values": ["f", "m"]}}]}"#;
    let root = folder(&[
        ("clinic.csv", text),
        ("own.json", schema),
        ("photos/a.b.jpg", ""),
        ("photos/c.jpg", ""),
        ("photos/d.jpg", ""),
    ]);
    let layout = layout(
        r#"{"table": "clinic.csv", "delimiter": ";",
            "images": {"folder": "photos", "column": "file", "extension": "jpg"},
            "label": {"column": "dx"}, "labels": ["nv", "mel"],
            "patient": "who", "lesion": "lesion", "case": "visit",
            "split": {"column": "part", "train": ["x"], "test": ["y", "z"]},
            "schema": {"file": "own.json"}, "answers": {"age": "Age", "sex": "Gender"},
            "subgroups": {"device": "camera", "sex": "Gender"}}"#,
    );
    let dataset = Source::Csv(Box::new(layout.clone())).read(root.path(), ReadPolicy::STRICT).unwrap();
    assert_eq!(dataset.name(), "clinic");
    assert_eq!(dataset.labels().names(), ["nv", "mel"]);
    assert_eq!(ids(&dataset), ["a.b", "c.jpg", "d"]);
    let files: Vec<String> = dataset.records().iter().map(file_name).collect();
    assert_eq!(files, ["a.b.jpg", "c.jpg", "d.jpg"]);
    let [first, second, third] = dataset.records() else { panic!("three rows") };
    assert_eq!((first.group(), first.lesion.as_str(), first.case.as_str()), ("A", "A/1", "A/v1"));
    assert_eq!((second.group(), second.lesion.as_str(), second.case.as_str()), ("B", "B/1", "B/1"));
    assert_eq!((third.group(), third.lesion.as_str(), third.case.as_str()), ("d", "d", "d"));
    assert_eq!(pairs(&first.answers), [("age", "40"), ("sex", "f")]);
    assert_eq!(second.answers, Answers::new());
    assert_eq!(pairs(&second.subgroups), [("device", "unknown"), ("sex", "unknown")]);
    let roles: Vec<_> = dataset.records().iter().map(|record| record.published_role).collect();
    assert_eq!(roles, [Some(SplitRole::Train), Some(SplitRole::Test), None]);
    assert_eq!(skipped(&dataset), [("e", "it has no class")]);
    let written = serde_json::to_string(&layout).unwrap();
    assert_eq!(serde_json::from_str::<CsvLayout>(&written).unwrap(), layout);
}

#[test]
fn a_case_alone_is_the_group() {
    let root = folder(&[("t.csv", "id,dx,visit\n1,a,v\n2,b,v\n3,b,\n")]);
    let layout = layout(r#"{"table": "t.csv", "id": "id", "label": {"column": "dx"}, "case": "visit"}"#);
    let dataset = layout.read(root.path(), ReadPolicy::STRICT).unwrap();
    let groups: Vec<&str> = dataset.records().iter().map(Record::group).collect();
    assert_eq!(groups, ["v", "v", "3"]);
}

#[test]
fn a_lesion_or_an_image_of_two_groups_is_refused() {
    let layout = layout(
        r#"{"table": "t.csv", "id": "id", "label": {"column": "dx"}, "patient": "who", "lesion": "lesion",
            "case": "visit", "images": {"column": "file"}}"#,
    );
    // Row 2 may show lesion 1 of patient A: then one lesion would be two groups.
    for (rows, words) in [
        ("1,a,A,1,v,1.png\n2,a,,1,,2.png\n", "its lesion \"1\" is one of a patient in another row"),
        ("1,a,A,1,v,1.png\n2,a,,,v,2.png\n", "its case \"v\" is one of a patient in another row"),
        ("1,a,A,1,,1.png\n2,a,B,1,,1.png\n", "its image is one of the group \"A\" too"),
    ] {
        let root = folder(&[("1.png", ""), ("2.png", "")]);
        fs::write(root.path().join("t.csv"), format!("id,dx,who,lesion,visit,file\n{rows}")).unwrap();
        let error = layout.read(root.path(), ReadPolicy::STRICT).unwrap_err();
        assert!(matches!(&error, Error::Row { line: 3, reason, .. } if reason.contains(words)), "{error}");
        let lenient = layout.read(root.path(), ReadPolicy::SKIP).unwrap();
        assert_eq!((ids(&lenient), lenient.skipped().len()), (vec!["1"], 1));
    }
    // Two lesions of unknown patients, and a patient's lesion photographed twice in one picture.
    let root = folder(&[("1.png", ""), ("2.png", "")]);
    let rows = "1,a,A,1,,1.png\n2,a,A,2,,1.png\n3,a,,3,,2.png\n4,a,,,,2.png\n";
    fs::write(root.path().join("t.csv"), format!("id,dx,who,lesion,visit,file\n{rows}")).unwrap();
    let error = layout.read(root.path(), ReadPolicy::STRICT).unwrap_err();
    assert!(matches!(&error, Error::Row { line: 5, .. }), "{error}");
}

#[test]
fn a_row_without_a_required_answer_is_an_error_or_a_named_skip() {
    let schema = r#"{"version": 2, "name": "own", "revision": "1", "missing_markers": [], "features": [
        {"name": "age", "question": "Age?", "missing": "required", "answer": {"kind": "numeric", "unit": "years",
         "min": 0, "max": 120, "mean": 60, "std": 60}},
        {"name": "sex", "question": "Sex?", "answer": {"kind": "choice", "values": ["f", "m"]}}]}"#;
    let layout = layout(
        r#"{"table": "t.csv", "label": {"column": "dx"}, "id": "id", "schema": {"file": "own.json"},
            "answers": {"age": "age", "sex": "sex"}}"#,
    );
    let read = |rows: &str, policy| {
        let root = folder(&[("t.csv", &format!("id,dx,age,sex\n{rows}")), ("own.json", schema)]);
        layout.read(root.path(), policy)
    };
    let strict = |rows: &str| read(rows, ReadPolicy::STRICT).unwrap_err();
    let error = strict("a,nv,40,f\nb,nv,,m\n");
    assert!(
        matches!(&error, Error::Row { line: 3, reason, .. } if reason.contains("`age` needs")),
        "{error}"
    );
    // What is wrong in a cell is told even where a required answer is missing too.
    let error = strict("b,nv,,x\n");
    assert!(
        matches!(&error, Error::Cell { column, value, .. } if column == "sex" && value == "x"),
        "{error}"
    );
    let dataset = read("a,nv,40,f\nb,nv,,m\nc,nv,,x\n", ReadPolicy::SKIP).unwrap();
    assert_eq!(ids(&dataset), ["a"]);
    let skipped: Vec<&str> = dataset.skipped().iter().map(|skipped| skipped.key.as_str()).collect();
    assert_eq!(skipped, ["b", "c"]);
}

#[test]
fn classes_may_be_columns_with_ones_or_weights() {
    let root = folder(&[("t.csv", "mel,nv\n1,0\n0,1\n")]);
    let one_hot = layout(r#"{"table": "t.csv", "label": {"one_hot": ["nv", "mel"]}}"#);
    let dataset = one_hot.read(root.path(), ReadPolicy::STRICT).unwrap();
    assert_eq!(dataset.labels().names(), ["nv", "mel"]);
    assert_eq!((ids(&dataset), labels(&dataset)), (vec!["row_2", "row_3"], vec!["mel", "nv"]));
    assert!(dataset.records()[0].soft_label.is_none());
    fs::write(root.path().join("t.csv"), "mel,nv\n1,3\n,2\n2,2\n").unwrap();
    let weights =
        layout(r#"{"table": "t.csv", "label": {"weights": ["nv", "mel"]}, "labels": ["nevus", "melanoma"]}"#);
    let dataset = weights.read(root.path(), ReadPolicy::STRICT).unwrap();
    assert_eq!(labels(&dataset), ["nevus", "nevus", "nevus"]);
    let soft: Vec<&[f32]> =
        dataset.records().iter().map(|record| record.soft_label.as_deref().unwrap()).collect();
    assert_eq!(soft, [[0.75, 0.25], [1.0, 0.0], [0.5, 0.5]]);
    for (rows, words) in [
        ("0,0\n", "no class has a weight above 0"),
        ("-1,2\n", "a number of at least 0"),
        ("NaN,2\n", "a number of at least 0"),
        ("inf,2\n", "a number of at least 0"),
    ] {
        fs::write(root.path().join("t.csv"), format!("mel,nv\n{rows}")).unwrap();
        let error = weights.read(root.path(), ReadPolicy::STRICT).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn a_layout_that_contradicts_itself_or_its_table_is_refused() {
    let root = folder(&[("t.csv", "id,dx,part,age,img\n1,a,x,40,../up.jpg\n")]);
    let read = |json: &str| layout(json).read(root.path(), ReadPolicy::STRICT).unwrap_err();
    let label = r#""table": "t.csv", "label": {"column": "dx"}"#;
    for column in ["id", "patient", "lesion", "case"] {
        let error = read(&format!(r#"{{{label}, "{column}": "nope"}}"#));
        assert!(matches!(&error, Error::Column { column, .. } if column == "nope"), "{error}");
    }
    let error = read(r#"{"table": "t.csv", "label": {"one_hot": ["dx", "nope"]}}"#);
    assert!(matches!(&error, Error::Column { column, .. } if column == "nope"), "{error}");
    let error = read(&format!(r#"{{{label}, "subgroups": {{"site": "nope"}}}}"#));
    assert!(matches!(&error, Error::Column { column, .. } if column == "nope"), "{error}");
    let error = read(&format!(r#"{{{label}, "answers": {{"age": "age"}}}}"#));
    assert!(matches!(&error, Error::Setting { name: "csv.answers", .. }), "{error}");
    let error = read(&format!(r#"{{{label}, "schema": {{"ready": "isic"}}, "answers": {{"agee": "age"}}}}"#));
    assert!(matches!(&error, Error::UnknownFeature { feature, .. } if feature == "agee"), "{error}");
    for delimiter in ["\\\"", "\\n", "§"] {
        let error = read(&format!(r#"{{{label}, "delimiter": "{delimiter}"}}"#));
        assert!(matches!(&error, Error::Setting { name: "csv.delimiter", .. }), "{error}");
    }
    let error =
        read(&format!(r#"{{{label}, "split": {{"column": "part", "train": ["x"], "test": ["x"]}}}}"#));
    assert!(matches!(&error, Error::Setting { name: "csv.split", .. }), "{error}");
    let error = read(&format!(r#"{{{label}, "split": {{"column": "part", "train": ["y"]}}}}"#));
    assert!(matches!(&error, Error::Cell { column, .. } if column == "part"), "{error}");
    let error = read(r#"{"table": "t.csv", "label": {"one_hot": ["dx", "age"]}, "labels": ["a"]}"#);
    assert!(matches!(&error, Error::Setting { name: "csv.labels", .. }), "{error}");
    let error = read(r#"{"table": "t.csv", "label": {"one_hot": ["dx", "dx"]}}"#);
    assert!(matches!(&error, Error::Labels(_)), "{error}");
    let error = read(&format!(r#"{{{label}, "labels": ["b"]}}"#));
    assert!(matches!(&error, Error::Cell { column, .. } if column == "dx"), "{error}");
    let error = read(&format!(r#"{{{label}, "images": {{"column": "img"}}}}"#));
    assert!(matches!(&error, Error::Cell { column, .. } if column == "img"), "{error}");
    let wrong =
        serde_json::from_str::<CsvLayout>(r#"{"table": "t.csv", "label": {"column": "dx"}, "lable": 1}"#);
    assert!(wrong.unwrap_err().to_string().contains("lable"));
}

// --- names ---

#[test]
fn every_source_has_the_name_of_its_reader() {
    // The error of an unknown name lists all that there are.
    let unknown = serde_json::from_str::<Source>("\"pictures\"").unwrap_err().to_string();
    assert_eq!(unknown.matches('`').count(), 2 * (Source::NAMES.len() + 1), "{unknown}");
    for name in Source::NAMES.into_iter().filter(|name| *name != "csv") {
        let source: Source = serde_json::from_str(&format!("{name:?}")).unwrap();
        assert_eq!(serde_json::to_string(&source).unwrap(), format!("{name:?}"));
        // Each reads its own files, and says so where they are not there.
        let error = source.read(folder(&[]).path().join("nothing here"), ReadPolicy::STRICT).unwrap_err();
        assert!(
            matches!(&error, Error::File(file) if file.path.to_string_lossy().contains("nothing here")),
            "{error}"
        );
    }
    assert!(serde_json::from_str::<Source>("\"ham1000\"").unwrap_err().to_string().contains("ham10000"));
}

// --- any table ---

#[test]
fn tables_are_read_with_any_line_ends_and_quotes() {
    let plain = "lesion_id,image_id,dx,dx_type,age,sex,localization\nL1,A,nv,histo,80.0,male,scalp\nL2,B,mel,histo,,,\n";
    let unquoted = folder(&[(ham10000::METADATA, plain)]);
    let expected = ham10000::read(unquoted.path(), ReadPolicy::TABLE_ONLY).unwrap();
    for text in [
        plain.replace('\n', "\r\n"),
        plain.replace('\n', "\r"),
        format!("\u{feff}{plain}"),
        plain.replace("nv", "\"nv\"").replace("lesion_id", "\"lesion_id\""),
        plain.replace("\nL2", "\n\nL2"),
        plain.replace(",nv,", " , nv ,"),
        plain.trim_end().to_owned(),
    ] {
        let root = folder(&[("HAM10000_metadata", &text)]);
        let dataset = ham10000::read(root.path(), ReadPolicy::TABLE_ONLY).unwrap();
        assert_eq!((ids(&dataset), labels(&dataset)), (ids(&expected), labels(&expected)), "{text:?}");
        assert_eq!(dataset.records()[0].answers, expected.records()[0].answers);
    }
}

#[test]
fn broken_tables_are_named_with_their_line() {
    let header = "lesion_id,image_id,dx,dx_type,age,sex,localization\n";
    let good = "L1,A,nv,histo,80.0,male,scalp\n";
    let read = |text: &[u8], policy| {
        let root = folder(&[]);
        fs::write(root.path().join(ham10000::METADATA), text).unwrap();
        ham10000::read(root.path(), policy)
    };
    let skip = ReadPolicy { images: derm_data::ImagePolicy::Without, ..ReadPolicy::SKIP };
    for (rows, words) in [
        ("L2,B,nv,histo,80.0,male\n", "6 cells: expected 7"),
        ("L2,B,nv,histo,80.0,male,scalp,more\n", "8 cells: expected 7"),
        ("L2,B,nv,histo,80.0,male,\u{0}\n", "localization"),
        ("L2,,nv,histo,80.0,male,scalp\n", "an image's name"),
        ("L2,A,nv,histo,80.0,male,scalp\n", "stands in line 2 already"),
        ("L2,B,nevus,histo,80.0,male,scalp\n", "expected one of"),
        ("L2,B,nv,histo,young,male,scalp\n", "a number from"),
    ] {
        let text = format!("{header}{good}{rows}");
        for ends in ["\n", "\r\n", "\r"] {
            let text = text.replace('\n', ends);
            let error = read(text.as_bytes(), ReadPolicy::TABLE_ONLY).unwrap_err().to_string();
            assert!(error.contains("line 3") && error.contains(words), "{rows:?}: {error}");
        }
        let lenient = read(text.as_bytes(), skip).unwrap();
        assert_eq!((ids(&lenient), lenient.skipped().len()), (vec!["A"], 1), "{rows:?}");
    }
    let latin = [header.as_bytes(), good.as_bytes(), b"L2,B,nv,histo,80.0,m\xe4le,scalp\n"].concat();
    let error = read(&latin, ReadPolicy::TABLE_ONLY).unwrap_err();
    assert!(matches!(&error, Error::Row { line: 3, reason, .. } if reason.contains("UTF-8")), "{error}");
    assert_eq!(ids(&read(&latin, skip).unwrap()), ["A"]);
    // A quote that stays open swallows rows, so that it is an error whatever the policy.
    for rows in ["L2,B,nv,histo,80.0,male,\"scalp\nL3,C,nv,histo,,,\n", "\"L2,B,nv,histo,80.0,male,scalp\n"] {
        let text = format!("{header}{good}{rows}");
        for policy in [ReadPolicy::TABLE_ONLY, skip] {
            let error = read(text.as_bytes(), policy).unwrap_err();
            assert!(
                matches!(&error, Error::Row { line: 3, reason, .. } if reason.contains("quote")),
                "{error}"
            );
        }
    }
    // A quote within a cell is text, and a doubled one is one.
    let quoted =
        format!("{header}L1,A,nv,hi\"\"sto,80.0,male,scalp\nL\"2,B,nv,\"hi\"\"sto\",80.0,male,scalp\n");
    assert_eq!(ids(&read(quoted.as_bytes(), ReadPolicy::TABLE_ONLY).unwrap()), ["A", "B"]);
    let repeated = format!("{}\n", header.trim_end().replace("sex", "age"));
    let error = read(repeated.as_bytes(), ReadPolicy::TABLE_ONLY).unwrap_err();
    assert!(matches!(&error, Error::RepeatedColumn { column, .. } if column == "age"), "{error}");
    let utf16: Vec<u8> = header.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let error = read(&[&[0xff, 0xfe], utf16.as_slice()].concat(), ReadPolicy::TABLE_ONLY).unwrap_err();
    assert!(matches!(&error, Error::Row { line: 1, reason, .. } if reason.contains("UTF-8")), "{error}");
}
