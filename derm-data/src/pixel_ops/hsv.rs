//! Hue, saturation and value.

use crate::RgbPixels;

/// A change of colours in HSV.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct HsvShift {
    /// Added to the hue, as a share of the circle.
    pub(crate) hue: f32,
    /// Factor of the saturation, which ends at 1.
    pub(crate) saturation: f32,
    /// Factor of the value, which ends at 255.
    pub(crate) value: f32,
}

/// Pixels that are worked on together: their channels apart fit the first cache, and loops over them become vector
/// instructions.
const BLOCK: usize = 128;

/// Shifts every pixel.
///
/// With V the largest channel, C the largest less the smallest and h the hue in sixths of the circle, a channel becomes
/// V′ − C′ · clamp(d − 1, 0, 1), where d is the distance on the circle from h + shift to the channel's own hue (0, 2, 4 for
/// R, G, B), V′ = min(v V, 255) and C′ = V′ · min(1, s C / V).
pub(crate) fn shift_hsv(picture: &mut RgbPixels, shift: HsvShift) {
    let turn = shift.hue * 6.0;
    let mut planes = [[0.0f32; BLOCK]; 3];
    for block in picture.as_bytes_mut().chunks_mut(3 * BLOCK) {
        let [reds, greens, blues] = &mut planes;
        for (((pixel, r), g), b) in block.chunks_exact(3).zip(&mut *reds).zip(&mut *greens).zip(&mut *blues) {
            *r = f32::from(pixel[0]);
            *g = f32::from(pixel[1]);
            *b = f32::from(pixel[2]);
        }
        for ((r, g), b) in reds.iter_mut().zip(&mut *greens).zip(&mut *blues) {
            // A number from 0 to 255 added to 2²³ is rounded, and its bits end in the integer: no conversion is needed.
            [*r, *g, *b] =
                shifted(*r, *g, *b, turn, shift.saturation, shift.value).map(|number| number + 8_388_608.0);
        }
        for (((pixel, r), g), b) in block.chunks_exact_mut(3).zip(&*reds).zip(&*greens).zip(&*blues) {
            pixel[0] = r.to_bits() as u8;
            pixel[1] = g.to_bits() as u8;
            pixel[2] = b.to_bits() as u8;
        }
    }
}

/// One pixel, without a branch.
#[inline]
fn shifted(r: f32, g: f32, b: f32, turn: f32, saturation: f32, value: f32) -> [f32; 3] {
    let high = if r > g { r } else { g };
    let high = if high > b { high } else { b };
    let low = if r < g { r } else { g };
    let low = if low < b { low } else { b };
    let chroma = high - low;
    // One division for 1 / C and C / V. Grey has no hue and black no saturation: there the numerators are 0.
    let product = chroma * high;
    let over = 1.0 / if product > 0.0 { product } else { 1.0 };
    let (from, base) = if high == g { (b - r, 2.0) } else { (r - g, 4.0) };
    let (from, base) = if high == r { (g - b, 0.0) } else { (from, base) };
    // From −1 to 5, and the turn within ±3.
    let hue = from * (over * high) + base + turn;
    let bright = high * value;
    let bright = if bright < 255.0 { bright } else { 255.0 };
    let share = saturation * (chroma * chroma) * over;
    let share = if share < 1.0 { share } else { 1.0 };
    let strong = bright * share;
    let channel = |own: f32| {
        let apart = (hue - own).abs();
        let round = (apart - 6.0).abs();
        let apart = if apart < round { apart } else { round };
        let part = apart - 1.0;
        let part = if part > 0.0 { part } else { 0.0 };
        let part = if part < 1.0 { part } else { 1.0 };
        bright - strong * part
    };
    [channel(0.0), channel(2.0), channel(4.0)]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// HSV by its textbook definition, in f64.
    fn reference([r, g, b]: [u8; 3], shift: HsvShift) -> [f64; 3] {
        let [r, g, b] = [r, g, b].map(|value| f64::from(value) / 255.0);
        let (high, low) = (r.max(g).max(b), r.min(g).min(b));
        let chroma = high - low;
        let sixths = if chroma == 0.0 {
            0.0
        } else if high == r {
            ((g - b) / chroma).rem_euclid(6.0)
        } else if high == g {
            (b - r) / chroma + 2.0
        } else {
            (r - g) / chroma + 4.0
        };
        let hue = (sixths / 6.0 + f64::from(shift.hue)).rem_euclid(1.0) * 6.0;
        let saturation =
            if high == 0.0 { 0.0 } else { (chroma / high * f64::from(shift.saturation)).min(1.0) };
        let value = (high * f64::from(shift.value)).min(1.0);
        let (sector, part) = (hue.floor(), hue.fract());
        let p = value * (1.0 - saturation);
        let q = value * (1.0 - saturation * part);
        let t = value * (1.0 - saturation * (1.0 - part));
        let rgb = match sector as usize % 6 {
            0 => [value, t, p],
            1 => [q, value, p],
            2 => [p, value, t],
            3 => [p, q, value],
            4 => [t, p, value],
            _ => [value, p, q],
        };
        rgb.map(|part| part * 255.0)
    }

    #[test]
    fn a_shift_is_that_of_the_textbook() {
        let colours: Vec<u8> = (0..17 * 17 * 17)
            .flat_map(|at: usize| [at / 289, at / 17 % 17, at % 17].map(|level| (level * 255 / 16) as u8))
            .collect();
        let picture = RgbPixels::new(17 * 17, 17, colours).unwrap();
        for (hue, saturation, value) in [
            (0.0, 1.0, 1.0),
            (0.5, 1.0, 1.0),
            (-0.5, 0.3, 1.2),
            (0.02, 1.8, 0.7),
            (0.31, 2.0, 2.0),
            (-0.17, 0.0, 0.9),
        ] {
            let shift = HsvShift { hue, saturation, value };
            let mut got = picture.clone();
            shift_hsv(&mut got, shift);
            for (from, to) in picture.iter().zip(got.iter()) {
                for (expected, got) in reference(from, shift).into_iter().zip(to) {
                    // Half a level for rounding, and single precision.
                    assert!((expected - f64::from(got)).abs() <= 0.501, "{from:?} by {shift:?}: {to:?}");
                }
            }
            if (hue, saturation, value) == (0.0, 1.0, 1.0) {
                assert_eq!(got, picture);
            }
        }
    }

    #[test]
    fn grey_stays_grey() {
        let levels: Vec<u8> = (0..=255).flat_map(|level| [level; 3]).collect();
        let mut picture = RgbPixels::new(256, 1, levels).unwrap();
        shift_hsv(&mut picture, HsvShift { hue: 0.37, saturation: 1.9, value: 0.8 });
        assert!(picture.iter().all(|[r, g, b]| r == g && g == b));
        let brightest = picture.iter().last().unwrap();
        assert_eq!(brightest, [204; 3]);
    }
}
