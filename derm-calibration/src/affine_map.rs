use derm_core::Probabilities;
use ndarray::{Array1, Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use crate::calibrate::{check_classes, check_two_classes};
use crate::error::{check_finite, check_length};
use crate::newton::{Convergence, minimize};
use crate::softmax_likelihood::{Design, SoftmaxLikelihood};
use crate::{Error, Odir, StoppingRule};

/// `x ↦ softmax(W x + b)` of C scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Form")]
pub struct AffineMap {
    matrix: Vec<Vec<f64>>,
    intercept: Vec<f64>,
}

/// The fields of a file, before they are checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    matrix: Vec<Vec<f64>>,
    intercept: Vec<f64>,
}

impl TryFrom<Form> for AffineMap {
    type Error = Error;

    fn try_from(Form { matrix, intercept }: Form) -> Result<Self, Error> {
        Self::new(matrix, intercept)
    }
}

impl AffineMap {
    /// The map of W, row by row [C, C], and b `[C]`.
    ///
    /// # Errors
    /// [`Error::Value`] where the lengths differ, [`Error::Entry`] for an entry that is not finite,
    /// [`Error::Count`] below two classes.
    pub fn new(matrix: Vec<Vec<f64>>, intercept: Vec<f64>) -> Result<Self, Error> {
        let classes = intercept.len();
        check_two_classes(classes)?;
        check_length("matrix", matrix.len(), classes)?;
        for row in &matrix {
            check_length("row of the matrix", row.len(), classes)?;
        }
        check_finite("matrix", matrix.iter().flatten())?;
        check_finite("intercept", &intercept)?;
        Ok(Self { matrix, intercept })
    }

    /// The rows of W, shape [C, C].
    pub fn matrix(&self) -> &[Vec<f64>] {
        &self.matrix
    }

    /// b, shape `[C]`.
    pub fn intercept(&self) -> &[f64] {
        &self.intercept
    }

    /// `softmax(W x + b)` of each row of `scores` [N, C].
    pub(crate) fn softmax(
        &self,
        argument: &'static str,
        scores: &ArrayView2<'_, f64>,
    ) -> Result<Probabilities, Error> {
        let classes = self.intercept.len();
        check_classes(argument, scores.ncols(), classes)?;
        let matrix = Array2::from_shape_fn((classes, classes), |(row, column)| self.matrix[row][column]);
        let outputs = scores.dot(&matrix.t()) + Array1::from(self.intercept.clone());
        Ok(derm_core::Logits::new(outputs)?.softmax())
    }

    /// The maximum of the penalised likelihood of `targets` given `scores` [N, C], with the likelihood before
    /// and after.
    pub(crate) fn fit(
        method: &'static str,
        scores: &Array2<f64>,
        targets: &[usize],
        odir: &Odir,
        rule: &StoppingRule,
    ) -> Result<(Self, [f64; 2], Convergence), Error> {
        odir.validate()?;
        let classes = scores.ncols();
        check_two_classes(classes)?;
        let identity = Array2::from_shape_fn(
            (classes, classes + 1),
            |(row, column)| {
                if row == column { 1.0 } else { 0.0 }
            },
        );
        let free_of_identity = Array2::zeros((classes, classes + 1));
        let mut likelihood =
            SoftmaxLikelihood::new(Design::affine(scores), targets, odir.penalty(classes), free_of_identity);
        let (fitted, convergence) = minimize(method, &mut likelihood, identity.clone(), rule)?;
        let nll = [likelihood.nll(&identity), likelihood.nll(&fitted)];
        let matrix =
            fitted.rows().into_iter().map(|row| row.iter().take(classes).copied().collect()).collect();
        let map = Self::new(matrix, fitted.column(classes).to_vec())?;
        Ok((map, nll, convergence))
    }
}
