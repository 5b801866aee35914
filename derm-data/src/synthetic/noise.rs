//! Smooth random fields: value noise on an integer lattice, by hashing, so that a point's value depends on
//! nothing but its place and the seed.

/// A well-mixed 64-bit hash (the finaliser of `SplitMix64`).
fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A fraction in [0, 1) that belongs to a lattice point.
pub(super) fn lattice(ix: i64, iy: i64, seed: u64) -> f64 {
    let key =
        (ix as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (iy as u64).wrapping_mul(0xC2B2_AE3D_27D4_EB4F);
    (mixed(key ^ seed) >> 40) as f64 / 16_777_216.0
}

/// Value noise in [0, 1) at (x, y), one lattice cell a unit.
pub(super) fn noise(x: f64, y: f64, seed: u64) -> f64 {
    let (fx, fy) = (x.floor(), y.floor());
    let (ix, iy) = (fx as i64, fy as i64);
    let (tx, ty) = (x - fx, y - fy);
    let (sx, sy) = (tx * tx * (3.0 - 2.0 * tx), ty * ty * (3.0 - 2.0 * ty));
    let top = lattice(ix, iy, seed) * (1.0 - sx) + lattice(ix + 1, iy, seed) * sx;
    let bottom = lattice(ix, iy + 1, seed) * (1.0 - sx) + lattice(ix + 1, iy + 1, seed) * sx;
    top * (1.0 - sy) + bottom * sy
}

/// Three octaves of [`noise`], centred: in about [-1, 1].
pub(super) fn clouds(x: f64, y: f64, seed: u64) -> f64 {
    let sum = noise(x, y, seed) * 4.0
        + noise(x * 2.1 + 7.3, y * 2.1 - 3.1, seed ^ 0x51) * 2.0
        + noise(x * 4.3 - 1.7, y * 4.3 + 5.9, seed ^ 0xA7);
    sum / 3.5 - 1.0
}

/// Worley cells: distances to the nearest and the second nearest of one jittered point a lattice cell, and the
/// nearest point's own fraction.
pub(super) fn cells(x: f64, y: f64, seed: u64) -> (f64, f64, f64) {
    let (ix, iy) = (x.floor() as i64, y.floor() as i64);
    let (mut near, mut second, mut own) = (9.0f64, 9.0f64, 0.0f64);
    for cy in iy - 1..=iy + 1 {
        for cx in ix - 1..=ix + 1 {
            let px = cx as f64 + 0.15 + 0.7 * lattice(cx, cy, seed);
            let py = cy as f64 + 0.15 + 0.7 * lattice(cx, cy, seed ^ 0x3C);
            let square = (x - px) * (x - px) + (y - py) * (y - py);
            if square < near {
                second = near;
                near = square;
                own = lattice(cx, cy, seed ^ 0x99);
            } else if square < second {
                second = square;
            }
        }
    }
    (near.sqrt(), second.sqrt(), own)
}
