use std::fmt::Write as _;

use crate::Table;
use crate::escape::escape;

/// How a series is told apart from others: by colour, and by dashes for those who see no colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SeriesStyle {
    /// Which colour, from 0; there are six.
    pub(crate) color: usize,
    pub(crate) dashed: bool,
}

impl SeriesStyle {
    pub(crate) fn solid(color: usize) -> Self {
        Self { color, dashed: false }
    }

    pub(crate) fn stroke(self) -> String {
        format!("s{}{}", self.color % 6, if self.dashed { " dashed" } else { "" })
    }

    pub(crate) fn fill(self) -> String {
        format!("f{}", self.color % 6)
    }
}

/// A drawing with its title, legend, caption and the numbers it was drawn from.
#[derive(Debug, Clone)]
pub struct Figure {
    pub(crate) title: String,
    pub(crate) svg: String,
    pub(crate) legend: Vec<(SeriesStyle, String)>,
    pub(crate) caption: String,
    pub(crate) data: Table,
}

impl Figure {
    /// The title.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The drawing, an SVG element that takes its colours from the report's style.
    pub fn svg(&self) -> &str {
        &self.svg
    }

    /// The numbers that it was drawn from.
    pub fn data(&self) -> &Table {
        &self.data
    }

    pub(crate) fn html(&self) -> String {
        let mut html = format!("<figure>\n<h3>{}</h3>\n", escape(&self.title));
        if !self.legend.is_empty() {
            html.push_str("<ul class=\"legend\">");
            for (style, name) in &self.legend {
                let _ = write!(
                    html,
                    "<li><svg viewBox=\"0 0 26 10\" aria-hidden=\"true\"><line x1=\"1\" y1=\"5\" x2=\"25\" y2=\"5\" \
                     class=\"{}\"/></svg>{}</li>",
                    style.stroke(),
                    escape(name)
                );
            }
            html.push_str("</ul>\n");
        }
        let _ = write!(
            html,
            "{}<figcaption>{}</figcaption>\n<details><summary>Data</summary>\n{}</details>\n</figure>\n",
            self.svg,
            escape(&self.caption),
            self.data.html()
        );
        html
    }
}
