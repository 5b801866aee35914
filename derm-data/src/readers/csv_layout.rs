//! A table of one's own: which column is what.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use derm_core::{ClassIndex, LabelMap, SplitRole};
use serde::{Deserialize, Serialize};

use super::ReadPolicy;
use super::image_index::ImageIndex;
use super::intake::{Intake, Reading, found_labels, subgroups, within_patient};
use super::one_hot::{distribution, one_hot, weights};
use super::table::{Row, Table};
use crate::error::setting;
use crate::{Dataset, Error, FeatureSchema, ImageSource, Record, schema};

/// What the columns of a table are. A recipe holds it under `csv`; only `table` and `label` must be given.
///
/// ```yaml
/// csv:
///   table: clinic.csv                 # under the root
///   delimiter: ";"                    # a comma unless given
///   images: {folder: photos, column: file, extension: jpg}   # without: a table without images
///   id: photo_no                      # the image's cell unless given
///   label: {column: diagnosis}        # or {one_hot: [MEL, NV]} or {weights: [p_mel, p_nv]}
///   labels: [mel, nv]                 # those that the table has, sorted, unless given
///   patient: patient_no
///   lesion: lesion_no                 # lesion 1 of patient A is not lesion 1 of patient B
///   case: visit
///   split: {column: part, train: [a, b], test: [c]}
///   schema: {ready: isic}             # or {file: feature_schema.json}, under the root
///   answers: {age_approx: age, sex: sex}                     # feature: column
///   text: history                     # a caption or history in free text
///   subgroups: {sex: sex, camera: device}                    # name: column
/// ```
///
/// ```
/// use std::fs;
/// use derm_data::ReadPolicy;
/// use derm_data::readers::Source;
/// let root = tempfile::tempdir()?;
/// fs::write(root.path().join("clinic.csv"), "no,dx,patient,age\n1,nv,A,40\n2,mel,B,\n3,nv,A,41\n")?;
/// let source: Source = serde_json::from_str(
///     r#"{"csv": {
///         "table": "clinic.csv", "id": "no", "label": {"column": "dx"}, "patient": "patient",
///         "schema": {"ready": "isic"}, "answers": {"age_approx": "age"}
///     }}"#,
/// )?;
/// let dataset = source.read(root.path(), ReadPolicy::STRICT)?;
/// assert_eq!(dataset.labels().names(), ["mel", "nv"]);
/// assert_eq!(dataset.class_counts(), [1, 2]);
/// assert_eq!(dataset.records()[2].group(), "A");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsvLayout {
    /// The table, as a path under the root.
    pub table: PathBuf,
    /// What separates cells: one ASCII character, a comma unless given.
    #[serde(default = "comma")]
    pub delimiter: char,
    /// Where the images are; a table without images has none.
    #[serde(default)]
    pub images: Option<ImageColumn>,
    /// The column of a row's unique name; unless given, the image's cell, and in a table without images `row_<line>`.
    #[serde(default)]
    pub id: Option<String>,
    /// The column or columns of the class. A row whose class is an empty cell is left out.
    pub label: LabelColumns,
    /// The classes in their order. Unless given: those that the column has, in the order of their bytes, or the columns'
    /// names.
    #[serde(default)]
    pub labels: Option<Vec<String>>,
    /// The column of the patient; an empty cell is an unknown patient. Such a row must not name a lesion or a case that
    /// another row gives to a patient: it may be the same one, which a split would then divide.
    #[serde(default)]
    pub patient: Option<String>,
    /// The column of the lesion, which need be unique only within its patient. Unless given, and for an empty cell, the
    /// case is the lesion, and where there is no case either the row.
    #[serde(default)]
    pub lesion: Option<String>,
    /// The column of the case (the visit), likewise. Unless given, and for an empty cell, the lesion.
    #[serde(default)]
    pub case: Option<String>,
    /// The column of a split that is already made.
    #[serde(default)]
    pub split: Option<SplitColumn>,
    /// The questionnaire that the answers follow; without it there are no answers.
    #[serde(default)]
    pub schema: Option<SchemaFrom>,
    /// The columns of the answers, by the schema's features.
    #[serde(default)]
    pub answers: BTreeMap<String, String>,
    /// The column of a text about the image or the patient, for a model that reads one. An empty cell is none.
    #[serde(default)]
    pub text: Option<String>,
    /// The columns of the subgroups, by the names that they get.
    #[serde(default)]
    pub subgroups: BTreeMap<String, String>,
}

fn comma() -> char {
    ','
}

/// Where a table's images are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageColumn {
    /// The column of the image's path under `folder`.
    pub column: String,
    /// The folder under the root; the root itself unless given.
    #[serde(default)]
    pub folder: String,
    /// What follows a cell that does not end as an image does, such as `jpg`.
    #[serde(default)]
    pub extension: Option<String>,
}

/// How a table gives the class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelColumns {
    /// A column of class names.
    Column(String),
    /// One column a class, 1 in exactly one of them and 0 in the others.
    OneHot(Vec<String>),
    /// One column a class with its weight, such as the number of doctors who chose it: a soft label, which is the weights
    /// divided by their sum. An empty cell is 0. The class is the one with the largest weight, of equal ones the first.
    Weights(Vec<String>),
}

