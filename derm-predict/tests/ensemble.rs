//! Bundles of bundles.
#![allow(clippy::unwrap_used, clippy::panic, clippy::useless_vec, missing_docs)]

mod tiny_bundle;

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use derm_calibration::ConformalConfig;
use derm_core::{LabelMap, View, mean_log_probabilities};
use derm_data::{Answers, RgbPixels};
use derm_predict::{Ensemble, EnsembleBundle, EnsembleConfig, Error, ImageLimits, Predictor, Request, load};
use tiny_bundle::{CLASSES, PNG, SIZE, Tiny, calibration};

struct Place {
    place: tempfile::TempDir,
    members: Vec<(String, PathBuf)>,
}

impl Place {
    /// A bundle for each, under the names `a`, `b`, ….
    fn new(bundles: &[Tiny]) -> Self {
        let place = tempfile::tempdir().unwrap();
        let members = bundles.iter().zip('a'..).map(|(bundle, name)| {
            let folder = place.path().join(format!("bundle_{name}"));
            bundle.write(&folder).unwrap();
            (name.to_string(), folder)
        });
        let members = members.collect();
        Self { place, members }
    }

    fn folder(&self) -> PathBuf {
        self.place.path().join("ensemble")
    }

    fn write(&self) -> Result<(), Error> {
        self.write_with(&View::Mean)
    }

    fn write_with(&self, view: &View) -> Result<(), Error> {
        let bundle = EnsembleBundle {
            members: &self.members,
            calibration: &calibration(view, &ConformalConfig::default()),
            metrics: serde_json::json!({}),
            model_card: "# tiny ensemble\n".to_owned(),
            provenance: Tiny::new(false).provenance,
        };
        bundle.write(self.folder()).map(drop)
    }
}

fn served(folder: &Path) -> Result<Ensemble, Error> {
    Ensemble::load(folder, &Device::default())
}

fn picture(seed: usize) -> RgbPixels {
    let value = |at: usize| ((at * (37 + seed % 11) + at / 3 * (seed % 97) + seed * 131) % 251) as u8;
    RgbPixels::new(SIZE, SIZE, (0..3 * SIZE * SIZE).map(value).collect()).unwrap()
}

#[test]
fn an_ensemble_is_the_mean_of_its_members_and_serves_like_one() {
    // One that reads answers, one that does not, and one that looks at flips.
    let mut flips = Tiny::new(true);
    flips.config.view = View::Flips;
    flips.calibration = calibration(&View::Flips, &ConformalConfig::default());
    let place = Place::new(&vec![Tiny::new(true), Tiny::new(false), flips]);
    place.write().unwrap();
    let ensemble = served(&place.folder()).unwrap();
    let names: Vec<&str> = ensemble.members().map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let answers = Tiny::new(true).answers();
    let pictures: Vec<RgbPixels> = (0..6).map(picture).collect();
    for pixels in &pictures {
        let members: Vec<_> = ensemble
            .members()
            .map(|(_, member)| {
                let answers = if member.schema().is_some() { answers.clone() } else { Answers::new() };
                member.logits(pixels, &answers).unwrap().softmax()
            })
            .collect();
        assert_ne!(members[0], members[1]);
        let mean = mean_log_probabilities(&members).unwrap().mapv(f64::from);
        let mean = derm_core::Logits::new(mean).unwrap();
        let expected = ensemble.calibration().calibrator.apply(&mean).unwrap();
        let decision = ensemble.predict(pixels, &answers).unwrap();
        for (class, index) in decision.ranking.iter().zip(expected.ranking(0)) {
            assert_eq!(class.label, CLASSES[index]);
            assert_eq!(class.probability, expected.view()[[0, index]]);
        }
        assert_eq!(decision.tier, ensemble.calibration().abstain.decide(&expected.row(0).to_vec()));
        assert!(decision.conformal_set.is_some() && !decision.missing_answers.is_empty());
    }
    // Loaded as whatever lies there, and in a batch.
    let any = load(place.folder(), &Device::default(), ImageLimits::default()).unwrap();
    let bad = Answers::from([("age".to_owned(), "old".to_owned())]);
    let requests = [
        Request::pixels(&pictures[0], &answers),
        Request::pixels(&pictures[1], &bad),
        Request::bytes(PNG, "upload", &answers),
    ];
    let batch = any.predict_batch(&requests);
    assert!(batch[0].is_ok() && batch[1].is_err() && batch[2].is_ok());
    let alone = ensemble.predict_bytes(PNG, "upload", &answers).unwrap();
    let together = batch[2].as_ref().unwrap();
    assert!((alone.ranking[0].probability - together.ranking[0].probability).abs() <= 1e-5);
    let single = load(&place.members[0].1, &Device::default(), ImageLimits::default()).unwrap();
    assert_eq!(single.labels(), any.labels());
    assert_eq!(single.schema(), any.schema());
}

