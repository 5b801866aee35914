use derm_core::{LabelMap, Probabilities};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::error::check_not_empty;
use crate::{ConfusionMatrix, Error};

/// How a group is predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupDecision {
    /// The group of the most probable class.
    OfTopClass,
    /// The group of largest summed probability, the lowest among equal ones. It is the better decision where
    /// only the group matters: several classes of a group may together be more probable than the top class.
    LargestSum,
}

/// A coarser level of the labels: each class lies in one group, as in malignant against benign.
///
/// The probabilities of the groups are again [`Probabilities`], so every metric, bootstrap and curve works on
/// the coarser level.
///
/// ```
/// use derm_core::{LabelMap, Probabilities};
/// use derm_metrics::{ClassGroups, GroupDecision, Metric};
/// use ndarray::array;
/// let labels = LabelMap::new(["mel", "nv", "bcc", "bkl"])?;
/// let groups = ClassGroups::against_rest(&labels, "malignant", &["mel", "bcc"], "benign")?;
/// assert_eq!(groups.names(), ["benign", "malignant"]);
///
/// let probabilities = Probabilities::new(array![[0.3, 0.4, 0.3, 0.0], [0.1, 0.6, 0.1, 0.2]])?;
/// let (coarse, targets) = (groups.summed(&probabilities)?, groups.targets(&[2, 1])?);
/// assert_eq!(targets, [1, 0]);
/// assert_eq!(Metric::ClassAuroc { class: 1 }.value(&coarse, &targets)?, Some(1.0));
/// // The top class of the first row is a nevus, but malignant classes hold 0.6.
/// let of_top = groups.confusion(&probabilities, &[2, 1], GroupDecision::OfTopClass)?;
/// let summed = groups.confusion(&probabilities, &[2, 1], GroupDecision::LargestSum)?;
/// assert_eq!((of_top.accuracy(), summed.accuracy()), (0.5, 1.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Form")]
pub struct ClassGroups {
    names: Vec<String>,
    class_to_group: Vec<usize>,
}

