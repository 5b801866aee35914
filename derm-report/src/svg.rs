use std::fmt::Write as _;

use crate::escape::escape;

/// Where a text is tied to its point.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

/// A drawing in its own units, which fills the width that the page gives it. Colours come from the page's
/// style by class, so that it follows the light and the dark scheme.
#[derive(Debug)]
pub(crate) struct Svg {
    width: f64,
    height: f64,
    body: String,
}

impl Svg {
    pub(crate) fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    pub(crate) fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let _ = writeln!(
            self.body,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" class=\"{class}\"/>"
        );
    }

    /// A rectangle with a note that shows when it is pointed at.
    pub(crate) fn rect(&mut self, x: f64, y: f64, size: (f64, f64), class: &str, opacity: f64, note: &str) {
        let (width, height) = size;
        let _ = writeln!(
            self.body,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" class=\"{class}\" \
             fill-opacity=\"{opacity:.3}\"><title>{}</title></rect>",
            escape(note)
        );
    }

    /// A dot with a note that shows when it is pointed at.
    pub(crate) fn dot(&mut self, x: f64, y: f64, radius: f64, class: &str, note: &str) {
        let _ = writeln!(
            self.body,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\" class=\"{class}\"><title>{}</title></circle>",
            escape(note)
        );
    }

    /// A line through points.
    pub(crate) fn polyline(&mut self, points: &[(f64, f64)], class: &str) {
        let _ = write!(self.body, "<polyline class=\"{class}\" points=\"");
        for (x, y) in points {
            let _ = write!(self.body, "{x:.1},{y:.1} ");
        }
        self.body.push_str("\"/>\n");
    }

    pub(crate) fn text(&mut self, x: f64, y: f64, anchor: Anchor, class: &str, text: &str) {
        let _ = writeln!(
            self.body,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{}\" class=\"{class}\">{}</text>",
            anchor.name(),
            escape(text)
        );
    }

    /// A text turned by `degrees` clockwise around its point.
    pub(crate) fn turned_text(
        &mut self,
        x: f64,
        y: f64,
        degrees: f64,
        anchor: Anchor,
        class: &str,
        text: &str,
    ) {
        let _ = writeln!(
            self.body,
            "<text transform=\"translate({x:.1} {y:.1}) rotate({degrees})\" text-anchor=\"{}\" class=\"{class}\">{}\
             </text>",
            anchor.name(),
            escape(text)
        );
    }

    /// The drawing as an element, described by `label` for those who cannot see it.
    pub(crate) fn finish(&self, label: &str) -> String {
        format!(
            "<svg viewBox=\"0 0 {:.0} {:.0}\" role=\"img\" aria-label=\"{}\">\n{}</svg>\n",
            self.width,
            self.height,
            escape(label),
            self.body
        )
    }
}

/// A label cut to `length` characters, the last being an ellipsis where something is missing.
pub(crate) fn shorten(label: &str, length: usize) -> String {
    if label.chars().count() <= length {
        return label.to_owned();
    }
    let kept: String = label.chars().take(length.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}
