//! The conformal ops of `calibration.json`.

use std::collections::BTreeMap;

use derm_calibration::{
    ConformalQuantile, ConformalRule, ConformalScore, ConformalTable, Partition, Randomization,
};
use derm_core::Probabilities;
use derm_golden::{Case, Got};

fn probabilities(case: &Case, name: &str) -> Probabilities {
    Probabilities::new(case.input(name).matrix()).unwrap()
}

fn randomization(case: &Case) -> Randomization {
    if case.flag("randomized") { Randomization::PerRow } else { Randomization::Off }
}

fn score(case: &Case, name: &str) -> ConformalScore {
    match name {
        "lac" => ConformalScore::Lac,
        "aps" => ConformalScore::Aps { randomization: randomization(case) },
        "raps" => ConformalScore::Raps {
            randomization: randomization(case),
            lambda: case.number("lambda"),
            k_reg: case.count("k_reg"),
        },
        unknown => case.unknown(unknown),
    }
}

/// Runs a conformal case; false for another op.
pub(crate) fn check(case: &Case) -> bool {
    let (score, classes) = match case.op.as_str() {
        "conformal_quantile" => {
            let quantile =
                ConformalQuantile::new(&case.input("scores").floats(), case.number("alpha")).unwrap();
            case.check([("k", Got::from(quantile.k())), ("quantile", quantile.value().into())]);
            return true;
        }
        "conformal_lac" => (score(case, "lac"), None),
        "conformal_aps" => (score(case, "aps"), None),
        "conformal_raps" => (score(case, "raps"), None),
        "conformal_class_conditional" => {
            (score(case, case.text("score")), Some(case.input("cal_probs").shape[1]))
        }
        _ => return false,
    };
    let (calibration, test) = (probabilities(case, "cal_probs"), probabilities(case, "test_probs"));
    let (cal_targets, test_targets) =
        (case.input("cal_targets").indices(), case.input("test_targets").indices());
    let (cal_u, test_u) = (case.input("cal_uniforms").floats(), case.input("test_uniforms").floats());
    let alpha = case.number("alpha");
    let partition = classes.map_or(Partition::Marginal, |num_classes| Partition::Class { num_classes });
    let rule = ConformalRule::fit(score, partition, &calibration, &cal_targets, &cal_u, None, alpha).unwrap();
    let sets = rule.sets(&test, &test_u, None).unwrap();
    let table = ConformalTable::new(&sets, &test_targets, &BTreeMap::new(), alpha, 0.05).unwrap();
    let mut got: Vec<(&str, Got)> = vec![
        ("k", rule.quantiles().iter().map(ConformalQuantile::k).collect::<Vec<_>>().into()),
        ("quantile", rule.quantiles().iter().map(ConformalQuantile::value).collect::<Vec<_>>().into()),
        ("sets", sets.view().iter().copied().collect::<Vec<bool>>().into()),
        ("coverage", table.overall.coverage.into()),
        ("mean_size", table.overall.mean_size.into()),
        ("empty_sets", table.empty_sets.into()),
        ("singletons", table.singletons.into()),
    ];
    if case.expects("cal_scores") {
        let scores = score.scores(&calibration, &cal_u).unwrap();
        let own: Vec<f64> =
            cal_targets.iter().enumerate().map(|(row, &class)| scores[[row, class]]).collect();
        got.push(("cal_scores", own.into()));
    }
    case.check(got);
    true
}
