use derm_metrics::Interval;

use crate::figure::SeriesStyle;
use crate::frame::{Frame, span};
use crate::number::{interval, number, with_interval};
use crate::svg::{Anchor, Svg};
use crate::{Align, Error, Figure, Table};

/// A model in a [`pareto_plot`]: what it costs, and how good it is.
#[derive(Debug, Clone, PartialEq)]
pub struct ParetoPoint {
    /// The model.
    pub name: String,
    /// What it costs; less is better.
    pub cost: f64,
    /// How good it is; more is better.
    pub value: f64,
    /// The interval of `value`.
    pub interval: Option<Interval>,
}

impl ParetoPoint {
    /// Whether another point is as cheap and as good, and cheaper or better.
    fn is_dominated_by(&self, other: &Self) -> bool {
        let no_worse = other.cost <= self.cost && other.value >= self.value;
        no_worse && (other.cost < self.cost || other.value > self.value)
    }
}

/// Which points lie on the Pareto front: no other one is as cheap and as good, and cheaper or better.
///
/// ```
/// use derm_report::{ParetoPoint, pareto_front};
/// let point = |cost, value| ParetoPoint { name: String::new(), cost, value, interval: None };
/// let points = [point(1.0, 0.6), point(2.0, 0.5), point(4.0, 0.8)];
/// assert_eq!(pareto_front(&points), [true, false, true]);
/// ```
pub fn pareto_front(points: &[ParetoPoint]) -> Vec<bool> {
    points.iter().map(|point| !points.iter().any(|other| point.is_dominated_by(other))).collect()
}

/// What models give against what they cost, with the Pareto front as a line.
///
/// The front goes by the point values. Where intervals overlap, it may be another one.
///
/// # Errors
/// [`Error::Empty`] for no point with a finite cost and value.
pub fn pareto_plot(points: &[ParetoPoint], cost: &str, value: &str) -> Result<Figure, Error> {
    let finite = |point: &&ParetoPoint| point.cost.is_finite() && point.value.is_finite();
    let points: Vec<ParetoPoint> = points.iter().filter(finite).cloned().collect();
    if points.is_empty() {
        return Err(Error::Empty { what: "points of a Pareto plot" });
    }
    let ends = |point: &ParetoPoint| {
        let interval = point.interval.map(|interval| [interval.low, interval.high]);
        std::iter::once(point.value).chain(interval.into_iter().flatten()).collect::<Vec<f64>>()
    };
    let highest = points.iter().map(|point| point.cost).fold(0.0, f64::max);
    let x = (0.0, if highest > 0.0 { 1.1 * highest } else { 1.0 });
    let y = span(points.iter().flat_map(ends));
    let mut svg = Svg::new(480.0, 320.0);
    let frame = Frame { left: 62.0, top: 10.0, width: 404.0, height: 260.0, x, y };
    frame.axes(&mut svg, cost, value, (5, 5));
    let on_front = pareto_front(&points);
    let mut front: Vec<&ParetoPoint> =
        points.iter().zip(&on_front).filter_map(|(point, on)| on.then_some(point)).collect();
    front.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    let line: Vec<(f64, f64)> = front.iter().map(|point| frame.point(point.cost, point.value)).collect();
    svg.polyline(&line, "line axis dashed");
    let mut data = Table::new([
        ("Model", Align::Left),
        (cost, Align::Right),
        (value, Align::Right),
        ("Interval", Align::Right),
        ("On the front", Align::Left),
    ]);
    let mut legend = Vec::new();
    for (index, (point, on)) in points.iter().zip(&on_front).enumerate() {
        let style = SeriesStyle { color: index, dashed: index % 2 == 1 };
        let (x, y) = frame.point(point.cost, point.value);
        if let Some(ends) = point.interval.filter(|ends| ends.low.is_finite() && ends.high.is_finite()) {
            svg.line((x, frame.y(ends.low)), (x, frame.y(ends.high)), &format!("bar {}", style.stroke()));
        }
        let note = format!("{}: {}", point.name, with_interval(Some(point.value), point.interval));
        svg.dot(x, y, 4.5, &style.fill(), &note);
        svg.text(x + 8.0, y + 4.0, Anchor::Start, "tick", &(index + 1).to_string());
        legend.push((style, format!("{}: {}", index + 1, point.name)));
        data.row([
            point.name.clone(),
            number(point.cost),
            number(point.value),
            interval(point.interval),
            if *on { "yes" } else { "no" }.to_owned(),
        ]);
    }
    Ok(Figure {
        title: format!("{value} against {cost}"),
        svg: svg.finish(&format!("{value} against {cost}, with the Pareto front")),
        legend,
        caption:
            "The line joins the models that no other one beats in both. It goes by the point values: where \
                  intervals overlap, the front is not settled."
                .to_owned(),
        data,
    })
}
