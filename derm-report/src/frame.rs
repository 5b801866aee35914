use crate::svg::{Anchor, Svg};

/// The plane of a plot: where it lies in the drawing and which values it spans.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) x: (f64, f64),
    pub(crate) y: (f64, f64),
}

impl Frame {
    pub(crate) fn x(&self, value: f64) -> f64 {
        self.left + (value - self.x.0) / (self.x.1 - self.x.0) * self.width
    }

    pub(crate) fn y(&self, value: f64) -> f64 {
        self.top + self.height - (value - self.y.0) / (self.y.1 - self.y.0) * self.height
    }

    pub(crate) fn point(&self, x: f64, y: f64) -> (f64, f64) {
        (self.x(x), self.y(y))
    }

    pub(crate) fn bottom(&self) -> f64 {
        self.top + self.height
    }

    pub(crate) fn right(&self) -> f64 {
        self.left + self.width
    }

    /// Grid lines, tick labels and the names of both axes.
    pub(crate) fn axes(&self, svg: &mut Svg, x_name: &str, y_name: &str, ticks: (usize, usize)) {
        for (value, label) in tick_labels(self.x, ticks.0) {
            let x = self.x(value);
            svg.line((x, self.top), (x, self.bottom()), "grid");
            svg.text(x, self.bottom() + 16.0, Anchor::Middle, "tick", &label);
        }
        for (value, label) in tick_labels(self.y, ticks.1) {
            let y = self.y(value);
            svg.line((self.left, y), (self.right(), y), "grid");
            svg.text(self.left - 7.0, y + 4.0, Anchor::End, "tick", &label);
        }
        svg.line((self.left, self.bottom()), (self.right(), self.bottom()), "axis");
        svg.line((self.left, self.top), (self.left, self.bottom()), "axis");
        let middle = (self.left + self.width / 2.0, self.top + self.height / 2.0);
        svg.text(middle.0, self.bottom() + 35.0, Anchor::Middle, "name", x_name);
        svg.turned_text(14.0, middle.1, -90.0, Anchor::Middle, "name", y_name);
    }
}

/// Round values of a range, about `count` of them or none at all, with labels of as many digits as they need.
pub(crate) fn tick_labels(range: (f64, f64), count: usize) -> Vec<(f64, String)> {
    if count == 0 {
        return Vec::new();
    }
    let rough = (range.1 - range.0) / count as f64;
    let power = 10.0_f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].into_iter().map(|round| round * power).find(|step| *step >= rough * 0.999);
    let step = step.unwrap_or(power);
    let digits = (-step.log10().floor()).max(0.0) as usize;
    // Half a step's thousandth forgives the rounding of the range's ends.
    let (first, last) = ((range.0 / step - 5e-4).ceil() as i64, (range.1 / step + 5e-4).floor() as i64);
    (first..=last)
        .map(|index| {
            let value = index as f64 * step;
            (value, format!("{value:.digits$}"))
        })
        .collect()
}

/// A range that holds all finite values, with a little air; 0 to 1 where there is none.
pub(crate) fn span(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    if low > high {
        return (0.0, 1.0);
    }
    let air = ((high - low) * 0.06).max(0.05 * high.abs()).max(1e-3);
    (low - air, high + air)
}
