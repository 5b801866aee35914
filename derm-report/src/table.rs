use std::fmt::Write as _;

use crate::Error;
use crate::escape::escape;

/// How a column is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words, from the left.
    Left,
    /// Numbers, to the right.
    Right,
}

/// A table of text. Every cell is escaped.
///
/// ```
/// use derm_report::{Align, Table};
/// let mut table = Table::new([("Class", Align::Left), ("Recall", Align::Right)]);
/// table.push(["melanoma", "0.712"])?;
/// assert!(table.push(["too few"]).is_err());
/// # Ok::<(), derm_report::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
    caption: Option<String>,
}

impl Table {
    /// A table without rows.
    pub fn new<S: Into<String>>(columns: impl IntoIterator<Item = (S, Align)>) -> Self {
        let columns = columns.into_iter().map(|(name, align)| (name.into(), align)).collect();
        Self { columns, rows: Vec::new(), caption: None }
    }

    /// Says under the table what it shows.
    pub fn caption(mut self, caption: impl Into<String>) -> Self {
        self.caption = Some(caption.into());
        self
    }

    /// Adds a row.
    ///
    /// # Errors
    /// [`Error::Length`] unless there is one cell a column.
    pub fn push<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) -> Result<(), Error> {
        let cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        let (got, expected) = (cells.len(), self.columns.len());
        if got != expected {
            return Err(Error::Length { what: format!("row {} of a table", self.rows.len()), got, expected });
        }
        self.rows.push(cells);
        Ok(())
    }

    /// Adds a row that has one cell a column by construction.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        debug_assert_eq!(N, self.columns.len());
        self.rows.push(cells.into());
    }

    /// Adds a row that has one cell a column by construction.
    pub(crate) fn row_of(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
    }

    /// The table as HTML, in a box that scrolls sideways where the page is narrower than the table.
    pub(crate) fn html(&self) -> String {
        let class = |align: Align| if align == Align::Right { " class=\"num\"" } else { "" };
        let mut html = String::from("<div class=\"scroll\" tabindex=\"0\"><table>\n<thead><tr>");
        for (name, align) in &self.columns {
            let _ = write!(html, "<th scope=\"col\"{}>{}</th>", class(*align), escape(name));
        }
        html.push_str("</tr></thead>\n<tbody>\n");
        for row in &self.rows {
            html.push_str("<tr>");
            for (cell, (_, align)) in row.iter().zip(&self.columns) {
                let _ = write!(html, "<td{}>{}</td>", class(*align), escape(cell));
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody></table></div>\n");
        if let Some(caption) = &self.caption {
            let _ = writeln!(html, "<p class=\"caption\">{}</p>", escape(caption));
        }
        html
    }
}
