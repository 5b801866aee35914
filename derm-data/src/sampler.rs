//! Which records an epoch shows, and in which order.

use std::collections::BTreeMap;

use derm_core::ClassIndex;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::portable_rng::{PortableRng, Purpose};

/// The rule of a sampler.
///
/// The balanced orders make as many draws as there are records and differ in the share of the draws that a class of
/// `n_c` records gets:
///
/// | order | share of class c |
/// |---|---|
/// | `class_balanced` | the same for every class |
/// | `square_root_balanced` | `∝ √n_c` |
/// | `effective_number` | `∝ n_c / E(n_c)` with the effective number of samples `E(n) = (1 − βⁿ) / (1 − β)` |
///
/// Only classes that have records count. A class's draws are its share of all draws, rounded up or down so that the
/// expectation over epochs is the share. Within a class all records are drawn before one is drawn again.
///
/// # Source
/// Square root: Mahajan et al., Exploring the limits of weakly supervised pretraining, ECCV 2018. Effective number: Cui
/// et al., Class-balanced loss based on effective number of samples, CVPR 2019 (their weight `1 / E(n_c)` a sample).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SampleOrder {
    /// Every record once, in the given order: evaluation.
    Sequential,
    /// Every record once, in a new random order each epoch.
    #[default]
    Shuffled,
    /// The same number of draws from every class, to within one.
    ClassBalanced,
    /// Draws in proportion to the square root of a class's records.
    SquareRootBalanced,
    /// Draws weighted by the inverse effective number of a class's records.
    EffectiveNumber {
        /// β, in [0, 1): 0 is the classes as they are, towards 1 is the same for every class.
        beta: f64,
    },
}

impl SampleOrder {
    /// What a class of `count` records weighs among the draws; `None` where every record is shown once.
    fn weight(self, count: usize) -> Option<f64> {
        match self {
            Self::Sequential | Self::Shuffled => None,
            Self::ClassBalanced => Some(1.0),
            Self::SquareRootBalanced => Some((count as f64).sqrt()),
            // 1 − βⁿ loses all digits where β is near 1: by exp_m1 it keeps them.
            Self::EffectiveNumber { beta: 0.0 } => Some(count as f64),
            Self::EffectiveNumber { beta } => {
                Some(count as f64 * (1.0 - beta) / -(count as f64 * beta.ln()).exp_m1())
            }
        }
    }
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
    /// [`Error::EmptyDataset`] for no index, [`Error::Setting`] where the lengths differ or β is outside [0, 1).
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
        if let SampleOrder::EffectiveNumber { beta } = order
            && !(0.0..1.0).contains(&beta)
        {
            return Err(crate::error::setting("beta", beta, "at least 0 and below 1"));
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
            SampleOrder::ClassBalanced
            | SampleOrder::SquareRootBalanced
            | SampleOrder::EffectiveNumber { .. } => {
                let draws = self.indices.len();
                let quotas = self.quotas(draws, &mut rng);
                let mut order = Vec::with_capacity(draws);
                for (members, mut wanted) in self.by_class.iter().zip(quotas) {
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

    /// Draws of each class, `draws` in all: systematic sampling over the classes in random order, so that each gets its
    /// share rounded up or down, and the share itself on average.
    fn quotas(&self, draws: usize, rng: &mut PortableRng) -> Vec<usize> {
        let weights: Vec<f64> = self
            .by_class
            .iter()
            .map(|members| self.order.weight(members.len()).unwrap_or(members.len() as f64))
            .collect();
        let total: f64 = weights.iter().sum();
        let mut order: Vec<usize> = (0..weights.len()).collect();
        rng.shuffle(&mut order);
        let start = rng.fraction();
        let mut quotas = vec![0; weights.len()];
        let (mut sum, mut given) = (0.0, 0);
        for (place, &class) in order.iter().enumerate() {
            sum += weights[class];
            let upto = if place + 1 == order.len() {
                draws
            } else {
                ((sum / total * draws as f64 + start).floor() as usize).min(draws)
            };
            quotas[class] = upto - given;
            given = upto;
        }
        quotas
    }
}
