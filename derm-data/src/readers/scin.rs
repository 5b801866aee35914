//! SCIN: 5,033 cases of everyday skin conditions with 10,408 photographs by the people themselves, their answers, and
//! dermatologists' weighted differential diagnoses.
//!
//! # Source
//! Ward et al.: Creating an empirical dermatology dataset through crowdsourcing with web search advertisements, JAMA
//! Network Open 7(11), e2446615 (2024); the publishers' description of the fields (`dataset_schema.md`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::ReadPolicy;
use super::image_index::ImageIndex;
use super::intake::{Intake, Reading, found_labels, subgroups};
use super::join::Join;
use super::one_hot::distribution;
use super::python_literal::Literal;
use super::table::{Row, Table, first_file};
use crate::schema::{FeatureKind, SEPARATOR};
use crate::{Answers, Dataset, Error, Record, schema};

/// Where the table of cases may lie: in the folder itself, or in the bucket's folder `dataset`.
pub const CASES: [&str; 2] = ["scin_cases.csv", "dataset/scin_cases.csv"];

/// Where the table of labels may lie.
pub const LABELS: [&str; 2] = ["scin_labels.csv", "dataset/scin_labels.csv"];

/// What the published paths of images start with.
const PREFIX: &str = "dataset/";

const WEIGHTS: &str = "weighted_skin_condition_label";
const NAMES: &str = "dermatologist_skin_condition_on_label_name";
const CONFIDENCES: &str = "dermatologist_skin_condition_confidence";

const LABEL_COLUMNS: [&str; 9] = [
    "case_id",
    NAMES,
    CONFIDENCES,
    WEIGHTS,
    "dermatologist_fitzpatrick_skin_type_label_1",
    "dermatologist_fitzpatrick_skin_type_label_2",
    "dermatologist_fitzpatrick_skin_type_label_3",
    "monk_skin_tone_label_india",
    "monk_skin_tone_label_us",
];

/// Columns of a case's up to three images: path, shot type.
const IMAGES: [(&str, &str); 3] = [
    ("image_1_path", "image_1_shot_type"),
    ("image_2_path", "image_2_shot_type"),
    ("image_3_path", "image_3_shot_type"),
];

const SHOT_TYPES: [&str; 4] = ["CLOSE_UP", "AT_AN_ANGLE", "AT_DISTANCE", ""];

const SKIN_TYPES: [&str; 6] = ["FST1", "FST2", "FST3", "FST4", "FST5", "FST6"];

/// How far the weights' sum may be from 1: they are published with two decimals, up to nine of them a case.
const WEIGHT_SUM: std::ops::RangeInclusive<f64> = 0.9..=1.1;

/// Answers that are subgroup columns too.
const SUBGROUPS: [&str; 3] = ["age_group", "sex_at_birth", "fitzpatrick_skin_type"];

