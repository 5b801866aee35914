//! How a lesion of each diagnosis looks.
//!
//! Colour and size alone do not tell the classes apart, on purpose. Nevus and melanoma take their tones from the
//! same range and differ in where the tones lie (around the centre, or to one side) and in the outline; benign
//! keratosis and dermatofibroma share light browns and whites and differ in texture and layout; actinic
//! keratosis, carcinoma and vascular lesion share reds and differ in scale, vessels and lagoons.

use super::diagnosis::Diagnosis;
use super::noise::clouds;
use super::outline::{Outline, Unevenness};
use super::skin::Skin;
use super::structures::{Pattern, Spot, Stroke, Structures};
use super::tint::{Tint, mix, smoothstep, tint};
use crate::portable_rng::PortableRng;

/// Where a lesion's darker tones lie; the weights need not sum to 1.
#[derive(Clone, Copy, Debug)]
struct Layout {
    /// Darker towards the centre.
    concentric: f64,
    /// Darker towards one side.
    lopsided: f64,
    /// Darker in patches.
    patchy: f64,
}

/// One lesion, as it would look with even light and without hair.
#[derive(Clone, Debug)]
pub(super) struct Lesion {
    skin: Skin,
    outline: Outline,
    /// Width of the transition at the border, in depth.
    edge: f64,
    /// Opacity of the lesion over the skin.
    opacity: f64,
    /// Strength of the ragged distortion of the plane.
    warp: f64,
    /// Tones from light to dark.
    tones: [Tint; 3],
    layout: Layout,
    side: (f64, f64),
    seed: u64,
    structures: Structures,
}

impl Lesion {
    /// A random lesion of the diagnosis on the skin.
    pub(super) fn draw(diagnosis: Diagnosis, skin: Skin, rng: &mut PortableRng) -> Self {
        // How fully the diagnosis shows: early lesions show little of what is typical of them.
        let typical = rng.between(0.45, 1.0);
        // A few lesions look like another diagnosis altogether; for them only the answers can tell.
        let (share, lookalike) = imitation(diagnosis);
        let looks = if rng.chance(share) { lookalike } else { diagnosis };
        match looks {
            Diagnosis::MelanocyticNevus => nevus(typical, skin, rng),
            Diagnosis::Melanoma => melanoma(typical, skin, rng),
            Diagnosis::BenignKeratosis => benign_keratosis(typical, skin, rng),
            Diagnosis::Dermatofibroma => dermatofibroma(typical, skin, rng),
            Diagnosis::ActinicKeratosis => actinic_keratosis(typical, skin, rng),
            Diagnosis::BasalCellCarcinoma => basal_cell_carcinoma(typical, skin, rng),
            Diagnosis::VascularLesion => vascular_lesion(typical, skin, rng),
        }
    }

    /// The colour at a point of the lesion plane.
    pub(super) fn colour(&self, x: f64, y: f64) -> Tint {
        let bare = self.skin.colour(x, y);
        let wx = x + self.warp * clouds(x * 4.1, y * 4.1, self.seed ^ 0x01);
        let wy = y + self.warp * clouds(x * 4.1, y * 4.1, self.seed ^ 0x02);
        let depth = self.outline.depth(wx, wy);
        let mask = smoothstep(-self.edge, self.edge, depth) * self.opacity;
        if mask <= 0.0 {
            return bare;
        }
        let across = (wx * self.side.0 + wy * self.side.1) / self.outline.radius;
        let tone = 0.5
            + self.layout.concentric * (smoothstep(0.0, 0.85, depth) - 0.5)
            + self.layout.lopsided * 0.5 * across
            + self.layout.patchy * clouds(x * 2.6, y * 2.6, self.seed ^ 0x03)
            + 0.07 * clouds(x * 9.0, y * 9.0, self.seed ^ 0x04);
        let tone = tone.clamp(0.0, 1.0);
        let flat = if tone < 0.5 {
            mix(self.tones[0], self.tones[1], tone * 2.0)
        } else {
            mix(self.tones[1], self.tones[2], tone * 2.0 - 1.0)
        };
        let full = self.structures.over(flat, wx, wy, depth);
        mix(bare, self.skin.under(full), mask)
    }
}

