use derm_core::{Logits, Predictions, Probabilities, Validation};
use derm_metrics::{NLL_CLIP, nll};
use ndarray::Array2;
use rayon::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::calibrate::{check_classes, check_two_classes, scores};
use crate::error::check_length;
use crate::{Calibrate, CalibratorInput, Error, FitCalibrator, FittedOn};

/// `ln 1e-300`: where a logarithm of a probability is below it, it counts as this.
pub(crate) const LN_FLOOR: f64 = -690.775_527_898_213_7;

/// The probability of one class against the rest, with logarithms that keep their digits at both ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Odds {
    /// The probability p.
    pub p: f64,
    /// `ln p`, at least ln 1e-300.
    pub ln_p: f64,
    /// `ln(1 − p)`, at least ln 1e-300. From logits it is taken without forming 1 − p.
    pub ln_rest: f64,
}

impl Odds {
    /// From a probability as a number.
    ///
    /// # Errors
    /// [`Error::Range`] unless it is in [0, 1].
    pub fn new(p: f64) -> Result<Self, Error> {
        crate::error::check_closed_unit("p", p)?;
        Ok(Self::unchecked(p))
    }

    fn unchecked(p: f64) -> Self {
        // A rounding error may carry a sum of probabilities, and with it one of them, past 1.
        let p = p.min(1.0);
        Self { p, ln_p: p.ln().max(LN_FLOOR), ln_rest: (-p).ln_1p().max(LN_FLOOR) }
    }

    /// `ln(p / (1 − p))`.
    pub fn log_odds(&self) -> f64 {
        self.ln_p - self.ln_rest
    }

    /// Of every class of every row of logits [N, C].
    fn of_logits(logits: &Logits) -> Array2<Self> {
        let probabilities = logits.softmax();
        let ln_p = logits.log_softmax();
        let mut odds = Array2::from_elem(ln_p.raw_dim(), Self { p: 0.0, ln_p: 0.0, ln_rest: 0.0 });
        for (row, z) in logits.view().rows().into_iter().enumerate() {
            let top = probabilities.class(row).get();
            // The others' log-sum needs a maximum of its own where the top class has all the mass.
            let others = || z.iter().enumerate().filter(|&(class, _)| class != top).map(|(_, &z)| z);
            let maximum = others().fold(f64::NEG_INFINITY, f64::max);
            let log_sum = maximum + others().map(|z| (z - maximum).exp()).sum::<f64>().ln();
            for class in 0..z.len() {
                let (p, ln_p) = (probabilities.view()[[row, class]], ln_p[[row, class]]);
                let ln_rest = if class == top { log_sum - z[top] + ln_p } else { (-p.min(1.0)).ln_1p() };
                odds[[row, class]] =
                    Self { p, ln_p: ln_p.max(LN_FLOOR), ln_rest: ln_rest.clamp(LN_FLOOR, 0.0) };
            }
        }
        odds
    }
}

/// A map of one probability to another, fitted on whether the class is the true one. With
/// [`OneVsRest`] it calibrates any number of classes; a crate of your own can bring another.
///
/// The fit takes bare lists, so it does not see the role of the rows: in a pipeline fit [`OneVsRest`], which
/// takes validation rows only.
pub trait BinaryMap: Sized + Send {
    /// What it is fitted with.
    type Config: Clone + std::fmt::Debug + PartialEq + Serialize + DeserializeOwned + Sync;

    /// The name in files.
    const NAME: &'static str;

    /// Fits to `odds` `[N]` and whether each row is `positive` `[N]`.
    ///
    /// # Errors
    /// [`Error::Value`] for no rows or other lengths, and what the map refuses.
    fn fit(odds: &[Odds], positive: &[bool], config: &Self::Config) -> Result<Self, Error>;

    /// The calibrated probability, in [0, 1].
    fn map(&self, odds: &Odds) -> f64;
}

/// A calibrator made of one [`BinaryMap`] a class: each maps the class's probability by what became of it
/// against the rest, and every row is divided by its sum, or becomes uniform where the sum is 0.
///
/// Renormalising moves what each map has fitted. For two classes nothing moves as a rule, because the two maps
/// are each other's mirror image: in [`PlattScaling`](crate::PlattScaling) always, in
/// [`BetaCalibration`](crate::BetaCalibration) unless both slopes come out negative, in
/// [`IsotonicCalibration`](crate::IsotonicCalibration) up to ties. The most probable class may change.
///
/// # Source
/// Zadrozny and Elkan 2002, section 5.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound(serialize = "M: Serialize", deserialize = "M: Deserialize<'de>"))]
pub struct OneVsRest<M: BinaryMap> {
    /// The map of each class, shape `[C]`.
    pub classes: Vec<M>,
    /// What they were fitted with.
    pub config: M::Config,
    /// Mean negative log-likelihood of the validation rows before, in nats, probabilities below
    /// [`NLL_CLIP`] counting as that.
    pub nll_before: f64,
    /// The same after.
    pub nll_after: f64,
    /// The validation rows.
    pub fitted_on: FittedOn,
}

