//! Learning rates that fall towards the image.

use std::collections::BTreeMap;

use derm_backbones::layer_rates;

use crate::tiny::{Start, alone, recipe, supervised, values};

/// Rounding of the subtraction of two f32 weights near 1 whose difference is the step, as a share of the rate.
const TOLERANCE: f64 = 2e-4;

#[test]
fn a_step_of_a_layer_is_its_factor_times_the_whole_one() {
    let _alone = alone();
    // One optimizer step in all, its rate the whole peak, ε small beside every gradient.
    let step = |decay: &str| {
        let place = tempfile::tempdir().unwrap();
        let overrides = [
            "training.epochs=1",
            "training.gradient_accumulation_steps=1000",
            "training.warmup_epochs=0",
            "training.learning_rate=0.01",
            &format!("training.layer_decay={decay}"),
        ];
        let start = Start::new(recipe(place.path(), &overrides));
        let before = start.model();
        let trained = start.fit(place.path(), &supervised()).unwrap();
        assert_eq!(trained.history[0].step, 1);
        let after = values(&trained.model);
        let steps: BTreeMap<String, Vec<f64>> = values(&before)
            .into_iter()
            .filter(|(path, _)| !path.contains("running"))
            .map(|(path, weights)| {
                let pairs = weights.iter().zip(&after[&path]);
                (path, pairs.map(|(before, after)| f64::from(after - before)).collect())
            })
            .collect();
        (before, steps)
    };
    let (_, whole) = step("1");
    let (model, decayed) = step("0.5");
    let factors: Vec<f64> = layer_rates(&model, 0.5).unwrap().iter().map(|rate| rate.factor).collect();
    assert_eq!(factors, [0.125, 0.25, 0.5, 1.0]);
    let groups = [("backbone.conv1", 0.125), ("backbone.stages.0", 0.25), ("backbone.stages.1", 0.5)];
    for (path, steps) in &decayed {
        let group = groups.iter().find(|(prefix, _)| path.starts_with(prefix));
        let factor = group.map_or(1.0, |(_, factor)| *factor);
        for (got, whole) in steps.iter().zip(&whole[path]) {
            assert!((got - factor * whole).abs() < 0.01 * TOLERANCE, "{path}: {got} {whole}");
        }
        assert!(whole[path].iter().any(|step| step.abs() > 1e-3), "{path} does not move");
    }
}
