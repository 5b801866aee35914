use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use derm_core::atomic::write_file;

use crate::escape::escape;
use crate::{Align, Error, Figure, GalleryItem, SuspectItem, Table, gallery, suspect_gallery};

const STYLE: &str = include_str!("report.css");

/// A part of a report: text, tables, figures and images under one title.
#[derive(Debug, Clone)]
pub struct Section {
    title: String,
    blocks: Vec<Block>,
}

#[derive(Debug, Clone)]
enum Block {
    Text(String),
    Note(String),
    Facts(Vec<(String, String)>),
    Table(Table),
    Figures(Vec<Figure>),
    Gallery(Vec<GalleryItem>),
    Suspects(Vec<SuspectItem>),
}

impl Section {
    /// An empty section.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), blocks: Vec::new() }
    }

    /// Adds a paragraph.
    pub fn text(self, text: impl Into<String>) -> Self {
        self.block(Block::Text(text.into()))
    }

    /// Adds a paragraph that stands out: a limit or a warning.
    pub fn note(self, text: impl Into<String>) -> Self {
        self.block(Block::Note(text.into()))
    }

    /// Adds names with their values: configuration, times, sizes.
    pub fn facts<K: Into<String>, V: Into<String>>(self, facts: impl IntoIterator<Item = (K, V)>) -> Self {
        self.block(Block::Facts(facts.into_iter().map(|(key, value)| (key.into(), value.into())).collect()))
    }

    /// Adds a table.
    pub fn table(self, table: Table) -> Self {
        self.block(Block::Table(table))
    }

    /// Adds a figure.
    pub fn figure(self, figure: Figure) -> Self {
        self.figures([figure])
    }

    /// Adds figures that stand side by side where the page is wide enough.
    pub fn figures(self, figures: impl IntoIterator<Item = Figure>) -> Self {
        self.block(Block::Figures(figures.into_iter().collect()))
    }

    /// Adds images with their decisions.
    pub fn gallery(self, items: impl IntoIterator<Item = GalleryItem>) -> Self {
        self.block(Block::Gallery(items.into_iter().collect()))
    }

    /// Adds images whose labels are likely wrong.
    pub fn suspects(self, items: impl IntoIterator<Item = SuspectItem>) -> Self {
        self.block(Block::Suspects(items.into_iter().collect()))
    }

    /// Adds the images that were left out, with the reason of each; says so where there are none.
    pub fn skipped(self, skipped: &[(String, String)]) -> Self {
        if skipped.is_empty() {
            return self.text("No image was skipped.");
        }
        let mut table = Table::new([("Image", Align::Left), ("Reason", Align::Left)]);
        for (image, reason) in skipped {
            table.row([image.clone(), reason.clone()]);
        }
        let images = if skipped.len() == 1 { "image was" } else { "images were" };
        self.note(format!("{} {images} skipped.", skipped.len())).table(table)
    }

    fn block(mut self, block: Block) -> Self {
        self.blocks.push(block);
        self
    }

    fn html(&self, position: usize) -> Result<String, Error> {
        let mut html = format!("<section id=\"s{position}\">\n<h2>{}</h2>\n", escape(&self.title));
        for block in &self.blocks {
            match block {
                Block::Text(text) => {
                    let _ = writeln!(html, "<p>{}</p>", escape(text));
                }
                Block::Note(text) => {
                    let _ = writeln!(html, "<p class=\"note\">{}</p>", escape(text));
                }
                Block::Facts(facts) => {
                    html.push_str("<dl>\n");
                    for (key, value) in facts {
                        let _ =
                            writeln!(html, "<div><dt>{}</dt><dd>{}</dd></div>", escape(key), escape(value));
                    }
                    html.push_str("</dl>\n");
                }
                Block::Table(table) => html.push_str(&table.html()),
                Block::Figures(figures) => {
                    let class = if figures.len() == 1 { "figures one" } else { "figures" };
                    let _ = writeln!(html, "<div class=\"{class}\">");
                    figures.iter().map(Figure::html).for_each(|figure| html.push_str(&figure));
                    html.push_str("</div>\n");
                }
                Block::Gallery(items) => html.push_str(&gallery::html(items)?),
                Block::Suspects(items) => html.push_str(&suspect_gallery::html(items)?),
            }
        }
        html.push_str("</section>\n");
        Ok(html)
    }
}

/// A page in one file: no script, nothing loaded from anywhere, every figure with its numbers.
///
/// ```
/// use derm_report::{Report, Section};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("report.html");
/// Report::new("Run 7")
///     .lead("A small run on synthetic images.")
///     .section(Section::new("Run").facts([("seed", "7"), ("images", "2,000")]))
///     .write(&path)?;
/// assert!(std::fs::read_to_string(&path)?.starts_with("<!doctype html>"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Report {
    title: String,
    lead: Option<String>,
    sections: Vec<Section>,
}

impl Report {
    /// A report without sections.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), lead: None, sections: Vec::new() }
    }

    /// Says under the title what the report is about.
    pub fn lead(mut self, lead: impl Into<String>) -> Self {
        self.lead = Some(lead.into());
        self
    }

    /// Adds a section.
    pub fn section(mut self, section: Section) -> Self {
        self.sections.push(section);
        self
    }

    /// The page.
    ///
    /// # Errors
    /// [`Error::Image`] for an image that is neither PNG nor JPEG.
    pub fn to_html(&self) -> Result<String, Error> {
        let title = escape(&self.title);
        // The policy lets the page itself refuse whatever is not in the file.
        let mut html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
             content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src \
             'unsafe-inline'\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n\
             <h1>{title}</h1>\n"
        );
        if let Some(lead) = &self.lead {
            let _ = writeln!(html, "<p class=\"lead\">{}</p>", escape(lead));
        }
        html.push_str(
            "<p class=\"note\">Research software. It is not a medical device and must not guide care.</p>\n",
        );
        if self.sections.len() > 1 {
            html.push_str("<nav><ol>");
            for (position, section) in self.sections.iter().enumerate() {
                let _ = write!(html, "<li><a href=\"#s{position}\">{}</a></li>", escape(&section.title));
            }
            html.push_str("</ol></nav>\n");
        }
        html.push_str("</header>\n<main>\n");
        for (position, section) in self.sections.iter().enumerate() {
            html.push_str(&section.html(position)?);
        }
        html.push_str("</main>\n</body>\n</html>\n");
        Ok(html)
    }

    /// Writes the page, whole or not at all.
    ///
    /// # Errors
    /// As [`Report::to_html`], and [`Error::File`] where it cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let html = self.to_html()?;
        Ok(write_file(path, |file| file.write_all(html.as_bytes()))?)
    }
}