/// How often a diagnosis looks like another, and which.
fn imitation(diagnosis: Diagnosis) -> (f64, Diagnosis) {
    match diagnosis {
        Diagnosis::MelanocyticNevus => (0.03, Diagnosis::Melanoma),
        Diagnosis::Melanoma => (0.12, Diagnosis::MelanocyticNevus),
        Diagnosis::BenignKeratosis => (0.08, Diagnosis::Melanoma),
        Diagnosis::Dermatofibroma => (0.08, Diagnosis::MelanocyticNevus),
        Diagnosis::ActinicKeratosis => (0.12, Diagnosis::BasalCellCarcinoma),
        Diagnosis::BasalCellCarcinoma => (0.10, Diagnosis::ActinicKeratosis),
        Diagnosis::VascularLesion => (0.08, Diagnosis::BasalCellCarcinoma),
    }
}

/// The brown tones that nevus and melanoma share.
fn browns(rng: &mut PortableRng) -> [Tint; 3] {
    let depth = rng.between(0.0, 1.0);
    let light = mix(tint(188, 132, 92), tint(160, 106, 72), depth);
    let mid = mix(tint(142, 90, 60), tint(112, 70, 50), depth);
    let dark = mix(tint(86, 54, 42), tint(58, 40, 38), depth);
    [light, mid, dark]
}

/// The lighter, greyer or yellower browns that benign keratosis and dermatofibroma share.
fn pale_browns(rng: &mut PortableRng) -> [Tint; 3] {
    let pink = rng.between(0.0, 1.0);
    let light = mix(tint(206, 164, 122), tint(206, 150, 128), pink);
    let mid = mix(tint(172, 124, 84), tint(172, 112, 88), pink);
    let dark = mix(tint(120, 82, 58), tint(116, 74, 62), pink);
    [light, mid, dark]
}

/// The reds that actinic keratosis, carcinoma and vascular lesion share.
fn reds(rng: &mut PortableRng) -> [Tint; 3] {
    let deep = rng.between(0.0, 1.0);
    let light = mix(tint(226, 152, 136), tint(214, 128, 116), deep);
    let mid = mix(tint(206, 108, 98), tint(190, 86, 82), deep);
    let dark = mix(tint(172, 70, 70), tint(148, 52, 60), deep);
    [light, mid, dark]
}

/// Spots in a ring around the centre.
fn ring_of_spots(
    outline: &Outline,
    count: usize,
    fraction: f64,
    radius: f64,
    colour: Tint,
    opacity: f64,
    rng: &mut PortableRng,
) -> Vec<Spot> {
    // Equal steps around the circle, by repeated rotation: the step is a point of the circle found from
    // t = tan(half the angle), which a short rational expression approximates closely enough for a ring.
    let half = std::f64::consts::PI / count.max(3) as f64;
    let square = half * half;
    let t = half * (15.0 - square) / (15.0 - 6.0 * square);
    let (c, s) = ((1.0 - t * t) / (1.0 + t * t), 2.0 * t / (1.0 + t * t));
    let (mut dx, mut dy) = rng.direction();
    let mut spots = Vec::with_capacity(count);
    for _ in 0..count {
        let (x, y) = outline.inside(fraction, (dx, dy));
        let (jx, jy) = outline.inside(0.09, (rng.bell(), rng.bell()));
        spots.push(Spot {
            centre: (x + jx, y + jy),
            radius: radius * rng.between(0.65, 1.25),
            softness: 0.6,
            colour,
            opacity: opacity * rng.between(0.6, 1.0),
        });
        (dx, dy) = (dx * c - dy * s, dx * s + dy * c);
    }
    spots
}

/// Spots anywhere within a fraction of the radius.
fn scattered_spots(
    outline: &Outline,
    count: usize,
    reach: f64,
    radius: (f64, f64),
    colour: Tint,
    opacity: f64,
    rng: &mut PortableRng,
) -> Vec<Spot> {
    (0..count)
        .map(|_| Spot {
            centre: outline.inside(reach * rng.fraction().sqrt(), rng.direction()),
            radius: rng.between(radius.0, radius.1),
            softness: 0.5,
            colour,
            opacity: opacity * rng.between(0.75, 1.0),
        })
        .collect()
}

