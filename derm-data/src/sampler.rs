//! Which records an epoch shows, and in which order.

use std::collections::BTreeMap;

use derm_core::ClassIndex;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::portable_rng::{PortableRng, Purpose};

/// The rule of a sampler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SampleOrder {
    /// Every record once, in the given order: evaluation.
    Sequential,
    /// Every record once, in a new random order each epoch.
    #[default]
    Shuffled,
    /// As many draws as there are records, the same number from every class that has records (to within one), in
    /// random order. Within a class all records are drawn before one is drawn again.
    ClassBalanced,
}

/// The order of records, epoch by epoch. An epoch's order follows from the seed and the epoch's number alone, so
/// a run can be resumed anywhere.
///
/// ```
/// use derm_core::ClassIndex;
/// use derm_data::{SampleOrder, Sampler};
/// let classes = [0, 0, 0, 1].map(ClassIndex::new);
/// let sampler = Sampler::new(vec![10, 11, 12, 13], &classes, SampleOrder::ClassBalanced, 7)?;
/// let epoch = sampler.epoch(0);
/// assert_eq!(epoch.iter().filter(|&&index| index == 13).count(), 2);
/// assert_eq!(epoch, sampler.epoch(0));
/// # Ok::<(), derm_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sampler {
    indices: Vec<usize>,
    by_class: Vec<Vec<usize>>,
    order: SampleOrder,
    seed: u64,
}

impl Sampler {
    /// A sampler over the records at `indices`, whose classes are `classes`.
    ///
    /// # Errors
    /// [`Error::EmptyDataset`] for no index, [`Error::Setting`] where the lengths differ.
    pub fn new(
        indices: Vec<usize>,
        classes: &[ClassIndex],
        order: SampleOrder,
        seed: u64,
    ) -> Result<Self, Error> {
        if indices.is_empty() {
            return Err(Error::EmptyDataset { dataset: "sampler".to_owned() });
        }
        if indices.len() != classes.len() {
            return Err(crate::error::setting("number of classes", classes.len(), "one class a record"));
        }
        let mut by_class: BTreeMap<ClassIndex, Vec<usize>> = BTreeMap::new();
        for (&index, &class) in indices.iter().zip(classes) {
            by_class.entry(class).or_default().push(index);
        }
        let by_class = by_class.into_values().collect();
        Ok(Self { indices, by_class, order, seed })
    }

    /// Number of draws an epoch: the number of records.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there is no record; never true.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// The rule.
    pub fn order(&self) -> SampleOrder {
        self.order
    }

    /// The seed, which augmentation shares.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The record indices of an epoch, in order.
    pub fn epoch(&self, epoch: u64) -> Vec<usize> {
        let mut rng = PortableRng::new(self.seed, Purpose::Order, epoch, 0);
        match self.order {
            SampleOrder::Sequential => self.indices.clone(),
            SampleOrder::Shuffled => {
                let mut order = self.indices.clone();
                rng.shuffle(&mut order);
                order
            }
            SampleOrder::ClassBalanced => {
                let (draws, classes) = (self.indices.len(), self.by_class.len());
                // The classes that get one draw more than the others differ from epoch to epoch.
                let mut ranks: Vec<usize> = (0..classes).collect();
                rng.shuffle(&mut ranks);
                let mut order = Vec::with_capacity(draws);
                for (class, members) in self.by_class.iter().enumerate() {
                    let mut wanted = draws / classes + usize::from(ranks[class] < draws % classes);
                    let mut deck = members.clone();
                    while wanted > 0 {
                        rng.shuffle(&mut deck);
                        let taken = wanted.min(deck.len());
                        order.extend_from_slice(&deck[..taken]);
                        wanted -= taken;
                    }
                }
                rng.shuffle(&mut order);
                order
            }
        }
    }
}
