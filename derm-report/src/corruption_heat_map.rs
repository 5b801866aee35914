use derm_metrics::Interval;

use crate::number::{optional, with_interval};
use crate::svg::{Anchor, Svg, shorten};
use crate::{Align, Error, Figure, Table};

/// Characters of a kind's name that fit beside the plane.
const LETTERS: usize = 22;

/// One kind of corruption at rising strength.
#[derive(Debug, Clone, PartialEq)]
pub struct CorruptionSeries {
    /// The kind.
    pub kind: String,
    /// Its levels, the weakest first.
    pub levels: Vec<CorruptionLevel>,
}

/// A metric at one level of a corruption.
#[derive(Debug, Clone, PartialEq)]
pub struct CorruptionLevel {
    /// The level, in the kind's own unit.
    pub level: f64,
    /// The metric; `None` where it is undefined.
    pub value: Option<f64>,
    /// Corrupted minus clean; `None` where one is undefined.
    pub difference: Option<f64>,
    /// The interval of the difference, paired over the same rows.
    pub interval: Option<Interval>,
}

/// A metric under corruptions of rising strength, shaded by how much of the clean value is lost.
///
/// # Errors
/// [`Error::Empty`] for no kind, or a kind without a level.
pub fn corruption_heat_map(
    metric: &str,
    clean: Option<f64>,
    series: &[CorruptionSeries],
) -> Result<Figure, Error> {
    let columns = series.iter().map(|kind| kind.levels.len()).max().unwrap_or(0);
    if columns == 0 || series.iter().any(|kind| kind.levels.is_empty()) {
        return Err(Error::Empty { what: "levels of a corruption" });
    }
    let longest = series.iter().map(|kind| kind.kind.chars().count()).max().unwrap_or(0).min(LETTERS);
    let left = 16.0 + 6.8 * longest as f64;
    let (width, height) = ((474.0 - left) / columns as f64, 22.0);
    let mut svg = Svg::new(480.0, 28.0 + height * series.len() as f64 + 6.0);
    for column in 0..columns {
        let x = left + width * (column as f64 + 0.5);
        svg.text(x, 16.0, Anchor::Middle, "tick", &format!("level {}", column + 1));
    }
    let mut data = Table::new([
        ("Corruption", Align::Left),
        ("Level", Align::Right),
        ("Value", Align::Right),
        ("Minus clean", Align::Right),
    ]);
    for (line, kind) in series.iter().enumerate() {
        let y = 28.0 + height * line as f64;
        svg.text(left - 8.0, y + 15.0, Anchor::End, "tick", &shorten(&kind.kind, LETTERS));
        for (column, level) in kind.levels.iter().enumerate() {
            let difference = with_interval(level.difference, level.interval);
            data.row([kind.kind.clone(), level.level.to_string(), optional(level.value), difference.clone()]);
            let lost = level.difference.map_or(0.0, |difference| (-difference).max(0.0));
            let shade =
                clean.filter(|clean| *clean > 0.0).map_or(0.0, |clean| (lost / clean).clamp(0.0, 1.0));
            let x = left + width * column as f64;
            let note = format!(
                "{} at {}: {}, minus clean {difference}",
                kind.kind,
                level.level,
                optional(level.value)
            );
            svg.rect(x, y, (width, height), "cell", 1.0, "");
            svg.rect(x, y, (width, height), "f1", shade, &note);
            let class = if shade > 0.6 { "count on" } else { "count" };
            svg.text(x + width / 2.0, y + 15.0, Anchor::Middle, class, &optional(level.value));
        }
    }
    Ok(Figure {
        title: format!("Corrupted images: {metric}"),
        svg: svg.finish(&format!("{metric} by kind and level of corruption")),
        legend: Vec::new(),
        caption: format!(
            "The {metric} on test images made worse, {} without corruption; level 1 is the mildest. The stronger the shade, \
             the larger the lost share of the clean value. Intervals of the differences (in the data) are paired over the \
             same groups (lesions or patients).",
            optional(clean)
        ),
        data,
    })
}