fn nevus(typical: f64, skin: Skin, rng: &mut PortableRng) -> Lesion {
    let uneven = Unevenness {
        asymmetry: rng.between(0.0, 0.03),
        irregularity: rng.between(0.0, 0.008),
        elongation: rng.between(0.0, 0.35),
    };
    let outline = Outline::draw(rng.between(0.32, 0.58), uneven, rng);
    let tones = browns(rng);
    let mut structures = Structures::default();
    let kind = rng.weighted(&[0.45, 0.30, 0.25]);
    if kind == 0 {
        structures.patterns.push(Pattern::Network {
            period: rng.between(0.095, 0.13),
            colour: tones[2],
            opacity: 0.7 * typical,
            reach: rng.between(0.5, 0.9),
            seed: rng.bits(),
        });
    } else if kind == 1 {
        let count = 10 + rng.below(5);
        structures.spots = ring_of_spots(&outline, count, 0.74, 0.055, tones[2], 0.75 * typical, rng);
    }
    if rng.chance(0.22) {
        // A blue-grey centre: the colour is no privilege of melanoma, its place is.
        structures.spots.push(Spot {
            centre: (0.0, 0.0),
            radius: outline.radius * rng.between(0.35, 0.5),
            softness: 0.6,
            colour: tint(98, 104, 120),
            opacity: 0.6,
        });
    }
    Lesion {
        edge: rng.between(0.07, 0.22),
        opacity: rng.between(0.84, 0.97),
        warp: 0.012,
        tones,
        layout: Layout {
            concentric: if rng.chance(0.85) { rng.between(0.7, 1.0) } else { rng.between(-0.7, -0.4) },
            lopsided: 0.0,
            patchy: rng.between(0.0, 0.12),
        },
        side: rng.direction(),
        seed: rng.bits(),
        skin,
        outline,
        structures,
    }
}

fn melanoma(typical: f64, skin: Skin, rng: &mut PortableRng) -> Lesion {
    let uneven = Unevenness {
        asymmetry: rng.between(0.07, 0.13) * (0.4 + 0.6 * typical),
        irregularity: rng.between(0.03, 0.055) * (0.4 + 0.6 * typical),
        elongation: rng.between(0.0, 0.45),
    };
    let outline = Outline::draw(rng.between(0.36, 0.60), uneven, rng);
    let tones = browns(rng);
    let side = rng.direction();
    let mut structures = Structures::default();
    if rng.chance(0.55) {
        // Streaks on one side, running out over the border.
        let count = 5 + rng.below(4);
        for _ in 0..count {
            let (jx, jy) = rng.direction();
            let (mut dx, mut dy) = (side.0 + 0.75 * jx, side.1 + 0.75 * jy);
            let norm = (dx * dx + dy * dy).sqrt().max(0.2);
            (dx, dy) = (dx / norm, dy / norm);
            structures.strokes.push(Stroke {
                from: outline.inside(rng.between(0.45, 0.6), (dx, dy)),
                to: outline.inside(rng.between(0.95, 1.2), (dx, dy)),
                half_width: (0.045, 0.02),
                colour: tones[2],
                opacity: 0.85 * typical,
            });
        }
    }
    let dots = 2 + rng.below(5);
    for _ in 0..dots {
        let (jx, jy) = rng.direction();
        structures.spots.push(Spot {
            centre: outline.inside(0.8, (0.7 * side.0 + 0.45 * jx, 0.7 * side.1 + 0.45 * jy)),
            radius: rng.between(0.035, 0.075),
            softness: 0.5,
            colour: mix(tones[2], tint(40, 32, 34), 0.5),
            opacity: 0.8 * typical,
        });
    }
    if rng.chance(0.40) {
        let (jx, jy) = rng.direction();
        structures.spots.push(Spot {
            centre: outline.inside(0.5, (jx, jy)),
            radius: outline.radius * rng.between(0.30, 0.45),
            softness: 0.6,
            colour: tint(104, 112, 132),
            opacity: 0.7,
        });
    }
    if rng.chance(0.25) {
        let (jx, jy) = rng.direction();
        structures.spots.push(Spot {
            centre: outline.inside(0.65, (jx, jy)),
            radius: outline.radius * rng.between(0.20, 0.32),
            softness: 0.6,
            colour: tint(196, 128, 112),
            opacity: 0.75,
        });
    }
    Lesion {
        edge: rng.between(0.04, 0.14),
        opacity: rng.between(0.86, 0.97),
        warp: 0.05,
        tones,
        layout: Layout {
            concentric: rng.between(0.0, 0.25),
            lopsided: rng.between(0.5, 0.9) * (0.35 + 0.65 * typical),
            patchy: rng.between(0.35, 0.6),
        },
        side,
        seed: rng.bits(),
        skin,
        outline,
        structures,
    }
}

