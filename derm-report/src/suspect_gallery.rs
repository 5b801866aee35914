use std::fmt::Write as _;

use crate::Error;
use crate::escape::escape;
use crate::gallery::{image_source, write_ranking};

/// An image whose label is likely wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct SuspectItem {
    /// The bytes of a PNG or JPEG file; `None` for a record without a picture.
    pub image: Option<Vec<u8>>,
    /// What it is, such as its id.
    pub caption: String,
    /// Its place in the ranking, from 1.
    pub rank: usize,
    /// The class that it is given.
    pub given: String,
    /// The class that the network finds most probable.
    pub suggested: String,
    /// How well the given label fits, in [0, 1]; low is suspect.
    pub quality: f64,
    /// The most probable classes with their probabilities, largest first; three are shown well.
    pub ranking: Vec<(String, f64)>,
}

pub(crate) fn html(items: &[SuspectItem]) -> Result<String, Error> {
    let mut html = String::from("<div class=\"gallery\">\n");
    for (position, item) in items.iter().enumerate() {
        html.push_str("<div class=\"card\">");
        if let Some(image) = &item.image {
            let source = image_source(image, position, &item.caption)?;
            let _ = write!(html, "<img src=\"{source}\" alt=\"{}\">", escape(&item.caption));
        }
        let _ = write!(
            html,
            "\n<div><p class=\"id\">{}. {}</p>\n<p>given: <b>{}</b></p>\n<p>suggested: <b>{}</b></p>\n<p \
             class=\"verdict\">label quality {:.3}</p>\n<ol>",
            item.rank,
            escape(&item.caption),
            escape(&item.given),
            escape(&item.suggested),
            item.quality,
        );
        write_ranking(&mut html, &item.ranking);
        html.push_str("</ol></div></div>\n");
    }
    html.push_str("</div>\n");
    Ok(html)
}