impl<M: BinaryMap> OneVsRest<M> {
    /// Fits a map for each class on validation rows.
    ///
    /// # Errors
    /// As [`BinaryMap::fit`]; [`Error::Count`] for a task of a single class.
    pub fn fit(validation: &Predictions<Validation>, config: &M::Config) -> Result<Self, Error> {
        let logits = scores(validation, CalibratorInput::Probabilities)?;
        check_two_classes(logits.num_classes())?;
        let targets = validation.targets();
        let odds = Odds::of_logits(&logits);
        let of_class = |class: usize| {
            let positive: Vec<bool> = targets.iter().map(|&target| target == class).collect();
            M::fit(&odds.column(class).to_vec(), &positive, config)
        };
        // Every fit is waited for, so that of several errors the first class's is told on any number of threads.
        let fits: Vec<Result<M, Error>> = (0..logits.num_classes()).into_par_iter().map(of_class).collect();
        let classes = fits.into_iter().collect::<Result<Vec<M>, Error>>()?;
        let fitted_on = FittedOn::new(validation);
        let mut calibrator =
            Self { classes, config: config.clone(), nll_before: 0.0, nll_after: 0.0, fitted_on };
        calibrator.nll_before = nll(&logits.softmax(), targets, NLL_CLIP)?;
        calibrator.nll_after = nll(&calibrator.apply(&logits)?, targets, NLL_CLIP)?;
        Ok(calibrator)
    }

    /// What the maps give for probabilities that stand as numbers, before rows are renormalised, shape [N, C].
    ///
    /// # Errors
    /// [`Error::Classes`] for another number of classes than that of the fit.
    pub fn per_class(&self, probabilities: &Probabilities) -> Result<Array2<f64>, Error> {
        check_classes("probabilities", probabilities.num_classes(), self.classes.len())?;
        Ok(self.mapped(&probabilities.view().mapv(Odds::unchecked)))
    }

    /// The calibrated probabilities of probabilities that stand as numbers and not as logits, shape [N, C].
    ///
    /// # Errors
    /// As [`OneVsRest::per_class`].
    pub fn apply_probabilities(&self, probabilities: &Probabilities) -> Result<Probabilities, Error> {
        renormalized(self.per_class(probabilities)?)
    }

    fn mapped(&self, odds: &Array2<Odds>) -> Array2<f64> {
        Array2::from_shape_fn(odds.raw_dim(), |(row, class)| self.classes[class].map(&odds[[row, class]]))
    }
}

impl<M: BinaryMap> Calibrate for OneVsRest<M> {
    fn name(&self) -> &'static str {
        M::NAME
    }

    fn input(&self) -> CalibratorInput {
        CalibratorInput::Probabilities
    }

    fn fitted_on(&self) -> Option<&FittedOn> {
        Some(&self.fitted_on)
    }

    fn keeps_argmax(&self) -> bool {
        false
    }

    fn apply(&self, logits: &Logits) -> Result<Probabilities, Error> {
        check_classes("logits", logits.num_classes(), self.classes.len())?;
        renormalized(self.mapped(&Odds::of_logits(logits)))
    }
}

/// Divides rows by their sum; where it is 0 the row becomes uniform.
fn renormalized(mut values: Array2<f64>) -> Result<Probabilities, Error> {
    let classes = values.ncols() as f64;
    for mut row in values.rows_mut() {
        let sum = row.sum();
        if sum == 0.0 {
            row.fill(1.0 / classes);
        } else {
            row /= sum;
        }
    }
    // What a map with a changed parameter makes of a row is refused here.
    Ok(Probabilities::new(values)?)
}

/// Refuses no rows and lists of different lengths.
pub(crate) fn check_rows(positive: &[bool], rows: usize) -> Result<(), Error> {
    if rows == 0 {
        return Err(derm_core::ValueError::Empty { argument: "odds" }.into());
    }
    check_length("positive", positive.len(), rows)
}

/// Gives a configuration of a [`BinaryMap`] its [`FitCalibrator`].
macro_rules! fit_one_vs_rest {
    ($config:ty, $map:ty) => {
        impl FitCalibrator for $config {
            type Fitted = OneVsRest<$map>;

            fn fit(&self, validation: &Predictions<Validation>) -> Result<OneVsRest<$map>, Error> {
                OneVsRest::fit(validation, self)
            }
        }
    };
}

fit_one_vs_rest!(crate::PlattConfig, crate::PlattMap);
fit_one_vs_rest!(crate::BetaConfig, crate::BetaMap);
fit_one_vs_rest!(crate::IsotonicConfig, derm_metrics::IsotonicRegression);
fit_one_vs_rest!(crate::HistogramConfig, crate::HistogramMap);
