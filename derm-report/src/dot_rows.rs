use derm_metrics::Interval;

use crate::figure::SeriesStyle;
use crate::frame::Frame;
use crate::number::with_interval;
use crate::svg::{Anchor, Svg, shorten};

/// Characters of a row's name that fit beside the plane.
const LETTERS: usize = 18;

/// One row: a name, a count at the right end, and for each series a number or none.
#[derive(Debug, Clone)]
pub(crate) struct DotRow {
    pub(crate) label: String,
    pub(crate) count: String,
    pub(crate) values: Vec<(Option<f64>, Option<Interval>)>,
}

/// How rows of dots are drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DotAxis<'a> {
    /// What the numbers are.
    pub(crate) name: &'a str,
    /// What the counts are.
    pub(crate) counts: &'a str,
    /// The range that is shown; what lies outside is drawn at its end.
    pub(crate) range: (f64, f64),
    /// A value that is drawn as a line.
    pub(crate) mark: Option<f64>,
}

/// Dots with intervals, a row a thing and a dot a series, and the legend of the series.
pub(crate) fn dot_rows(
    series: &[&str],
    rows: &[DotRow],
    axis: DotAxis<'_>,
    description: &str,
) -> (String, Vec<(SeriesStyle, String)>) {
    let longest = rows.iter().map(|row| row.label.chars().count()).max().unwrap_or(0).min(LETTERS);
    let left = 22.0 + 6.8 * longest as f64;
    let pitch = 14.0 * series.len() as f64 + 12.0;
    let height = pitch * rows.len() as f64;
    let mut svg = Svg::new(480.0, height + 66.0);
    let frame = Frame { left, top: 22.0, width: 480.0 - left - 52.0, height, x: axis.range, y: (0.0, 1.0) };
    frame.axes(&mut svg, axis.name, "", (5, 0));
    svg.text(474.0, 14.0, Anchor::End, "tick", axis.counts);
    let x = |value: f64| frame.x(value.clamp(axis.range.0, axis.range.1));
    if let Some(mark) = axis.mark {
        svg.line((x(mark), frame.top), (x(mark), frame.bottom()), "axis dashed");
    }
    let style = |index: usize| SeriesStyle { color: index, dashed: index % 2 == 1 };
    for (position, row) in rows.iter().enumerate() {
        let top = frame.top + pitch * position as f64;
        if position > 0 {
            svg.line((10.0, top), (474.0, top), "grid");
        }
        let centre = top + pitch / 2.0 + 4.0;
        svg.text(left - 8.0, centre, Anchor::End, "tick", &shorten(&row.label, LETTERS));
        svg.text(474.0, centre, Anchor::End, "tick", &row.count);
        for (index, (name, (value, interval))) in series.iter().zip(&row.values).enumerate() {
            let y = top + 6.0 + 14.0 * (index as f64 + 0.5);
            if let Some(ends) = interval {
                svg.line((x(ends.low), y), (x(ends.high), y), &format!("bar {}", style(index).stroke()));
            }
            if let Some(value) = value.filter(|value| value.is_finite()) {
                let note = format!("{name}, {}: {}", row.label, with_interval(Some(value), *interval));
                svg.dot(x(value), y, 4.5, &style(index).fill(), &note);
            }
        }
    }
    let legend = series.iter().enumerate().map(|(index, name)| (style(index), (*name).to_owned()));
    (svg.finish(description), legend.collect())
}