impl ClassGroups {
    /// Groups of these names, `class_to_group` `[C]` holding the group of each class.
    ///
    /// # Errors
    /// [`Error::Value`] for no group or no class, [`Error::Count`] for a group that has no name or no class,
    /// [`Error::DuplicateName`].
    pub fn new<S: Into<String>>(
        names: impl IntoIterator<Item = S>,
        class_to_group: Vec<usize>,
    ) -> Result<Self, Error> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        check_not_empty("names", names.len())?;
        check_not_empty("class_to_group", class_to_group.len())?;
        if let Some(twice) = (1..names.len()).find(|&index| names[..index].contains(&names[index])) {
            return Err(Error::DuplicateName { argument: "names", name: names[twice].clone() });
        }
        let maximum = names.len() - 1;
        if let Some(&value) = class_to_group.iter().find(|&&group| group > maximum) {
            return Err(Error::Count { argument: "class_to_group", value, minimum: 0, maximum });
        }
        match names.iter().enumerate().find(|(group, _)| !class_to_group.contains(group)) {
            Some((_, name)) => Err(Error::EmptyGroup { group: name.clone() }),
            None => Ok(Self { names, class_to_group }),
        }
    }

    /// Groups of classes by name; every class of `labels` stands in exactly one.
    ///
    /// # Errors
    /// [`Error::UnknownName`] for a class that is none, [`Error::DuplicateName`] for one in two groups,
    /// [`Error::UngroupedClass`] for one in none, and as [`ClassGroups::new`].
    pub fn from_labels(labels: &LabelMap, groups: &[(&str, &[&str])]) -> Result<Self, Error> {
        let mut class_to_group = vec![None; labels.num_classes()];
        for (group, (_, classes)) in groups.iter().enumerate() {
            for &name in *classes {
                let class = class_of(labels, name)?;
                if class_to_group[class].replace(group).is_some() {
                    return Err(Error::DuplicateName { argument: "groups", name: name.to_owned() });
                }
            }
        }
        let of_class = |(group, name): (Option<usize>, &String)| {
            group.ok_or_else(|| Error::UngroupedClass { name: name.clone() })
        };
        let class_to_group = class_to_group.into_iter().zip(labels.names()).map(of_class);
        Self::new(groups.iter().map(|(name, _)| *name), class_to_group.collect::<Result<_, _>>()?)
    }

    /// Two groups: `rest` is group 0, and `positive`, which holds `classes`, is group 1.
    ///
    /// # Errors
    /// As [`ClassGroups::from_labels`].
    pub fn against_rest(
        labels: &LabelMap,
        positive: &str,
        classes: &[&str],
        rest: &str,
    ) -> Result<Self, Error> {
        let names = labels.names().iter().map(String::as_str);
        let others: Vec<&str> = names.filter(|name| !classes.contains(name)).collect();
        Self::from_labels(labels, &[(rest, &others), (positive, classes)])
    }

    /// The groups' names, shape `[G]`.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The group of each class, shape `[C]`.
    pub fn class_to_group(&self) -> &[usize] {
        &self.class_to_group
    }

    /// The group of each target, shape `[N]`.
    ///
    /// # Errors
    /// [`Error::Value`] for a target that is no class.
    pub fn targets(&self, targets: &[usize]) -> Result<Vec<usize>, Error> {
        let num_classes = self.class_to_group.len();
        let of_row = |(row, &target): (usize, &usize)| {
            let wrong = derm_core::ValueError::ClassOutOfRange { row, target, num_classes };
            self.class_to_group.get(target).copied().ok_or(Error::Value(wrong))
        };
        targets.iter().enumerate().map(of_row).collect()
    }

    /// The summed probabilities [N, G] of `probabilities` [N, C].
    ///
    /// # Errors
    /// [`Error::Classes`] for another number of classes.
    pub fn summed(&self, probabilities: &Probabilities) -> Result<Probabilities, Error> {
        self.check(probabilities)?;
        let mut sums = Array2::zeros((probabilities.num_samples(), self.names.len()));
        for ((row, class), &p) in probabilities.view().indexed_iter() {
            sums[[row, self.class_to_group[class]]] += p;
        }
        Ok(Probabilities::new(sums)?)
    }

    /// The confusion matrix [G, G] of the groups.
    ///
    /// # Errors
    /// [`Error::Classes`] for another number of classes, [`Error::Value`] where the targets do not fit.
    pub fn confusion(
        &self,
        probabilities: &Probabilities,
        targets: &[usize],
        decision: GroupDecision,
    ) -> Result<ConfusionMatrix, Error> {
        self.check(probabilities)?;
        probabilities.check_targets(targets)?;
        let predicted = match decision {
            GroupDecision::OfTopClass => self.targets(&probabilities.predicted())?,
            GroupDecision::LargestSum => self.summed(probabilities)?.predicted(),
        };
        Ok(ConfusionMatrix::count(self.names.len(), &self.targets(targets)?, &predicted, |_| 1))
    }

    fn check(&self, probabilities: &Probabilities) -> Result<(), Error> {
        let (got, expected) = (probabilities.num_classes(), self.class_to_group.len());
        if got == expected { Ok(()) } else { Err(Error::Classes { got, expected }) }
    }
}

/// The column of a class.
pub(crate) fn class_of(labels: &LabelMap, name: &str) -> Result<usize, Error> {
    let unknown =
        |_| Error::UnknownName { argument: "classes", name: name.to_owned(), known: labels.names().to_vec() };
    Ok(labels.class_index(name).map_err(unknown)?.get())
}

/// The fields of a file, before they are checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    names: Vec<String>,
    class_to_group: Vec<usize>,
}

impl TryFrom<Form> for ClassGroups {
    type Error = Error;

    fn try_from(Form { names, class_to_group }: Form) -> Result<Self, Error> {
        Self::new(names, class_to_group)
    }
}