fn benign_keratosis(typical: f64, skin: Skin, rng: &mut PortableRng) -> Lesion {
    let uneven = Unevenness {
        asymmetry: rng.between(0.01, 0.05),
        irregularity: rng.between(0.008, 0.022),
        elongation: rng.between(0.05, 0.55),
    };
    let outline = Outline::draw(rng.between(0.32, 0.60), uneven, rng);
    let tones = if rng.chance(0.35) { browns(rng) } else { pale_browns(rng) };
    let mut structures = Structures::default();
    let ridged = rng.chance(0.6);
    if ridged {
        structures.patterns.push(Pattern::Ridges {
            period: rng.between(0.17, 0.23),
            direction: rng.direction(),
            colour: mix(tones[2], tint(70, 48, 40), 0.4),
            opacity: 0.8 * typical,
            seed: rng.bits(),
        });
    }
    let count = if ridged { 2 + rng.below(4) } else { 7 + rng.below(6) };
    structures.spots =
        scattered_spots(&outline, count, 0.82, (0.035, 0.06), tint(244, 226, 196), 0.9 * typical, rng);
    let comedones = if ridged { rng.below(3) } else { 4 + rng.below(5) };
    structures.spots.extend(scattered_spots(
        &outline,
        comedones,
        0.82,
        (0.035, 0.055),
        tint(70, 46, 38),
        0.85 * typical,
        rng,
    ));
    Lesion {
        edge: rng.between(0.025, 0.06),
        opacity: rng.between(0.80, 0.95),
        warp: 0.025,
        tones,
        layout: Layout {
            concentric: rng.between(-0.1, 0.25),
            lopsided: rng.between(0.0, 0.2),
            patchy: rng.between(0.1, 0.3),
        },
        side: rng.direction(),
        seed: rng.bits(),
        skin,
        outline,
        structures,
    }
}

fn dermatofibroma(typical: f64, skin: Skin, rng: &mut PortableRng) -> Lesion {
    let uneven = Unevenness {
        asymmetry: rng.between(0.0, 0.03),
        irregularity: rng.between(0.0, 0.01),
        elongation: rng.between(0.0, 0.2),
    };
    let outline = Outline::draw(rng.between(0.34, 0.54), uneven, rng);
    let tones = if rng.chance(0.15) { browns(rng) } else { pale_browns(rng) };
    let mut structures = Structures::default();
    structures.patterns.push(Pattern::Network {
        period: rng.between(0.11, 0.14),
        colour: tones[2],
        opacity: 0.4 * typical,
        reach: 0.35,
        seed: rng.bits(),
    });
    structures.spots.push(Spot {
        centre: outline.inside(0.08, rng.direction()),
        radius: outline.radius * rng.between(0.34, 0.46),
        softness: 0.7,
        colour: tint(238, 214, 196),
        opacity: 0.55 + 0.35 * typical,
    });
    Lesion {
        edge: rng.between(0.20, 0.36),
        opacity: rng.between(0.76, 0.92),
        warp: 0.02,
        tones,
        layout: Layout { concentric: rng.between(0.1, 0.4), lopsided: 0.0, patchy: rng.between(0.05, 0.15) },
        side: rng.direction(),
        seed: rng.bits(),
        skin,
        outline,
        structures,
    }
}

fn actinic_keratosis(typical: f64, skin: Skin, rng: &mut PortableRng) -> Lesion {
    let uneven = Unevenness {
        asymmetry: rng.between(0.03, 0.07),
        irregularity: rng.between(0.015, 0.035),
        elongation: rng.between(0.0, 0.5),
    };
    let outline = Outline::draw(rng.between(0.36, 0.62), uneven, rng);
    let tones = reds(rng);
    let mut structures = Structures::default();
    structures.patterns.push(Pattern::Scale {
        period: rng.between(0.11, 0.17),
        colour: tint(243, 222, 200),
        opacity: 0.55 + 0.4 * typical,
        threshold: rng.between(0.46, 0.54),
        seed: rng.bits(),
    });
    Lesion {
        edge: rng.between(0.16, 0.34),
        opacity: rng.between(0.62, 0.85),
        warp: 0.06,
        tones,
        layout: Layout { concentric: rng.between(0.0, 0.3), lopsided: 0.1, patchy: rng.between(0.3, 0.5) },
        side: rng.direction(),
        seed: rng.bits(),
        skin,
        outline,
        structures,
    }
}

