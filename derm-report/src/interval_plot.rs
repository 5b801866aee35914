use derm_metrics::Interval;

use crate::figure::SeriesStyle;
use crate::frame::{Frame, span};
use crate::number::{interval, optional, with_interval};
use crate::svg::{Anchor, Svg, shorten};
use crate::{Align, Error, Figure, Table};

/// Most letters of a row's name that are drawn.
const MOST_LETTERS: usize = 22;

/// A number with its interval, one mark of an [`interval_plot`].
#[derive(Debug, Clone, PartialEq)]
pub struct IntervalMark {
    /// The row: a class, say.
    pub row: String,
    /// The series: a model, say. Each has its colour.
    pub series: String,
    /// The number; none is drawn where it is undefined.
    pub value: Option<f64>,
    /// Its interval.
    pub interval: Option<Interval>,
}

/// Numbers with their intervals, in rows, each series in its colour: differences to a baseline, say, around 0.
///
/// Rows and series stand in the order in which `marks` names them. A `reference` is drawn as a line.
///
/// # Errors
/// [`Error::Empty`] for no mark.
pub fn interval_plot(
    title: &str,
    axis: &str,
    caption: &str,
    marks: &[IntervalMark],
    reference: Option<f64>,
) -> Result<Figure, Error> {
    if marks.is_empty() {
        return Err(Error::Empty { what: "marks of an interval plot" });
    }
    let rows = in_order(marks.iter().map(|mark| mark.row.as_str()));
    let series = in_order(marks.iter().map(|mark| mark.series.as_str()));
    let longest = rows.iter().map(|row| row.chars().count()).max().unwrap_or(0).min(MOST_LETTERS);
    let left = 22.0 + 6.8 * longest as f64;
    let pitch = 14.0 * series.len() as f64 + 12.0;
    let height = pitch * rows.len() as f64;
    let ends = |mark: &IntervalMark| {
        let interval = mark.interval.map(|interval| [interval.low, interval.high]);
        mark.value.into_iter().chain(interval.into_iter().flatten()).collect::<Vec<f64>>()
    };
    // The last number of the axis stands half beyond it.
    let mut svg = Svg::new(490.0, height + 54.0);
    let x = span(marks.iter().flat_map(ends).chain(reference));
    let frame = Frame { left, top: 10.0, width: 466.0 - left, height, x, y: (0.0, 1.0) };
    frame.axes(&mut svg, axis, "", (5, 0));
    if let Some(reference) = reference {
        svg.line((frame.x(reference), frame.top), (frame.x(reference), frame.bottom()), "axis dashed");
    }
    let names =
        [("Row", Align::Left), ("Series", Align::Left), ("Value", Align::Right), ("Interval", Align::Right)];
    let mut data = Table::new(names);
    for (position, row) in rows.iter().enumerate() {
        let top = frame.top + pitch * position as f64;
        if position > 0 {
            svg.line((10.0, top), (466.0, top), "grid");
        }
        let centre = top + pitch / 2.0 + 4.0;
        svg.text(left - 8.0, centre, Anchor::End, "tick", &shorten(row, MOST_LETTERS));
        for mark in marks.iter().filter(|mark| mark.row == *row) {
            let index = series.iter().position(|name| *name == mark.series).unwrap_or(0);
            let style = style(index);
            data.row([(*row).to_owned(), mark.series.clone(), optional(mark.value), interval(mark.interval)]);
            let y = top + 6.0 + 14.0 * (index as f64 + 0.5);
            if let Some(ends) = mark.interval.filter(|ends| ends.low.is_finite() && ends.high.is_finite()) {
                svg.line((frame.x(ends.low), y), (frame.x(ends.high), y), &format!("bar {}", style.stroke()));
            }
            if let Some(value) = mark.value.filter(|value| value.is_finite()) {
                let note = format!("{}, {row}: {}", mark.series, with_interval(mark.value, mark.interval));
                svg.dot(frame.x(value), y, 4.5, &style.fill(), &note);
            }
        }
    }
    let legend = series.iter().enumerate().map(|(index, name)| (style(index), (*name).to_owned()));
    Ok(Figure {
        title: title.to_owned(),
        svg: svg.finish(&format!("{title}, with intervals")),
        legend: if series.len() > 1 { legend.collect() } else { Vec::new() },
        caption: caption.to_owned(),
        data,
    })
}

fn style(index: usize) -> SeriesStyle {
    SeriesStyle { color: index, dashed: index % 2 == 1 }
}

/// Each name once, in the order in which they first stand.
fn in_order<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found = Vec::new();
    for name in names {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}