/// The column of a published split, and what stands in it. An empty cell is no part; any other value must be named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitColumn {
    /// The column.
    pub column: String,
    /// Its values for the training part.
    #[serde(default)]
    pub train: Vec<String>,
    /// Its values for the validation part.
    #[serde(default)]
    pub validation: Vec<String>,
    /// Its values for the calibration part.
    #[serde(default)]
    pub calibration: Vec<String>,
    /// Its values for the test part.
    #[serde(default)]
    pub test: Vec<String>,
}

/// Where a questionnaire comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SchemaFrom {
    /// A ready one, by name: see [`schema::ready`].
    Ready(String),
    /// A `feature_schema.json`, as a path under the root.
    File(PathBuf),
}

/// What a row's class columns say.
struct Labelled {
    class: ClassIndex,
    soft_label: Option<Vec<f32>>,
}

impl CsvLayout {
    /// Reads a table of this layout.
    ///
    /// # Errors
    /// As [`ham10000::read`](super::ham10000::read) for the table; [`Error::Setting`] for a layout that contradicts itself;
    /// [`Error::UnknownFeature`] for an answer that the schema does not ask for; the schema's own errors.
    pub fn read(&self, root: impl AsRef<Path>, policy: ReadPolicy) -> Result<Dataset, Error> {
        let root = root.as_ref();
        let schema = self.feature_schema(root)?;
        let table = Table::read_delimited(&root.join(&self.table), self.delimiter_byte()?, &self.columns())?;
        let roles = self.split.as_ref().map(SplitColumn::roles).transpose()?;
        let name =
            self.table.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let labels = self.label_map(&name, &table)?;
        let images = self
            .images
            .as_ref()
            .map(|images| (images, ImageIndex::paths(root, &[images.folder.as_str()], "", policy.images)));
        let id_column = self.id_column().unwrap_or_default();
        let of_patients = self.units_of_patients(&table);
        let mut group_of_image: BTreeMap<PathBuf, String> = BTreeMap::new();
        let (answered, grouped) = (pairs(&self.answers), pairs(&self.subgroups));
        let mut intake = Intake::new(&name, labels, schema, policy);
        intake.read_rows(&table, id_column, |intake, row| {
            let Some(Labelled { class, soft_label }) = self.class(intake, row)? else {
                return Ok(Reading::LeftOut("it has no class".to_owned()));
            };
            let id = match id_column {
                "" => format!("row_{}", row.line()),
                column => row.filled(column, "a name")?.to_owned(),
            };
            let image = match &images {
                Some((images, index)) => index.at(row, &images.column, images.extension.as_deref())?,
                None => ImageSource::Absent,
            };
            let cell = |column: &Option<String>| column.as_ref().map_or("", |column| row.cell(column));
            let patient = cell(&self.patient);
            if patient.is_empty() {
                for (unit, column) in [("lesion", &self.lesion), ("case", &self.case)] {
                    let name = cell(column);
                    if of_patients.contains(&(unit, name)) {
                        return Err(row.malformed(format!(
                            "no patient, and its {unit} {name:?} is one of a patient in another row"
                        )));
                    }
                }
            }
            let lesion = within_patient(patient, cell(&self.lesion));
            let case = within_patient(patient, cell(&self.case));
            let unless_empty =
                |name: String, other: &str| if name.is_empty() { other.to_owned() } else { name };
            let lesion = unless_empty(lesion, &unless_empty(case.clone(), &id));
            let groups: Vec<(&str, &str)> =
                grouped.iter().map(|&(name, column)| (name, row.cell(column))).collect();
            let record = Record {
                soft_label,
                case: unless_empty(case, &lesion),
                lesion,
                patient: (!patient.is_empty()).then(|| patient.to_owned()),
                answers: intake.answers(row, &answered)?,
                text: Some(cell(&self.text)).filter(|text| !text.is_empty()).map(str::to_owned),
                subgroups: subgroups(&groups),
                published_role: self.role(row, roles.as_ref())?,
                ..Record::new(id, image, class)
            };
            if let ImageSource::File(path) = &record.image {
                let group = group_of_image.entry(path.clone()).or_insert_with(|| record.group().to_owned());
                if group.as_str() != record.group() {
                    let other = group.clone();
                    return Err(row.malformed(format!(
                        "its image is one of the group {other:?} too: it would be in two parts of a split"
                    )));
                }
            }
            Ok(record.into())
        })?;
        intake.finish()
    }

