//! Colours as three fractions, and how they mix.

/// Red, green, blue in [0, 1].
pub(super) type Tint = [f64; 3];

/// A colour from 8-bit components.
pub(super) fn tint(r: u8, g: u8, b: u8) -> Tint {
    [f64::from(r) / 255.0, f64::from(g) / 255.0, f64::from(b) / 255.0]
}

/// `a` at t = 0, `b` at t = 1.
pub(super) fn mix(a: Tint, b: Tint, t: f64) -> Tint {
    [a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t]
}

/// Every component times `factor`.
pub(super) fn scale(a: Tint, factor: f64) -> Tint {
    [a[0] * factor, a[1] * factor, a[2] * factor]
}

/// 0 at and below `low`, 1 at and above `high`, a cubic in between.
pub(super) fn smoothstep(low: f64, high: f64, x: f64) -> f64 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}
