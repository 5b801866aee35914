use crate::figure::SeriesStyle;
use crate::frame::{Frame, span};
use crate::number::four_digits;
use crate::svg::{Anchor, Svg, shorten};
use crate::{Align, Error, Figure, Table};

/// The scale of a [`scatter_plot`]'s horizontal axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScatterAxis {
    /// Numbers as they are.
    Linear,
    /// Numbers above 0 by their logarithm; others are not drawn.
    Log,
    /// Names, in this order; a point's `x` is the number of its name, from 0.
    Categories(Vec<String>),
}

/// A point of a [`scatter_plot`].
#[derive(Debug, Clone, PartialEq)]
pub struct ScatterPoint {
    /// What it stands for.
    pub name: String,
    /// Its horizontal place.
    pub x: f64,
    /// Its vertical place.
    pub y: f64,
}

/// Points that belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct ScatterSeries {
    /// What they are.
    pub name: String,
    /// The points.
    pub points: Vec<ScatterPoint>,
    /// Whether a line joins them in their order.
    pub joined: bool,
}

/// Points in a plane, each series in its colour: the value of trials against a key, say. Points that are not finite, or not
/// above 0 on a logarithmic axis, stand in the table and are not drawn.
///
/// # Errors
/// [`Error::Empty`] where there is no point to draw.
///
/// ```
/// use derm_report::{ScatterAxis, ScatterPoint, ScatterSeries, scatter_plot};
///
/// let point = |name: &str, x: f64, y: f64| ScatterPoint { name: name.into(), x, y };
/// let points = vec![point("trial 0", 1e-4, 0.41), point("trial 1", 1e-3, 0.47)];
/// let series = [ScatterSeries { name: "complete".into(), points, joined: false }];
/// let axis = ("learning rate", &ScatterAxis::Log);
/// let figure = scatter_plot("Learning rate", axis, "macro F1", "Trials.", &series)?;
/// assert!(figure.svg().contains("trial 1"));
/// # Ok::<(), derm_report::Error>(())
/// ```
pub fn scatter_plot(
    title: &str,
    x: (&str, &ScatterAxis),
    y: &str,
    caption: &str,
    series: &[ScatterSeries],
) -> Result<Figure, Error> {
    let (x_name, axis) = x;
    let drawn = |point: &&ScatterPoint| axis.place(point.x).is_finite() && point.y.is_finite();
    let points = || series.iter().flat_map(|series| &series.points).filter(drawn);
    if points().next().is_none() {
        return Err(Error::Empty { what: "points of a scatter plot" });
    }
    let mut svg = Svg::new(480.0, 320.0);
    let frame = Frame {
        left: 62.0,
        top: 10.0,
        width: 404.0,
        height: 260.0,
        x: axis.span(points().map(|point| point.x)),
        y: span(points().map(|point| point.y)),
    };
    let linear = *axis == ScatterAxis::Linear;
    frame.axes(&mut svg, x_name, y, (if linear { 5 } else { 0 }, 5));
    for (value, label) in axis.ticks(frame.x) {
        svg.line((frame.x(value), frame.top), (frame.x(value), frame.bottom()), "grid");
        svg.text(frame.x(value), frame.bottom() + 16.0, Anchor::Middle, "tick", &label);
    }
    let columns =
        [("Point", Align::Left), ("Series", Align::Left), (x_name, Align::Right), (y, Align::Right)];
    let mut data = Table::new(columns);
    let mut legend = Vec::new();
    for (index, series) in series.iter().enumerate() {
        let style = SeriesStyle { color: index, dashed: index % 2 == 1 };
        legend.push((style, series.name.clone()));
        let at = |point: &ScatterPoint| frame.point(axis.place(point.x), point.y);
        if series.joined {
            let line: Vec<(f64, f64)> = series.points.iter().filter(drawn).map(at).collect();
            svg.polyline(&line, &format!("line {}", style.stroke()));
        }
        for point in &series.points {
            let cells = [point.name.clone(), series.name.clone(), axis.label(point.x), four_digits(point.y)];
            if drawn(&point) {
                let (x, y) = at(point);
                let note = format!("{}: {x_name} {}, {}", point.name, cells[2], cells[3]);
                svg.dot(x, y, if series.joined { 2.6 } else { 4.5 }, &style.fill(), &note);
            }
            data.row(cells);
        }
    }
    Ok(Figure {
        title: title.to_owned(),
        svg: svg.finish(&format!("{title}: {y} against {x_name}")),
        legend: if series.len() > 1 { legend } else { Vec::new() },
        caption: caption.to_owned(),
        data,
    })
}

