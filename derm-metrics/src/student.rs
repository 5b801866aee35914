//! Student's distribution, of any positive number of degrees of freedom.

use statrs::function::beta::beta_reg;

/// `P(|T| > |t|)`, which is `I_x(freedom/2, ½)` at `x = freedom / (freedom + t²)`.
pub(crate) fn two_sided_p(t: f64, freedom: f64) -> f64 {
    beta_reg(freedom / 2.0, 0.5, freedom / (freedom + t * t))
}

/// The t with `P(|T| > t) = alpha`.
pub(crate) fn two_sided_quantile(alpha: f64, freedom: f64) -> f64 {
    // By halving over t itself; `P(|T| > t)` falls from 1 at 0.
    let (mut low, mut high) = (0.0, 1.0);
    while two_sided_p(high, freedom) > alpha && high < f64::MAX {
        high *= 2.0;
    }
    loop {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            return high;
        }
        if two_sided_p(middle, freedom) > alpha {
            low = middle;
        } else {
            high = middle;
        }
    }
}
