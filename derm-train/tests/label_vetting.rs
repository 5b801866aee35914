//! Wrong labels are found, decided on and measured again.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

use std::collections::BTreeMap;
use std::fs;

use burn::tensor::Device;
use derm_core::{
    LabelMap, PredictionColumns, PredictionMetadata, Predictions, ScoreKind, Scores, Test, View,
};
use derm_data::{FoldConfig, RestFractions};
use derm_metrics::auroc;
use derm_train::{
    Error, EvaluationRecipe, LabelDecision, LabelDecisions, LabelVetting, OutOfFold, Prepared, Progress,
    Recipe, RevisedEvaluation, VettingConfig, join_folds,
};
use ndarray::array;

fn table(ids: &[&str], targets: &[usize], split_hash: &str) -> Predictions<Test> {
    let names = || ids.iter().map(|&id| id.to_owned()).collect::<Vec<_>>();
    let metadata = PredictionMetadata {
        task: "diagnosis".to_owned(),
        view: View::Identity,
        labels: LabelMap::new(["mel", "nv"]).unwrap(),
        split_hash: split_hash.to_owned(),
    };
    let columns = PredictionColumns {
        ids: names(),
        groups: names(),
        cases: names(),
        targets: targets.to_vec(),
        ..PredictionColumns::default()
    };
    // Probabilities 0.9, 0.8, 0.1, 0.2, 0.3 of the first class.
    let all = array![[0.9_f32, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.3, 0.7]];
    let values = all.slice(ndarray::s![..ids.len(), ..]).mapv(f32::ln);
    Predictions::new(metadata, columns, Scores { kind: ScoreKind::Logits, values }).unwrap()
}

fn five() -> Predictions<Test> {
    table(&["a", "b", "c", "d", "e"], &[0, 0, 0, 1, 1], "0f3a")
}

#[test]
fn a_ranking_by_hand() {
    let vetting = LabelVetting::new(&five(), VettingConfig::default()).unwrap();
    // Normalised margins: 0.9, 0.8, 0.1, 0.8, 0.7.
    let order: Vec<&str> = vetting.labels.iter().map(|label| label.id.as_str()).collect();
    assert_eq!(order, ["c", "e", "b", "d", "a"]);
    let worst = &vetting.labels[0];
    assert_eq!((worst.rank, worst.given.as_str(), worst.suggested.as_str()), (1, "mel", "nv"));
    assert!((worst.quality - 0.1).abs() < 1e-6 && (worst.suggested_probability - 0.9).abs() < 1e-6);
    assert_eq!(vetting.suspects().map(|label| label.id.as_str()).collect::<Vec<_>>(), ["c"]);
    // The calibrated joint is [[2, 1], [0, 2]].
    assert!((vetting.estimated_noise - 0.2).abs() < 1e-12);
    assert_eq!(vetting.agreement, 0.8);

    let place = tempfile::tempdir().unwrap();
    let ranking = place.path().join("ranking.csv");
    vetting.write_ranking(&ranking).unwrap();
    let mut reader = csv::Reader::from_path(&ranking).unwrap();
    let rows: Vec<BTreeMap<String, String>> = reader.deserialize().map(Result::unwrap).collect();
    assert_eq!((rows.len(), rows[0]["id"].as_str(), rows[0]["flagged"].as_str()), (5, "c", "true"));

    // The file for a person, as it is written, changes nothing.
    let decisions = place.path().join("decisions.csv");
    vetting.write_decisions(&decisions).unwrap();
    let kept = LabelDecisions::read(&decisions, five().labels()).unwrap();
    assert_eq!((kept.of("c"), kept.counts()), (LabelDecision::Keep, (0, 0)));
    assert_eq!(kept.apply(&five()).unwrap(), five());
    // Edited, it relabels to the suggested class, which stands there already.
    let text = fs::read_to_string(&decisions).unwrap().replace("keep", "relabel");
    fs::write(&decisions, text).unwrap();
    let edited = LabelDecisions::read(&decisions, five().labels()).unwrap();
    assert_eq!(edited.apply(&five()).unwrap().targets(), [0, 0, 1, 1, 1]);
}

#[test]
fn decisions_change_the_numbers() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("decisions.csv");
    fs::write(&path, "id,decision,label,note\nc,relabel,nv,\"looks, like a nevus\"\nb,drop,,blurred\n")
        .unwrap();
    let decisions = LabelDecisions::read(&path, five().labels()).unwrap();
    let settings =
        EvaluationRecipe { bootstrap_replicates: 20, calibration_bins: 3, ..EvaluationRecipe::default() };
    let revised = RevisedEvaluation::new(&five(), &decisions, &settings, 1).unwrap();
    assert_eq!((revised.relabelled, revised.dropped), (1, 1));
    assert_eq!((revised.before.samples, revised.after.samples), (5, 4));
    assert_eq!((revised.before.value("accuracy"), revised.after.value("accuracy")), (Some(0.8), Some(1.0)));
    assert!(revised.before.metric("accuracy").unwrap().interval.is_some());
    let html = revised.report().unwrap().to_html().unwrap();
    assert!(html.contains("revised labels") && html.contains("looked at because this network disagreed"));
}