impl ScatterAxis {
    /// Where a value stands on the frame's axis.
    fn place(&self, value: f64) -> f64 {
        match self {
            Self::Linear | Self::Categories(_) => value,
            Self::Log if value > 0.0 => value.log10(),
            Self::Log => f64::NAN,
        }
    }

    fn span(&self, values: impl Iterator<Item = f64>) -> (f64, f64) {
        match self {
            Self::Linear => {
                let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                    (low.min(value), high.max(value))
                });
                let air = if high > low { 0.04 * (high - low) } else { 0.1 * high.abs() + 1e-9 };
                (low - air, high + air)
            }
            Self::Log => {
                let (low, high) =
                    values.map(f64::log10).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                        (low.min(value), high.max(value))
                    });
                let air = (0.04 * (high - low)).max(0.02);
                (low - air, high + air)
            }
            Self::Categories(names) => (-0.5, names.len().max(1) as f64 - 0.5),
        }
    }

    /// Places on the frame's axis with labels; a linear axis has those of its frame.
    fn ticks(&self, span: (f64, f64)) -> Vec<(f64, String)> {
        match self {
            Self::Linear => Vec::new(),
            Self::Log => {
                let mantissas: &[f64] = if span.1 - span.0 > 2.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
                let powers = span.0.floor() as i32..=span.1.ceil() as i32;
                let values = powers.flat_map(|power| mantissas.iter().map(move |m| m * 10.0_f64.powi(power)));
                let places = values.map(|value| (value.log10(), four_digits(value)));
                places.filter(|(place, _)| (span.0..=span.1).contains(place)).collect()
            }
            Self::Categories(names) => {
                // As many letters as the room of a name holds.
                let room = (404.0 / (6.8 * names.len().max(1) as f64)) as usize;
                let label = |(place, name): (usize, &String)| (place as f64, shorten(name, room.max(2)));
                names.iter().enumerate().map(label).collect()
            }
        }
    }

    fn label(&self, value: f64) -> String {
        match self {
            Self::Linear | Self::Log => four_digits(value),
            Self::Categories(names) => names.get(value as usize).cloned().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn series(points: &[(f64, f64)], joined: bool) -> ScatterSeries {
        let point = |(place, &(x, y)): (usize, &(f64, f64))| ScatterPoint { name: format!("p{place}"), x, y };
        ScatterSeries {
            name: "all".to_owned(),
            points: points.iter().enumerate().map(point).collect(),
            joined,
        }
    }

    #[test]
    fn a_logarithmic_axis_has_powers_of_ten_and_leaves_out_what_has_no_logarithm() {
        let points = series(&[(1e-5, 0.1), (1e-3, 0.5), (1e-1, 0.2), (0.0, 0.9)], true);
        let figure = scatter_plot("t", ("rate", &ScatterAxis::Log), "f1", "", &[points]).unwrap();
        for tick in ["1e-5", "1e-4", "0.001", "0.01", "0.1"] {
            assert!(figure.svg().contains(&format!(">{tick}</text>")), "{tick}: {}", figure.svg());
        }
        assert_eq!(figure.svg().matches("<circle").count(), 3);
        assert!(!figure.svg().contains("NaN"));
        // Equal steps of the logarithm are equal steps of the drawing.
        let places: Vec<f64> = figure
            .svg()
            .split("cx=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap().parse().unwrap())
            .collect();
        assert!((places[1] - places[0] - (places[2] - places[1])).abs() < 0.2, "{places:?}");
    }

    #[test]
    fn categories_stand_side_by_side_and_one_point_is_enough() {
        let names = ScatterAxis::Categories(vec!["focal".to_owned(), "cross_entropy".to_owned()]);
        let figure =
            scatter_plot("t", ("loss", &names), "f1", "", &[series(&[(0.0, 0.5), (1.0, 0.6)], false)])
                .unwrap();
        assert!(figure.svg().contains(">focal<") && figure.svg().contains(">cross_entropy<"));
        let one = [series(&[(3.0, 0.5)], true)];
        let figure = scatter_plot("t", ("x", &ScatterAxis::Linear), "y", "", &one).unwrap();
        assert!(!figure.svg().contains("NaN") && !figure.svg().contains("inf"), "{}", figure.svg());
        let none = scatter_plot("t", ("x", &ScatterAxis::Linear), "y", "", &[series(&[], false)]);
        assert!(matches!(none, Err(Error::Empty { .. })));
    }
}
