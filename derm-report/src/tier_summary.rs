use derm_calibration::{AbstainPolicy, ClassPolicy, Tier, TierFit, TierTable};

use crate::number::{number, optional, percent, with_interval};
use crate::{Align, Table};

/// Coverage and risk of each tier on the test groups (lesions or patients) beside what was promised.
pub fn tier_summary(policy: &AbstainPolicy, test: &TierTable) -> Table {
    let mut table = Table::new([
        ("Tier", Align::Left),
        ("From", Align::Left),
        ("Groups", Align::Right),
        ("Coverage", Align::Right),
        ("Expected coverage", Align::Right),
        ("Risk", Align::Right),
        ("Promised risk", Align::Right),
    ]);
    for tier in Tier::ALL {
        let outcome = test.tier(tier);
        let (title, from, promised) = match tier {
            Tier::Answer => ("Answer", from(policy, "confidence", tier), promised(policy, tier)),
            Tier::SuggestTop3 => ("Suggest top 3", from(policy, "top-3 mass", tier), promised(policy, tier)),
            Tier::Refer => ("Refer", "the rest".to_owned(), "–".to_owned()),
        };
        let risk = match tier {
            Tier::Refer => "–".to_owned(),
            _ if outcome.count == 0 => "no group".to_owned(),
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
         {}intervals, counted in groups (lesions or patients). The promise holds with probability {} over the draw of \
         the {} calibration groups, for each tier{}.",
        percent(Some(test.tiers[0].coverage_interval)),
        number(1.0 - config.delta),
        policy.fitted_on.groups,
        if policy.by_class.is_some() { " and all predicted classes at once" } else { "" },
    ))
}

/// The fits of the tier by predicted class; none where one threshold serves all.
fn class_fits(policy: &AbstainPolicy, tier: Tier) -> Option<Vec<&TierFit>> {
    let classes = policy.by_class.as_ref()?;
    Some(
        classes
            .iter()
            .map(|class| if tier == Tier::Answer { &class.answer } else { &class.suggest })
            .collect(),
    )
}

/// The fit of the tier for all rows.
fn shared_fit(policy: &AbstainPolicy, tier: Tier) -> &TierFit {
    if tier == Tier::Answer { &policy.answer } else { &policy.suggest }
}

fn from(policy: &AbstainPolicy, score: &str, tier: Tier) -> String {
    let Some(fits) = class_fits(policy, tier) else { return threshold(score, shared_fit(policy, tier)) };
    let there = fits.iter().filter(|fit| fit.threshold.is_some()).count();
    format!("{score}, by predicted class ({there} of {} have a threshold)", fits.len())
}

fn promised(policy: &AbstainPolicy, tier: Tier) -> String {
    match class_fits(policy, tier) {
        Some(fits) if fits.iter().any(|fit| fit.threshold.is_some()) => {
            format!("≤ {} for each class", number(shared_fit(policy, tier).target_risk))
        }
        Some(_) => "none".to_owned(),
        None => promise(shared_fit(policy, tier)),
    }
}

/// What became of both tiers, in sentences for people.
pub fn policy_notes(policy: &AbstainPolicy) -> Vec<String> {
    if let Some(classes) = &policy.by_class {
        let empty = |of: fn(&ClassPolicy) -> &TierFit| -> Vec<&str> {
            let none = classes.iter().filter(|class| of(class).threshold.is_none());
            none.map(|class| class.label.as_str()).collect()
        };
        let tiers = [("first", empty(|class| &class.answer)), ("second", empty(|class| &class.suggest))];
        let note = |(name, labels): (&str, Vec<&str>)| {
            let labels = (!labels.is_empty()).then(|| labels.join(", "))?;
            Some(format!("The {name} tier is empty for cases that are predicted as: {labels}."))
        };
        return tiers.into_iter().filter_map(note).collect();
    }
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
