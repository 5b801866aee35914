use derm_calibration::{AbstainPolicy, Tier, TierFit, TierTable};

use crate::number::{number, optional, percent, with_interval};
use crate::{Align, Table};

/// Coverage and risk of each tier on the test lesions beside what was promised.
pub fn tier_summary(policy: &AbstainPolicy, test: &TierTable) -> Table {
    let mut table = Table::new([
        ("Tier", Align::Left),
        ("From", Align::Left),
        ("Lesions", Align::Right),
        ("Coverage", Align::Right),
        ("Expected coverage", Align::Right),
        ("Risk", Align::Right),
        ("Promised risk", Align::Right),
    ]);
    for tier in Tier::ALL {
        let outcome = test.tier(tier);
        let (title, from, promised) = match tier {
            Tier::Answer => ("Answer", threshold("confidence", &policy.answer), promise(&policy.answer)),
            Tier::SuggestTop3 => {
                ("Suggest top 3", threshold("top-3 mass", &policy.suggest), promise(&policy.suggest))
            }
            Tier::Refer => ("Refer", "the rest".to_owned(), "–".to_owned()),
        };
        let risk = match tier {
            Tier::Refer => "–".to_owned(),
            _ if outcome.count == 0 => "no lesion".to_owned(),
            _ => with_interval(outcome.risk, outcome.risk_interval),
        };
        table.row([
            title.to_owned(),
            from,
            outcome.count.to_string(),
            with_interval(Some(outcome.coverage), Some(outcome.coverage_interval)),
            number(policy.expected.tier(tier).coverage),
            risk,
            promised,
        ]);
    }
    let config = &policy.config;
    table.caption(format!(
        "Risk of the first tier: a wrong answer; of the second: the true class is not among the three. In brackets exact \
         {}intervals, counted in lesions. The promise holds with probability {} over the draw of the {} \
         calibration lesions, for each tier.",
        percent(Some(test.tiers[0].coverage_interval)),
        number(1.0 - config.delta),
        policy.fitted_on.groups,
    ))
}

/// What became of both tiers, in sentences for people.
pub fn policy_notes(policy: &AbstainPolicy) -> Vec<String> {
    let tiers = [("first", &policy.answer), ("second", &policy.suggest)];
    tiers.into_iter().filter_map(|(name, fit)| empty_note(name, fit)).collect()
}

fn empty_note(name: &str, fit: &TierFit) -> Option<String> {
    if fit.threshold.is_some() {
        return None;
    }
    let reason = match fit.smallest_certifiable_risk {
        Some(risk) => format!(
            "no threshold could be certified for a risk of {}; the smallest risk that the same tests would have \
             certified is {}",
            number(fit.target_risk),
            number(risk)
        ),
        None => "no rows were left for it".to_owned(),
    };
    Some(format!("The {name} tier is empty and its cases are referred: {reason}."))
}

fn threshold(score: &str, fit: &TierFit) -> String {
    match fit.threshold {
        None => "empty".to_owned(),
        Some(0.0) => "all that is left".to_owned(),
        Some(threshold) => format!("{score} ≥ {}", number(threshold)),
    }
}

fn promise(fit: &TierFit) -> String {
    if fit.threshold.is_some() { format!("≤ {}", number(fit.target_risk)) } else { optional_risk(fit) }
}

fn optional_risk(fit: &TierFit) -> String {
    format!("none (certifiable: {})", optional(fit.smallest_certifiable_risk))
}
