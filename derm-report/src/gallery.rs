use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use derm_calibration::Tier;

use crate::Error;
use crate::escape::escape;

/// One image with what the model said of it.
#[derive(Debug, Clone, PartialEq)]
pub struct GalleryItem {
    /// The bytes of a PNG or JPEG file.
    pub image: Vec<u8>,
    /// What it is, such as its id.
    pub caption: String,
    /// The true class.
    pub truth: String,
    /// The most probable classes with their probabilities, largest first; three are shown well.
    pub ranking: Vec<(String, f64)>,
    /// The decision.
    pub tier: Tier,
}

pub(crate) fn html(items: &[GalleryItem]) -> Result<String, Error> {
    let mut html = String::from("<div class=\"gallery\">\n");
    for (position, item) in items.iter().enumerate() {
        let source = image_source(&item.image, position, &item.caption)?;
        let (class, decision) = match item.tier {
            Tier::Answer => ("t0", "answer"),
            Tier::SuggestTop3 => ("t1", "suggest top 3"),
            Tier::Refer => ("t2", "refer"),
        };
        let right = item.ranking.first().is_some_and(|(label, _)| *label == item.truth);
        let _ = write!(
            html,
            "<div class=\"card\"><img src=\"{source}\" alt=\"{}\">\n<div><p class=\"id\">{}</p>\n\
             <p><span class=\"tier {class}\">{decision}</span></p>\n<p>true class: <b>{}</b> <span class=\"verdict\">\
             {}</span></p>\n<ol>",
            escape(&item.caption),
            escape(&item.caption),
            escape(&item.truth),
            if right { "✓ most probable" } else { "✗ not the most probable" },
        );
        write_ranking(&mut html, &item.ranking);
        html.push_str("</ol></div></div>\n");
    }
    html.push_str("</div>\n");
    Ok(html)
}

/// Classes with their probabilities as numbers and bars, one list item each.
pub(crate) fn write_ranking(html: &mut String, ranking: &[(String, f64)]) {
    for (label, probability) in ranking {
        let _ = write!(
            html,
            "<li><span>{}</span><span class=\"num\">{probability:.3}</span><span class=\"meter\"><span \
             style=\"width:{:.1}%\"></span></span></li>",
            escape(label),
            100.0 * probability.clamp(0.0, 1.0),
        );
    }
}

/// An image as it may stand in the page: its bytes in base64.
pub(crate) fn image_source(image: &[u8], position: usize, caption: &str) -> Result<String, Error> {
    let wrong = || Error::Image { position, caption: caption.to_owned() };
    let kind = media_type(image).ok_or_else(wrong)?;
    Ok(format!("data:{kind};base64,{}", STANDARD.encode(image)))
}

/// The type of an image by its first bytes.
fn media_type(image: &[u8]) -> Option<&'static str> {
    if image.starts_with(b"\x89PNG\r\n\x1a\n") {
        Some("image/png")
    } else if image.starts_with(b"\xff\xd8\xff") {
        Some("image/jpeg")
    } else {
        None
    }
}
