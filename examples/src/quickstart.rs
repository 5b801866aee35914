//! The quickstart's two recipes, run one after the other: a teacher, then the student that learns from it.

use std::fmt;
use std::path::PathBuf;

use burn::tensor::Device;
use derm_backbones::{BackboneConfig, BlockKind, ResNetConfig, Stem};
use derm_data::{Augmentation, ImageSource, Record, RgbPixels, SplitFractions};
use derm_distill::AttentionConfig;
use derm_predict::{Decision, Predictor};
use derm_train::{DistillationRecipe, Error, Finished, LossName, Progress, Recipe, run};

/// How the quickstart runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// Run folder.
    pub output: PathBuf,
    /// Seed of weights, sample order and augmentation.
    pub seed: u64,
    /// A small dataset and few epochs.
    pub tiny: bool,
}

/// The teacher's recipe: a small residual network with the questionnaire, trained with the focal loss.
pub fn teacher(options: &Options) -> Recipe {
    let mut recipe = Recipe {
        name: "teacher".to_owned(),
        seed: options.seed,
        output: Some(options.output.join("teacher")),
        ..Recipe::default()
    };
    recipe.dataset.split.fractions =
        SplitFractions { train: 0.55, validation: 0.10, calibration: 0.15, test: 0.20 };
    recipe.model.backbone = small_resnet(&[2, 2, 2], &[32, 64, 128]);
    recipe.model.image_size = recipe.dataset.synthetic.image_size;
    recipe.model.use_answers = true;
    recipe.model.dropout = 0.1;
    recipe.training.epochs = 14;
    recipe.training.batch_size = 32;
    recipe.training.learning_rate = 3e-3;
    recipe.training.loss = LossName::Focal.into();
    recipe.training.augmentation = Augmentation { quarter_turns: 0.5, ..Augmentation::default() };
    if options.tiny {
        recipe.dataset.synthetic.num_lesions = 240;
        recipe.dataset.synthetic.image_size = 24;
        recipe.model.image_size = 24;
        recipe.training.epochs = 2;
        recipe.evaluation.bootstrap_replicates = 50;
    }
    recipe
}

/// The student's recipe: half the width and depth, a quarter of the parameters or less, taught by the teacher's bundle.
pub fn student(options: &Options) -> Recipe {
    let mut recipe = Recipe {
        name: "student".to_owned(),
        output: Some(options.output.join("student")),
        ..teacher(options)
    };
    recipe.model.backbone = small_resnet(&[1, 1, 1], &[16, 32, 64]);
    recipe.training.loss = LossName::CrossEntropy.into();
    recipe.training.epochs = if options.tiny { 2 } else { 20 };
    recipe.distillation = Some(DistillationRecipe {
        attention: Some(AttentionConfig { weight: 100.0, ..AttentionConfig::default() }),
        ..DistillationRecipe::new(options.output.join("teacher").join("bundle"))
    });
    recipe
}

fn small_resnet(depths: &[usize], widths: &[usize]) -> BackboneConfig {
    BackboneConfig::Resnet(ResNetConfig {
        block: BlockKind::Basic,
        depths: depths.to_vec(),
        widths: widths.to_vec(),
        // Its stride of 4 makes an epoch cheap; lesions of 48 pixels keep their shape at 12.
        stem: Stem::Conv7x7,
    })
}

/// What the quickstart prints at its end.
#[derive(Debug)]
pub struct Summary {
    /// The teacher's run.
    pub teacher: Finished,
    /// The student's run.
    pub student: Finished,
    /// Three test images with what the bundle, loaded from its folder, says of them.
    pub decisions: Vec<(String, String, Decision)>,
    /// The report that compares both.
    pub report: PathBuf,
}

/// Runs the whole job.
///
/// # Errors
/// [`Error`] of the part that failed; what was written before stays.
pub fn run_all(options: &Options, device: &Device, progress: Progress) -> Result<Summary, Error> {
    let teacher = run(&teacher(options), device, progress)?;
    let student = run(&student(options), device, progress)?;
    let report = options.output.join("report.html");
    student.report(&[&teacher])?.write(&report)?;
    progress.stage("loading the student's bundle and deciding on three test images");
    let predictor = Predictor::load(student.bundle(), device)?;
    let rows = student.test.one_row_per_group();
    let mut decisions = Vec::new();
    for id in rows.ids().iter().take(3) {
        let records = student.prepared.dataset.records();
        if let Some((record, pixels)) = records.iter().find_map(|record| drawn(record, id)) {
            let decision = predictor.predict(pixels, &record.answers)?;
            let truth = student.prepared.dataset.labels().name(record.class).unwrap_or_default();
            decisions.push((id.clone(), truth.to_owned(), decision));
        }
    }
    Ok(Summary { teacher, student, decisions, report })
}

fn drawn<'a>(record: &'a Record, id: &str) -> Option<(&'a Record, &'a RgbPixels)> {
    match &record.image {
        ImageSource::Rgb(pixels) if record.id == id => Some((record, pixels)),
        _ => None,
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { teacher, student, decisions, report } = self;
        writeln!(f, "\n{:<20} {:>24} {:>24}", "test split", "teacher", "student")?;
        let sizes = [teacher.parameters.trainable, student.parameters.trainable];
        writeln!(f, "{:<20} {:>24} {:>24}", "parameters", sizes[0], sizes[1])?;
        for (a, b) in teacher.assessment.calibrated.metrics.iter().zip(&student.assessment.calibrated.metrics)
        {
            writeln!(f, "{:<20} {:>24} {:>24}", a.name, cell(a), cell(b))?;
        }
        for (a, b) in teacher.assessment.tiers.tiers.iter().zip(&student.assessment.tiers.tiers) {
            let share = |outcome: &derm_calibration::TierOutcome| {
                let risk = outcome.risk.map_or(String::new(), |risk| format!(", risk {risk:.3}"));
                format!("{:.1} %{risk}", 100.0 * outcome.coverage)
            };
            writeln!(f, "{:<20} {:>24} {:>24}", a.tier.to_string(), share(a), share(b))?;
        }
        writeln!(f, "\nthe student's bundle, loaded from its folder, on three test images:")?;
        for (id, truth, decision) in decisions {
            let offered: Vec<String> =
                decision.offered().iter().map(|c| format!("{} {:.2}", c.label, c.probability)).collect();
            writeln!(f, "  {id} (is {truth}): {} {}", decision.tier, offered.join(", "))?;
        }
        writeln!(f, "\nbundle  {}\nreport  {}", student.bundle().display(), report.display())?;
        write!(f, "{:.0} s in all", teacher.seconds + student.seconds)
    }
}

fn cell(estimate: &derm_metrics::MetricEstimate) -> String {
    let value = estimate.value.map_or("undefined".to_owned(), |value| format!("{value:.3}"));
    let interval = estimate.interval.as_ref();
    let interval = interval.map_or(String::new(), |i| format!(" [{:.3}, {:.3}]", i.low, i.high));
    value + &interval
}
