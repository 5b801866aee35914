use std::fmt;

use super::site::lineage;
use super::{Feature, FeatureKind, FeatureSchema, OutsidePolicy, UnknownPolicy};

/// A column that two questionnaires share: one name and one meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedColumn {
    /// Its name.
    pub name: String,
    /// Its position in the first questionnaire.
    pub here: usize,
    /// Its position in the other.
    pub there: usize,
}

/// A feature that two questionnaires name alike and understand differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedFeature {
    /// The feature.
    pub name: String,
    /// What is allowed by the first questionnaire.
    pub here: String,
    /// What is allowed by the other.
    pub there: String,
}

/// What two questionnaires, or two versions of one, have in common: [`FeatureSchema::compare`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchemaComparison {
    /// Columns of one name and one meaning in both. A number's scaling may differ ([`SchemaComparison::rescaled`]).
    pub shared: Vec<SharedColumn>,
    /// Columns that only the first has, or that mean something else in the other.
    pub only_here: Vec<String>,
    /// Columns that only the other has, or that mean something else in the first.
    pub only_there: Vec<String>,
    /// Features of one name whose kind, unit, range, values, sites or policies differ. They may share columns: `sex=male`
    /// means the same whether or not a third value is offered.
    pub changed: Vec<ChangedFeature>,
    /// Numeric features of one meaning whose fitted scaling differs.
    pub rescaled: Vec<String>,
}

