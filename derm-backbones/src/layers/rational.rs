//! Functions as ratios of polynomials, for inference in the host's memory: there erf and exp are computed one number
//! after the other, sums and products many at a time.

use burn::tensor::Tensor;

/// tanh, within 3 · 10⁻⁷ for f32.
///
/// # Source
/// The coefficients of Eigen's `generic_fast_tanh_float`.
pub(crate) fn tanh<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    const BOUND: f64 = 7.905_311_107_635_498;
    const NUMERATOR: [f64; 7] = [
        -2.760_768_477_423_55e-16,
        2.000_187_904_824_77e-13,
        -8.604_671_522_137_35e-11,
        5.122_297_090_371_14e-8,
        1.485_722_357_179_79e-5,
        6.372_619_288_754_36e-4,
        4.893_524_558_917_86e-3,
    ];
    const DENOMINATOR: [f64; 4] =
        [1.198_258_394_667_02e-6, 1.185_347_056_866_54e-4, 2.268_434_632_439e-3, 4.893_525_185_543_85e-3];
    odd_ratio(x, BOUND, &NUMERATOR, &DENOMINATOR)
}

/// erf, within 3 · 10⁻⁷ for f32.
///
/// # Source
/// The coefficients of Eigen's `erf` for f32.
pub(crate) fn erf<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    const BOUND: f64 = 4.0;
    const NUMERATOR: [f64; 7] = [
        -2.726_142_258_013_06e-10,
        2.770_681_424_959_02e-8,
        -2.101_024_020_825_08e-6,
        -5.692_506_394_623_46e-5,
        -7.349_906_303_268_55e-4,
        -2.954_599_808_540_25e-3,
        -1.609_603_332_624_15e-2,
    ];
    const DENOMINATOR: [f64; 5] = [
        -1.456_607_184_649_96e-5,
        -2.133_740_552_789_05e-4,
        -1.682_826_974_382_03e-3,
        -7.373_329_167_204_68e-3,
        -1.426_473_905_141_89e-2,
    ];
    odd_ratio(x, BOUND, &NUMERATOR, &DENOMINATOR)
}

/// `x P(x²) / Q(x²)` for x within ± `bound`, beyond it the value there. Coefficients from the highest power down.
fn odd_ratio<const D: usize>(x: Tensor<D>, bound: f64, numerator: &[f64], denominator: &[f64]) -> Tensor<D> {
    let x = x.clamp_min(-bound).clamp_max(bound);
    let square = x.clone() * x.clone();
    let denominator = polynomial(&square, denominator);
    polynomial(&square, numerator) * x / denominator
}

/// Horner's scheme.
fn polynomial<const D: usize>(x: &Tensor<D>, coefficients: &[f64]) -> Tensor<D> {
    match coefficients {
        [highest, next, rest @ ..] => {
            let start = x.clone() * *highest + *next;
            rest.iter().fold(start, |sum, coefficient| sum * x.clone() + *coefficient)
        }
        _ => x.zeros_like() + coefficients.first().copied().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::{erf, tanh};

    /// What the documentation says.
    const BOUND: f64 = 3e-7;

    #[test]
    fn ratios_are_the_functions() {
        let values: Vec<f32> = (-3000..=3000).map(|i| i as f32 / 250.0).collect();
        let x = Tensor::<1>::from_floats(values.as_slice(), &Device::default());
        let close = |got: Tensor<1>, expected: Tensor<1>| {
            let difference = (got - expected).abs().max().into_scalar::<f64>();
            assert!(difference < BOUND, "{difference}");
        };
        close(tanh(x.clone()), x.clone().tanh());
        close(erf(x.clone()), x.erf());
    }

    #[test]
    fn values_far_out_and_nan_stay() {
        let x =
            Tensor::<1>::from_floats([f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0], &Device::default());
        for f in [tanh::<1>, erf::<1>] {
            let got: Vec<f64> = f(x.clone()).into_data().iter::<f64>().collect();
            assert!(
                got[0].is_nan() && (got[1] - 1.0).abs() < BOUND && (got[2] + 1.0).abs() < BOUND,
                "{got:?}"
            );
            assert_eq!(got[3], 0.0);
        }
    }
}