#[test]
fn members_that_do_not_belong_together_are_refused() {
    let refused = |bundles: &[Tiny], words: &[&str]| {
        let place = Place::new(bundles);
        let error = place.write().and_then(|()| served(&place.folder()).map(drop)).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Mismatch { .. }), "{text}");
        assert!(words.iter().all(|word| text.contains(word)), "{words:?}: {text}");
    };
    let mut task = Tiny::new(false);
    task.config.task = "triage".to_owned();
    refused(&[Tiny::new(false), task], &["triage", "diagnosis"]);
    refused(&[], &["no member"]);
    let fewer = derm_data::schema::synthetic().unwrap().drop(&["age"]).unwrap();
    refused(&[Tiny::new(true), Tiny::with_schema(Some(fewer))], &["questionnaire", "member \"b\""]);
    // A member that is itself no bundle that loads.
    let mut labels = Tiny::new(false);
    labels.labels = LabelMap::new(["nv", "mel", "bcc", "bkl"]).unwrap();
    refused(&[Tiny::new(false), labels], &["calibration.json", "classes"]);

    // Calibrated on what one member says.
    let place = Place::new(&[Tiny::new(false)]);
    place.write_with(&View::Identity).unwrap();
    let text = served(&place.folder()).unwrap_err().to_string();
    assert!(text.contains("`identity`: expected `mean`"), "{text}");

    for name in ["", "..", "a/b", "a\\b", ".hidden", "b"] {
        let mut place = Place::new(&[Tiny::new(false), Tiny::new(false)]);
        place.members[0].0 = name.to_owned();
        assert!(matches!(place.write(), Err(Error::Mismatch { .. })), "{name}");
        assert!(!place.folder().exists());
    }
}

#[test]
fn every_file_of_every_member_is_vouched_for() {
    let place = Place::new(&[Tiny::new(false), Tiny::new(false)]);
    place.write().unwrap();
    let folder = place.folder();
    served(&folder).unwrap();
    for name in ["members/b/model.safetensors", "members/a/config.json", "ensemble.json", "calibration.json"]
    {
        let path = folder.join(name);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        let error = served(&folder).unwrap_err();
        assert!(matches!(&error, Error::ChangedFile { path: named } if *named == path), "{error}");
        fs::remove_file(&path).unwrap();
        let error = served(&folder).unwrap_err();
        assert!(matches!(&error, Error::MissingFile { .. } | Error::File(_)), "{error}");
        fs::write(&path, whole).unwrap();
    }
    // A member swapped for a sound bundle that was not sealed here.
    let config: EnsembleConfig =
        serde_json::from_str(&fs::read_to_string(folder.join("ensemble.json")).unwrap()).unwrap();
    assert_eq!(config.members.len(), 2);
    let other = Place::new(&[Tiny::new(false)]);
    let (from, to) =
        (other.members[0].1.join("model.safetensors"), folder.join("members/a/model.safetensors"));
    fs::copy(from, to).unwrap();
    assert!(matches!(served(&folder), Err(Error::ChangedFile { .. })));
    // An ensemble is no bundle, and a bundle no ensemble.
    assert!(Predictor::load(&folder, &Device::default()).is_err());
    assert!(served(&place.members[0].1).is_err());
}