/// Reads the cases and their labels, joined on `case_id`, and finds the images under their published paths
/// (`dataset/images/…`, with or without `dataset/`).
///
/// One record an image, so up to three a case, which share class, soft label, answers, lesion and case. The group is the
/// case, since people are not known. The classes are all conditions that a dermatologist named, in the order of their
/// bytes: some hundreds, of which a [`LabelMapping`](crate::LabelMapping) makes fewer. The soft label is
/// `weighted_skin_condition_label`, divided by its sum; the class is the condition with the largest weight, of equal ones
/// the first.
///
/// Answers are the schema's: a question with one column an option joins the options that say `YES`, and is missing where
/// none does. Subgroup columns are `age_group`, `sex_at_birth`, `fitzpatrick_skin_type` (by the people themselves),
/// `fitzpatrick_dermatologists` (the median of up to three opinions; of an even number of them the lower middle),
/// `monk_india`, `monk_us`, `confidence` (the highest that a dermatologist gave, 1 to 5) and `shot_type`.
///
/// Left out, with the reason: a case without a label or without an image, a label without a case, and an image that another case or the same one
/// has already (the same photograph in two parts of a split would be a leak).
///
/// # Errors
/// As [`ham10000::read`](super::ham10000::read); [`Error::Cell`] for lists and weights that are no Python literals, have
/// different lengths, are negative or do not sum to 1, and for a path that leads out of the folder.
pub fn read(root: impl AsRef<Path>, policy: ReadPolicy) -> Result<Dataset, Error> {
    let root = root.as_ref();
    let schema = schema::scin()?;
    let mut columns: Vec<String> = vec!["case_id".to_owned()];
    for feature in schema.features() {
        columns.extend(
            option_columns(&feature.name, &feature.kind).unwrap_or_else(|| vec![feature.name.clone()]),
        );
    }
    columns.extend(IMAGES.iter().flat_map(|(path, shot)| [(*path).to_owned(), (*shot).to_owned()]));
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let cases = Table::read(&first_file(root, &CASES), &columns)?;
    let labels = Table::read(&first_file(root, &LABELS), &LABEL_COLUMNS)?;
    let conditions = conditions(&labels);
    let labels = Join::new(&labels, "case_id", policy)?;
    let images = ImageIndex::paths(root, &[""], PREFIX, policy.images);
    let mut intake = Intake::new("SCIN", found_labels("SCIN", conditions)?, schema, policy);
    let mut case_of_image: BTreeMap<String, String> = BTreeMap::new();
    intake.read_rows(&cases, "case_id", |intake, row| {
        let case = row.filled("case_id", "a case's name")?;
        let Some(label) = labels.find(case)? else {
            return Ok(Reading::LeftOut("the case has no row in the table of labels".to_owned()));
        };
        let weights = weights(label)?;
        if weights.is_empty() {
            return Ok(Reading::LeftOut("no dermatologist gave the case a diagnosis".to_owned()));
        }
        let mut by_class = vec![0.0; intake.labels().num_classes()];
        for (condition, weight) in &weights {
            by_class[intake.labels().class_index(condition)?.get()] += weight;
        }
        let (soft_label, class) = distribution(&by_class);
        let class = intake.labels().class_at(class)?;
        let answers = answers(intake, row)?;
        let given = |name| (name, answers.get(name).map_or("", String::as_str));
        let mut groups = subgroups(&SUBGROUPS.map(given));
        groups.extend(opinions(label)?);
        let mut records = Vec::new();
        for (number, (path, shot)) in (1..).zip(IMAGES) {
            let published = row.cell(path);
            if published.is_empty() {
                continue;
            }
            if let Some(other) = case_of_image.insert(published.to_owned(), case.to_owned()) {
                let reason = format!("its image {published:?} stands in case {other:?} already");
                records.push(Ok(Reading::LeftOut(reason)));
                continue;
            }
            records.push(row.one_of(shot, &SHOT_TYPES).and_then(|shot| {
                let image = images.at(row, path, None)?;
                let mut subgroups = groups.clone();
                subgroups.extend(self::subgroups(&[("shot_type", shot)]));
                let record = Record::new(format!("{case}_{number}"), image, class);
                let (lesion, case) = (case.to_owned(), case.to_owned());
                let (answers, soft_label) = (answers.clone(), Some(soft_label.clone()));
                Ok(Record { soft_label, lesion, case, answers, subgroups, ..record }.into())
            }));
        }
        if records.is_empty() {
            return Ok(Reading::LeftOut("the case has no image".to_owned()));
        }
        Ok(Reading::Several(records))
    })?;
    intake.skip_unmatched(&labels, &cases, "case_id");
    intake.finish()
}

/// The published columns of a question with one column an option.
fn option_columns(feature: &str, kind: &FeatureKind) -> Option<Vec<String>> {
    match kind {
        FeatureKind::MultipleChoice { values, .. } => {
            Some(values.iter().map(|value| format!("{feature}_{value}")).collect())
        }
        _ => None,
    }
}

fn answers(intake: &Intake, row: Row<'_>) -> Result<Answers, Error> {
    let mut answers = Answers::new();
    for feature in intake.schema().features() {
        let name = feature.name.as_str();
        let FeatureKind::MultipleChoice { values, .. } = &feature.kind else {
            intake.answer(&mut answers, row, (name, name), row.cell(name))?;
            continue;
        };
        let mut ticked = String::new();
        for value in values {
            let column = format!("{name}_{value}");
            if row.one_of(&column, &["YES", ""])?.is_empty() {
                continue;
            }
            if !ticked.is_empty() {
                ticked.push(SEPARATOR);
            }
            ticked.push_str(value);
        }
        intake.answer(&mut answers, row, (name, name), &ticked)?;
    }
    Ok(answers)
}