#[test]
fn files_of_decisions_that_cannot_be_right() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("decisions.csv");
    let read = |text: &str| {
        fs::write(&path, text).unwrap();
        LabelDecisions::read(&path, five().labels())
    };
    for (text, at, words) in [
        ("id,label\nc,nv\n", 1, "`decision`"),
        ("id,decision,label\nc,maybe,nv\n", 2, "maybe"),
        ("id,decision,label\na,keep,\nc,relabel,scc\n", 3, "scc"),
        ("id,decision,label\nc,relabel,\n", 2, ""),
        ("id,decision,label\nc,keep,\nc,drop,\n", 3, "twice"),
        ("id,decision,label\nc,keep\n", 2, ""),
    ] {
        let error = read(text).unwrap_err();
        let Error::Decision { line, .. } = &error else { panic!("{text}: {error:?}") };
        assert_eq!(*line, at, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let unknown = read("id,decision,label\nz,drop,\n").unwrap();
    assert!(matches!(unknown.apply(&five()), Err(Error::UnknownRecord { id }) if id == "z"));
    let all = read("id,decision,label\na,drop,\nb,drop,\nc,drop,\nd,drop,\ne,drop,\n").unwrap();
    assert!(matches!(all.apply(&five()), Err(Error::Predictions(_))));
    assert_eq!(read("id,decision,label\n").unwrap(), LabelDecisions::default());
    assert!(matches!(
        LabelDecisions::read(place.path().join("absent.csv"), five().labels()),
        Err(Error::File(_))
    ));
}

#[test]
fn folds_are_joined_or_refused() {
    let (first, second) = (table(&["a", "b"], &[0, 0], "1"), table(&["c"], &[1], "2"));
    let joined = join_folds(&[first.clone(), second.clone()]).unwrap();
    assert_eq!(joined.ids(), ["a", "b", "c"]);
    assert_eq!(joined.targets(), [0, 0, 1]);
    assert_eq!(joined.scores().values.row(2), second.scores().values.row(0));
    assert_ne!(joined.split_hash(), join_folds(&[second.clone(), first.clone()]).unwrap().split_hash());
    assert!(matches!(join_folds(&[first.clone(), first.clone()]), Err(Error::Predictions(_))));
    assert!(matches!(join_folds(&[]), Err(Error::Values(_))));
    let metadata =
        PredictionMetadata { labels: LabelMap::new(["nv", "mel"]).unwrap(), ..second.metadata().clone() };
    let columns = PredictionColumns {
        ids: second.ids().to_vec(),
        groups: second.groups().to_vec(),
        cases: second.cases().to_vec(),
        targets: vec![0],
        ..PredictionColumns::default()
    };
    let other = Predictions::new(metadata, columns, second.scores().clone()).unwrap();
    assert!(matches!(join_folds(&[first, other]), Err(Error::Folds { fold: 2, what: "classes", .. })));
}

/// Drawn lesions of which some have a wrong label: those whose label is another without noise, because nothing else of
/// the dataset follows from it.
#[test]
fn wrong_labels_rank_above_right_ones() {
    let place = tempfile::tempdir().unwrap();
    let text = "
name: noisy
dataset:
  synthetic: { num_lesions: 140, image_size: 16, label_noise: 0.2, max_views: 1 }
  workers: 0
model:
  backbone: { resnet: { block: basic, depths: [1, 1], widths: [8, 16], stem: conv3x3 } }
  image_size: 16
training: { epochs: 4, batch_size: 16, learning_rate: 0.01 }
evaluation: { bootstrap_replicates: 5, calibration_bins: 3, report_images: 0 }
";
    let output = format!("output={}", place.path().join("folds").display());
    let recipe = Recipe::parse(text, "noisy.yaml", &[output]).unwrap();
    let vet = OutOfFold {
        folds: FoldConfig { folds: 2, ..FoldConfig::default() },
        rest: RestFractions { train: 0.7, validation: 0.15, calibration: 0.15 },
    };
    let predictions = vet.run(&recipe, &Device::default(), Progress::Silent).unwrap();
    let dataset = Prepared::new(&recipe, Progress::Silent).unwrap().dataset;
    assert_eq!(predictions.len(), dataset.records().len(), "every record is predicted once");

    let mut clean = recipe.dataset.synthetic;
    clean.label_noise = 0.0;
    let clean = clean.generate().unwrap();
    let truth: BTreeMap<&str, usize> =
        clean.records().iter().map(|record| (record.id.as_str(), record.class.get())).collect();
    let vetting = LabelVetting::new(&predictions, VettingConfig::default()).unwrap();
    let names = predictions.labels().names();
    let wrong: Vec<bool> =
        vetting.labels.iter().map(|label| names[truth[label.id.as_str()]] != label.given).collect();
    let suspicion: Vec<f64> = vetting.labels.iter().map(|label| 1.0 - label.quality).collect();
    let area = auroc(&suspicion, &wrong).unwrap().unwrap();
    let positives = wrong.iter().filter(|&&wrong| wrong).count() as f64;
    let negatives = wrong.len() as f64 - positives;
    // Under chance the area is that of a Mann-Whitney statistic; one image a lesion makes the rows independent.
    let deviation = ((positives + negatives + 1.0) / (12.0 * positives * negatives)).sqrt();
    let threshold = 0.5 + 3.0 * deviation;
    println!("{positives} of {} labels are wrong: AUROC {area:.3}, threshold {threshold:.3}", wrong.len());
    assert!(area > threshold, "{area} is not above {threshold}");

    let page = vetting.gallery(&predictions, &dataset, 4).unwrap().to_html().unwrap();
    let shown = vetting.suspects().count().min(4);
    assert!(shown > 0);
    assert_eq!(page.matches("src=\"data:image/png;base64,").count(), shown);
    assert_eq!(page.matches("<img").count(), shown);
    assert!(!page.contains("http:") && !page.contains("https:") && !page.contains("<script"));

    // A recipe with a split of its own has no folds.
    let mut fixed = recipe;
    fixed.dataset.split_path = Some(place.path().join("split.json"));
    let error = vet.run(&fixed, &Device::default(), Progress::Silent).unwrap_err();
    assert!(matches!(error, Error::Value { key: "dataset.split_path", .. }), "{error}");
}