    /// The lesions and cases, without the patient's name, of the rows that name a patient.
    fn units_of_patients<'a>(&self, table: &'a Table) -> BTreeSet<(&'static str, &'a str)> {
        let Some(patient) = &self.patient else { return BTreeSet::new() };
        let known = table.rows().filter_map(Result::ok).filter(|row| !row.cell(patient).is_empty());
        let units = known.flat_map(|row| {
            let named = |column: &Option<String>| column.as_ref().map_or("", |column| row.cell(column));
            [("lesion", named(&self.lesion)), ("case", named(&self.case))]
        });
        units.filter(|(_, name)| !name.is_empty()).collect()
    }

    fn feature_schema(&self, root: &Path) -> Result<FeatureSchema, Error> {
        let schema = match &self.schema {
            Some(SchemaFrom::Ready(name)) => schema::ready(name)?,
            Some(SchemaFrom::File(path)) => FeatureSchema::read(root.join(path))?,
            None if self.answers.is_empty() => FeatureSchema::empty(),
            None => return Err(setting("csv.answers", "given", "none, where there is no `csv.schema`")),
        };
        let known: Vec<String> = schema.features().iter().map(|feature| feature.name.clone()).collect();
        match self.answers.keys().find(|feature| !known.contains(feature)) {
            Some(feature) => Err(Error::UnknownFeature { feature: feature.clone(), known }),
            None => Ok(schema),
        }
    }

    fn delimiter_byte(&self) -> Result<u8, Error> {
        let byte = u8::try_from(self.delimiter).ok().filter(u8::is_ascii);
        let byte = byte.filter(|byte| !matches!(byte, b'"' | b'\n' | b'\r' | b'\0'));
        byte.ok_or_else(|| setting("csv.delimiter", self.delimiter.escape_default(), "one ASCII character"))
    }

    /// The column that names a row; none in a table without images and ids.
    fn id_column(&self) -> Option<&str> {
        let image = self.images.as_ref().map(|images| &images.column);
        self.id.as_ref().or(image).map(String::as_str)
    }

    /// Every column that the layout names.
    fn columns(&self) -> Vec<&str> {
        let mut columns = match &self.label {
            LabelColumns::Column(column) => vec![column.as_str()],
            LabelColumns::OneHot(columns) | LabelColumns::Weights(columns) => {
                columns.iter().map(String::as_str).collect()
            }
        };
        columns.extend(self.images.as_ref().map(|images| images.column.as_str()));
        columns.extend(self.split.as_ref().map(|split| split.column.as_str()));
        let names = [&self.id, &self.patient, &self.lesion, &self.case, &self.text];
        columns.extend(names.into_iter().flatten().map(String::as_str));
        columns.extend(self.answers.values().chain(self.subgroups.values()).map(String::as_str));
        columns
    }

    fn label_map(&self, dataset: &str, table: &Table) -> Result<LabelMap, Error> {
        match (&self.label, &self.labels) {
            (LabelColumns::Column(_), Some(labels)) => Ok(LabelMap::new(labels.clone())?),
            (LabelColumns::Column(column), None) => found_labels(dataset, table.distinct(column)),
            (LabelColumns::OneHot(columns) | LabelColumns::Weights(columns), labels) => {
                // Also where the labels have other names: no column is two classes.
                let named = LabelMap::new(columns.clone())?;
                match labels {
                    None => Ok(named),
                    Some(labels) if labels.len() == columns.len() => Ok(LabelMap::new(labels.clone())?),
                    Some(labels) => {
                        Err(setting("csv.labels", format!("{} names", labels.len()), "one a class column"))
                    }
                }
            }
        }
    }

    /// The class of a row, with its soft label where it has one; `None` where the cell is empty.
    fn class(&self, intake: &Intake, row: Row<'_>) -> Result<Option<Labelled>, Error> {
        let hard = |class| Some(Labelled { class, soft_label: None });
        Ok(match &self.label {
            LabelColumns::Column(column) if row.cell(column).is_empty() => None,
            LabelColumns::Column(column) => hard(intake.class(row, column)?),
            LabelColumns::OneHot(columns) => hard(intake.labels().class_at(one_hot(row, columns)?)?),
            LabelColumns::Weights(columns) => {
                let (soft_label, class) = distribution(&weights(row, columns)?);
                let class = intake.labels().class_at(class)?;
                Some(Labelled { class, soft_label: Some(soft_label) })
            }
        })
    }

    fn role(
        &self,
        row: Row<'_>,
        roles: Option<&BTreeMap<&str, SplitRole>>,
    ) -> Result<Option<SplitRole>, Error> {
        let (Some(split), Some(roles)) = (&self.split, roles) else { return Ok(None) };
        match row.cell(&split.column) {
            "" => Ok(None),
            value => match roles.get(value) {
                Some(&role) => Ok(Some(role)),
                None => Err(row.wrong(&split.column, format!("one of {:?}", roles.keys()))),
            },
        }
    }
}

impl SplitColumn {
    /// The part that each value means.
    fn roles(&self) -> Result<BTreeMap<&str, SplitRole>, Error> {
        let parts = [
            (&self.train, SplitRole::Train),
            (&self.validation, SplitRole::Validation),
            (&self.calibration, SplitRole::Calibration),
            (&self.test, SplitRole::Test),
        ];
        let mut roles = BTreeMap::new();
        for (values, role) in parts {
            for value in values {
                if roles.insert(value.as_str(), role).is_some() {
                    return Err(setting("csv.split", format!("{value:?} twice"), "each value once"));
                }
            }
        }
        Ok(roles)
    }
}

fn pairs(map: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
    map.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}