fn basal_cell_carcinoma(typical: f64, skin: Skin, rng: &mut PortableRng) -> Lesion {
    let uneven = Unevenness {
        asymmetry: rng.between(0.02, 0.06),
        irregularity: rng.between(0.008, 0.022),
        elongation: rng.between(0.0, 0.4),
    };
    let outline = Outline::draw(rng.between(0.34, 0.58), uneven, rng);
    let tones = reds(rng);
    let mut structures = Structures::default();
    // Branching vessels that enter from the border.
    let trunks = 2 + rng.below(3);
    for _ in 0..trunks {
        vessel(&outline, 0.6 + 0.4 * typical, &mut structures.strokes, rng);
    }
    let nests = rng.below(4);
    structures.spots = scattered_spots(&outline, nests, 0.75, (0.06, 0.10), tint(98, 96, 116), 0.8, rng);
    if rng.chance(0.45) {
        // Ulceration under a crust.
        structures.spots.push(Spot {
            centre: outline.inside(rng.between(0.1, 0.45), rng.direction()),
            radius: outline.radius * rng.between(0.18, 0.3),
            softness: 0.35,
            colour: tint(126, 48, 40),
            opacity: 0.85,
        });
    }
    // A pearly sheen.
    structures.spots.insert(
        0,
        Spot {
            centre: outline.inside(0.3, rng.direction()),
            radius: outline.radius * 0.4,
            softness: 0.8,
            colour: tint(246, 214, 204),
            opacity: 0.45,
        },
    );
    Lesion {
        edge: rng.between(0.06, 0.15),
        opacity: rng.between(0.66, 0.88),
        warp: 0.03,
        tones,
        layout: Layout { concentric: rng.between(-0.4, 0.0), lopsided: 0.15, patchy: rng.between(0.1, 0.3) },
        side: rng.direction(),
        seed: rng.bits(),
        skin,
        outline,
        structures,
    }
}

/// One winding vessel with two branches, from the border towards the centre.
fn vessel(outline: &Outline, opacity: f64, strokes: &mut Vec<Stroke>, rng: &mut PortableRng) {
    let colour = tint(142, 26, 38);
    let start = rng.direction();
    let turn = rng.between(-0.5, 0.5);
    let mut at = outline.inside(rng.between(0.85, 1.0), start);
    let mut heading = (-start.0 - turn * start.1, -start.1 + turn * start.0);
    let step = outline.radius * 0.28;
    for piece in 0..5 {
        let bend = rng.between(-0.6, 0.6);
        let bent = (heading.0 - bend * heading.1, heading.1 + bend * heading.0);
        let norm = (bent.0 * bent.0 + bent.1 * bent.1).sqrt();
        heading = (bent.0 / norm, bent.1 / norm);
        let to = (at.0 + step * heading.0, at.1 + step * heading.1);
        let half = 0.032 - 0.004 * f64::from(piece);
        strokes.push(Stroke { from: at, to, half_width: (half, half - 0.004), colour, opacity });
        if piece == 1 || piece == 3 {
            let fork = if bend > 0.0 { -0.9 } else { 0.9 };
            let branch = (heading.0 - fork * heading.1, heading.1 + fork * heading.0);
            let end = (at.0 + 0.9 * step * branch.0, at.1 + 0.9 * step * branch.1);
            strokes.push(Stroke { from: at, to: end, half_width: (half - 0.006, 0.010), colour, opacity });
        }
        at = to;
    }
}

fn vascular_lesion(typical: f64, skin: Skin, rng: &mut PortableRng) -> Lesion {
    let uneven = Unevenness {
        asymmetry: rng.between(0.01, 0.04),
        irregularity: rng.between(0.005, 0.015),
        elongation: rng.between(0.0, 0.3),
    };
    let outline = Outline::draw(rng.between(0.30, 0.54), uneven, rng);
    let tones = reds(rng);
    let mut structures = Structures::default();
    structures.patterns.push(Pattern::Lacunae {
        period: rng.between(0.19, 0.25),
        septum: tint(232, 172, 156),
        deep: if rng.chance(0.5) { tint(110, 32, 48) } else { tint(96, 60, 92) },
        opacity: 0.5 + 0.45 * typical,
        seed: rng.bits(),
    });
    Lesion {
        edge: rng.between(0.04, 0.10),
        opacity: rng.between(0.72, 0.93),
        warp: 0.02,
        tones,
        layout: Layout { concentric: rng.between(0.0, 0.3), lopsided: 0.0, patchy: rng.between(0.1, 0.3) },
        side: rng.direction(),
        seed: rng.bits(),
        skin,
        outline,
        structures,
    }
}