/// What a column says.
#[derive(PartialEq)]
enum Meaning<'a> {
    Number { unit: &'a str, clipped_to: Option<[f64; 2]> },
    Reaches { below: &'a [String], above: &'a [String] },
    Is(&'a str),
    Includes(&'a str),
    Yes,
    Unknown,
    Covers(Vec<&'a str>),
    Missing,
}

fn meanings(feature: &Feature) -> Vec<Meaning<'_>> {
    let mut all = match &feature.kind {
        FeatureKind::Numeric { unit, min, max, outside, .. } => {
            let clipped_to = (*outside == OutsidePolicy::Clip).then_some([*min, *max]);
            vec![Meaning::Number { unit, clipped_to }]
        }
        FeatureKind::Ordinal { values, .. } => (1..values.len())
            .map(|position| Meaning::Reaches { below: &values[..position], above: &values[position..] })
            .collect(),
        FeatureKind::Choice { values, .. } => values.iter().map(|value| Meaning::Is(value)).collect(),
        FeatureKind::MultipleChoice { values, .. } => {
            values.iter().map(|value| Meaning::Includes(value)).collect()
        }
        FeatureKind::Boolean { unknown: UnknownPolicy::Missing, .. } => vec![Meaning::Yes],
        FeatureKind::Boolean { unknown: UnknownPolicy::Column, .. } => vec![Meaning::Yes, Meaning::Unknown],
        FeatureKind::BodySite { sites, .. } => {
            let covers = |at: usize| {
                let within = (0..sites.len()).filter(|&site| lineage(sites, site).contains(&at));
                let mut names: Vec<&str> = within.map(|site| sites[site].name.as_str()).collect();
                names.sort_unstable();
                Meaning::Covers(names)
            };
            (0..sites.len()).map(covers).collect()
        }
    };
    if feature.has_missing_column() {
        all.push(Meaning::Missing);
    }
    all
}

/// The feature without what does not change its meaning: question, block, synonyms and scaling.
fn essence(feature: &Feature) -> Feature {
    let mut bare = Feature { question: String::new(), block: None, ..feature.clone() };
    match &mut bare.kind {
        FeatureKind::Numeric { mean, std, .. } => (*mean, *std) = (0.0, 1.0),
        FeatureKind::Ordinal { synonyms, .. }
        | FeatureKind::Choice { synonyms, .. }
        | FeatureKind::MultipleChoice { synonyms, .. }
        | FeatureKind::Boolean { synonyms, .. }
        | FeatureKind::BodySite { synonyms, .. } => synonyms.clear(),
    }
    bare
}

/// Kind, what is allowed and the policy for missing answers, in words.
fn in_words(feature: &Feature) -> String {
    let kind = match &feature.kind {
        FeatureKind::Numeric { .. } => "numeric",
        FeatureKind::Ordinal { .. } => "ordinal",
        FeatureKind::Choice { .. } => "choice",
        FeatureKind::MultipleChoice { .. } => "multiple choice",
        FeatureKind::Boolean { .. } => "boolean",
        FeatureKind::BodySite { .. } => "body site",
    };
    format!("{kind}, {}, missing: {:?}", feature.expected(), feature.missing)
}

impl FeatureSchema {
    /// Which columns this questionnaire and another share, and what changed: what a model of one can take over from a
    /// model of the other.
    ///
    /// ```
    /// let full = derm_data::schema::ham10000()?;
    /// let reduced = full.drop(&["sex"])?;
    /// let comparison = full.compare(&reduced);
    /// assert_eq!(comparison.only_here, ["sex=female", "sex=male", "sex:missing"]);
    /// assert_eq!((comparison.shared[2].here, comparison.shared[2].there), (5, 2));
    /// assert!(comparison.only_there.is_empty() && comparison.changed.is_empty());
    /// # Ok::<(), derm_data::Error>(())
    /// ```
    pub fn compare(&self, other: &Self) -> SchemaComparison {
        let mut comparison = SchemaComparison::default();
        let (here, there) = (self.named_columns(), other.named_columns());
        for (position, (name, feature, meaning)) in here.iter().enumerate() {
            let same = |(other_name, other_feature, other_meaning): &(String, &Feature, Meaning<'_>)| {
                let kinds =
                    std::mem::discriminant(&feature.kind) == std::mem::discriminant(&other_feature.kind);
                other_name == name && feature.name == other_feature.name && kinds && meaning == other_meaning
            };
            match there.iter().position(same) {
                Some(found) => {
                    comparison.shared.push(SharedColumn { name: name.clone(), here: position, there: found });
                }
                None => comparison.only_here.push(name.clone()),
            }
        }
        let shared = |position: usize| comparison.shared.iter().any(|column| column.there == position);
        let alone = there.iter().enumerate().filter(|(position, _)| !shared(*position));
        comparison.only_there = alone.map(|(_, (name, _, _))| name.clone()).collect();
        for feature in &self.features {
            let Some(twin) = other.features.iter().find(|twin| twin.name == feature.name) else { continue };
            if essence(feature) != essence(twin) {
                let (here, there) = (in_words(feature), in_words(twin));
                comparison.changed.push(ChangedFeature { name: feature.name.clone(), here, there });
            } else if scaling(feature) != scaling(twin) {
                comparison.rescaled.push(feature.name.clone());
            }
        }
        comparison
    }

    fn named_columns(&self) -> Vec<(String, &Feature, Meaning<'_>)> {
        let of = |feature| {
            let names = Feature::column_names(feature).into_iter();
            names.zip(meanings(feature)).map(move |(name, meaning)| (name, feature, meaning))
        };
        self.features.iter().flat_map(of).collect()
    }
}

fn scaling(feature: &Feature) -> Option<[f64; 2]> {
    match &feature.kind {
        FeatureKind::Numeric { mean, std, .. } => Some([*mean, *std]),
        _ => None,
    }
}

impl fmt::Display for SchemaComparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} shared columns, {} only in the first, {} only in the other",
            self.shared.len(),
            self.only_here.len(),
            self.only_there.len()
        )?;
        for ChangedFeature { name, here, there } in &self.changed {
            write!(f, "\n`{name}` changed from {here} to {there}")?;
        }
        for name in &self.rescaled {
            write!(f, "\n`{name}` is scaled differently")?;
        }
        Ok(())
    }
}
