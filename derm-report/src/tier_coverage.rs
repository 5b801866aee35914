use derm_calibration::{Tier, TierTable};

use crate::figure::SeriesStyle;
use crate::number::number;
use crate::svg::{Anchor, Svg, shorten};
use crate::{Align, Error, Figure, Table};

/// Where cases go, overall and class by class: answered, offered three classes, or referred.
///
/// # Errors
/// [`Error::Empty`] for a table without classes.
pub fn tier_coverage(table: &TierTable) -> Result<Figure, Error> {
    if table.classes.is_empty() {
        return Err(Error::Empty { what: "classes of a tier table" });
    }
    let longest =
        table.classes.iter().map(|class| class.label.chars().count()).max().unwrap_or(0).clamp(9, 18);
    let left = 16.0 + 6.8 * longest as f64;
    let width = 480.0 - left - 52.0;
    let all = table.tiers.iter().map(|tier| tier.coverage).collect::<Vec<f64>>();
    let mut rows = vec![("all".to_owned(), table.count, Some([all[0], all[1], all[2]]))];
    rows.extend(table.classes.iter().map(|class| (class.label.clone(), class.count, class.coverage)));
    let mut svg = Svg::new(480.0, 24.0 + 24.0 * rows.len() as f64 + 10.0);
    svg.text(474.0, 14.0, Anchor::End, "tick", "groups");
    let mut data = Table::new([
        ("Class", Align::Left),
        ("Groups", Align::Right),
        ("Answered", Align::Right),
        ("Offered three", Align::Right),
        ("Referred", Align::Right),
    ]);
    for (position, (label, count, shares)) in rows.iter().enumerate() {
        let y = 24.0 + 24.0 * position as f64 + if position > 0 { 6.0 } else { 0.0 };
        svg.text(left - 8.0, y + 13.0, Anchor::End, "tick", &shorten(label, 18));
        svg.text(474.0, y + 13.0, Anchor::End, "tick", &count.to_string());
        let share = |index: usize| shares.map_or_else(String::new, |shares| number(shares[index]));
        data.row([label.clone(), count.to_string(), share(0), share(1), share(2)]);
        let mut x = left;
        for (tier, share) in Tier::ALL.into_iter().zip(shares.iter().flatten()) {
            let note = format!("{label}: {} {}", number(*share), name(tier));
            svg.rect(x, y, (share * width, 18.0), &style(tier).fill(), 0.85, &note);
            if share * width > 40.0 {
                svg.text(
                    x + share * width / 2.0,
                    y + 13.0,
                    Anchor::Middle,
                    "count on",
                    &format!("{share:.2}"),
                );
            }
            x += share * width;
        }
    }
    let legend = Tier::ALL.map(|tier| (style(tier), name(tier).to_owned())).to_vec();
    Ok(Figure {
        title: "Where cases go".to_owned(),
        svg: svg.finish("Share of groups answered, offered three classes and referred, by class"),
        legend,
        caption: "Share of the groups (lesions or patients, one image each) of each true class in each tier."
            .to_owned(),
        data,
    })
}

/// What a tier does, in words.
pub(crate) fn name(tier: Tier) -> &'static str {
    match tier {
        Tier::Answer => "answered",
        Tier::SuggestTop3 => "offered three classes",
        Tier::Refer => "referred",
    }
}

fn style(tier: Tier) -> SeriesStyle {
    SeriesStyle::solid(match tier {
        Tier::Answer => 0,
        Tier::SuggestTop3 => 2,
        Tier::Refer => 5,
    })
}
