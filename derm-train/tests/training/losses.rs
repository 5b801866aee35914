//! Every loss trains, with and without mixed targets.

use derm_losses::ClassificationLossConfig;

use crate::tiny::{Start, alone, bytes, device, recipe};
use derm_train::Supervised;

/// What a recipe may say of its loss.
const LOSSES: &[&[&str]] = &[
    &[
        "training.loss=focal",
        "training.focal_gamma={ cosine: { from: 3, to: 1 } }",
        "training.label_smoothing=0.1",
    ],
    &["training.loss=cross_entropy", "training.class_weights={ class_balanced: { beta: 0.99 } }"],
    &[
        "training.loss={ cross_entropy: { label_smoothing: 0.1 } }",
        "training.class_weights=inverse_frequency",
    ],
    &["training.loss={ sigmoid_focal: {} }"],
    &["training.loss={ ldam: { scale: 1 } }", "training.class_weights=sqrt_inverse_frequency"],
    &["training.loss={ logit_adjusted: {} }"],
    &["training.loss={ balanced_softmax: {} }", "training.sampler=square_root_balanced"],
    &["training.loss={ asymmetric_single_label: {} }", "training.class_balanced_sampler=true"],
    &["training.loss={ poly1: {} }", "training.sampler={ effective_number: { beta: 0.9 } }"],
    &["training.loss={ generalized_cross_entropy: {} }"],
    &["training.loss={ symmetric_cross_entropy: {} }"],
    &[
        "training.loss={ deferred_reweighting: { from: 0.5, loss: { ldam: { scale: 1 } } } }",
        "training.class_weights={ class_balanced: { beta: 0.99 } }",
    ],
];

#[test]
fn every_loss_trains_with_mixed_targets_and_without() {
    let _alone = alone();
    let mut seen: Vec<Vec<u8>> = Vec::new();
    for loss in LOSSES {
        for mix in
            ["training.batch_mix.mixup_alpha=0", "training.batch_mix={ mixup_alpha: 0.4, cutmix_alpha: 1 }"]
        {
            let place = tempfile::tempdir().unwrap();
            // Classes of unequal size: else class weights, counts and samplers change nothing.
            let overrides =
                [&["training.epochs=1", "dataset.synthetic.num_lesions=100", mix], *loss].concat();
            let start = Start::new(recipe(place.path(), &overrides));
            let counts = start.prepared.training_counts().unwrap();
            assert!(counts.iter().min() < counts.iter().max(), "{counts:?}");
            let config: ClassificationLossConfig = start.recipe.loss(&counts).unwrap();
            let criterion = config.init(counts.len(), &device().autodiff()).unwrap();
            let trained = start.fit(place.path(), &Supervised { criterion }).unwrap();
            assert!(trained.history[0].train_loss.is_finite());
            // No two of them train the same network: each is read and used.
            let weights = bytes(&trained, place.path());
            let same = seen.iter().position(|other| *other == weights);
            assert_eq!(same, None, "{loss:?} {mix}");
            seen.push(weights);
        }
    }
}