/// All conditions that stand in the table.
fn conditions(labels: &Table) -> BTreeSet<String> {
    let rows = labels.rows().filter_map(Result::ok);
    rows.flat_map(|row| weights(row).unwrap_or_default()).map(|(condition, _)| condition).collect()
}

/// The weights of a case's conditions; none where nobody gave a diagnosis.
fn weights(row: Row<'_>) -> Result<Vec<(String, f64)>, Error> {
    let text = row.cell(WEIGHTS);
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let literal = Literal::parse(text).map_err(|expected| row.wrong(WEIGHTS, expected))?;
    let wrong = || row.wrong(WEIGHTS, "a Python dictionary of conditions and their weights, which sum to 1");
    let entries = literal.dictionary().ok_or_else(wrong)?;
    let mut weights = Vec::with_capacity(entries.len());
    for (condition, weight) in entries {
        let weight = weight.number().filter(|weight| (0.0..=1.0).contains(weight));
        let condition = condition.trim().to_owned();
        if condition.is_empty() || condition.contains(['\n', '\r']) {
            return Err(wrong());
        }
        weights.push((condition, weight.ok_or_else(wrong)?));
    }
    let sum: f64 = weights.iter().map(|(_, weight)| weight).sum();
    if weights.is_empty() || WEIGHT_SUM.contains(&sum) { Ok(weights) } else { Err(wrong()) }
}

/// The subgroup columns of the table of labels.
fn opinions(row: Row<'_>) -> Result<BTreeMap<String, String>, Error> {
    let mut types = Vec::new();
    for column in &LABEL_COLUMNS[4..7] {
        if !row.cell(column).is_empty() {
            types.push(row.one_of(column, &SKIN_TYPES)?);
        }
    }
    types.sort_unstable();
    let skin_type = types.get(types.len().saturating_sub(1) / 2).copied().unwrap_or_default();
    let (india, us) = (monk(row, LABEL_COLUMNS[7])?, monk(row, LABEL_COLUMNS[8])?);
    Ok(subgroups(&[
        ("fitzpatrick_dermatologists", skin_type),
        ("monk_india", &india),
        ("monk_us", &us),
        ("confidence", &confidence(row)?),
    ]))
}

/// A Monk skin tone, 1 to 10, also where it is written as a decimal.
fn monk(row: Row<'_>, column: &str) -> Result<String, Error> {
    let cell = row.cell(column);
    let whole = cell.strip_suffix(".0").unwrap_or(cell);
    match whole.parse::<u8>() {
        Ok(tone @ 1..=10) => Ok(tone.to_string()),
        _ if cell.is_empty() => Ok(String::new()),
        _ => Err(row.wrong(column, "1 to 10")),
    }
}

/// The highest confidence that a dermatologist gave; there is one for each condition named.
fn confidence(row: Row<'_>) -> Result<String, Error> {
    let list = |column| match row.cell(column) {
        "" => Ok(Vec::new()),
        text => match Literal::parse(text) {
            Ok(Literal::Sequence(items)) => Ok(items),
            Ok(_) => Err(row.wrong(column, "a Python list")),
            Err(expected) => Err(row.wrong(column, expected)),
        },
    };
    let (names, confidences) = (list(NAMES)?, list(CONFIDENCES)?);
    if names.iter().any(|name| !matches!(name, Literal::Text(_))) {
        return Err(row.wrong(NAMES, "a Python list of conditions"));
    }
    let mut highest = None;
    for confidence in &confidences {
        let confidence = confidence.count().filter(|confidence| (1..=5).contains(confidence));
        highest = highest.max(Some(confidence.ok_or_else(|| row.wrong(CONFIDENCES, "a list of 1 to 5"))?));
    }
    if names.len() != confidences.len() {
        return Err(row.wrong(CONFIDENCES, format!("{} numbers, as many as conditions", names.len())));
    }
    Ok(highest.map_or_else(String::new, |confidence| confidence.to_string()))
}
