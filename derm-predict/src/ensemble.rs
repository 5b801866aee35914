use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use derm_backbones::{AnyBackbone, Classifier, ClassifierConfig, PublishedKeys};
use derm_calibration::CalibrationRecord;
use derm_core::{Backbone, FileError, LabelMap, Logits, View, atomic};
use derm_data::{Answers, FeatureSchema, RgbPixels};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::bundle::{CALIBRATION, write_findings, write_json};
use crate::judge::{Judge, Missing};
use crate::manifest::{Manifest, Provenance, relative_files};
use crate::network::{Scores, mean_scores};
use crate::predictor::{in_batches, nothing, read_json};
use crate::request::Beside;
use crate::{Decision, Error, ImageLimits, Predictor, Request, Serve};

/// What makes a folder an ensemble.
pub(crate) const ENSEMBLE: &str = "ensemble.json";
const MEMBERS: &str = "members";

/// `ensemble.json`: who is averaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnsembleConfig {
    /// The task's name, that of every member.
    pub task: String,
    /// The members, in the order in which they are averaged.
    pub members: Vec<EnsembleMember>,
}

/// One bundle of an ensemble.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnsembleMember {
    /// Its folder below `members`.
    pub name: String,
    /// SHA-256 of its manifest, as the manifest itself has it: it stands for every file of the member.
    pub manifest_sha256: String,
}

/// Several bundles and what was found out about their average, ready to be written as one folder.
///
/// ```text
/// manifest.json         sizes and SHA-256 of all the others, the members' files too
/// ensemble.json         task, names and manifest digests of the members
/// members/<name>/       a whole bundle each
/// calibration.json      calibrator, abstain policy and conformal predictor of the average
/// metrics.json          test metrics of the average
/// MODEL_CARD.md         purpose, data, classes, limits
/// ```
#[derive(Debug)]
pub struct EnsembleBundle<'a> {
    /// Name and folder of each member.
    pub members: &'a [(String, PathBuf)],
    /// Fitted on the mean probabilities of the members, whose view is [`View::Mean`].
    pub calibration: &'a CalibrationRecord,
    /// Test metrics of the average, any JSON.
    pub metrics: serde_json::Value,
    /// The model card, Markdown.
    pub model_card: String,
    /// Where it comes from.
    pub provenance: Provenance,
}

impl EnsembleBundle<'_> {
    /// Writes the ensemble as `folder`, whole or not at all; the members are copied.
    ///
    /// # Errors
    /// [`Error::File`] where `folder` exists already or cannot be written, [`Error::Mismatch`] for no member, names that
    /// cannot be a folder's or stand twice, and members of different tasks; what is wrong with a member, as
    /// [`Predictor::load`] says it of files.
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<Manifest, Error> {
        #[derive(Deserialize)]
        struct OfMember {
            task: String,
        }
        let target = atomic::Folder::new(folder)?;
        let path = target.path();
        let mismatch = |path: &Path, reason| Err(Error::Mismatch { path: path.to_owned(), reason });
        let mut config: Option<EnsembleConfig> = None;
        for (name, bundle) in self.members {
            let plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', ':', '\0']);
            let taken = config.iter().flat_map(|config| &config.members).any(|member| member.name == *name);
            if !plain || taken {
                let reason = format!("the member's name {name:?} cannot be a folder's or stands twice");
                return mismatch(bundle, reason);
            }
            let copy = path.join(MEMBERS).join(name);
            copy_bundle(bundle, &copy)?;
            let manifest = Manifest::verify(&copy)?;
            let OfMember { task } = read_json(&copy.join(crate::bundle::CONFIG))?;
            let member = EnsembleMember { name: name.clone(), manifest_sha256: manifest.sha256 };
            let config = config.get_or_insert(EnsembleConfig { task: task.clone(), members: Vec::new() });
            if config.task != task {
                return mismatch(bundle, format!("its task is {task:?}: expected {:?}", config.task));
            }
            config.members.push(member);
        }
        let Some(config) = config else {
            return mismatch(path, "no member: expected at least one".to_owned());
        };
        write_json(&path.join(ENSEMBLE), &config)?;
        write_findings(path, self.calibration, &self.metrics, &self.model_card)?;
        let manifest = Manifest::seal(path, self.provenance.clone())?;
        target.commit()?;
        Ok(manifest)
    }
}

fn copy_bundle(from: &Path, to: &Path) -> Result<(), Error> {
    for name in relative_files(from)?.into_iter().chain([crate::manifest::FILE_NAME.to_owned()]) {
        let (from, to) = (from.join(&name), to.join(&name));
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).map_err(FileError::at(parent, "create"))?;
        }
        fs::copy(&from, &to).map_err(FileError::at(&from, "copy"))?;
    }
    Ok(())
}

/// Bundles that were verified and loaded together: their probabilities are averaged, and the average has a
/// calibrator, a policy and a conformal predictor of its own.
///
/// Each member looks at the picture by its own view, size and standardisation. The members are of one task, the same
/// classes and one split of the data; those that read answers read the same questionnaire, and the others pass over it,
/// as those that read no text pass over the text that others read.
///
/// It holds no state between calls and may be shared between threads.
#[derive(Debug)]
pub struct Ensemble<B: Backbone = AnyBackbone> {
    names: Vec<String>,
    members: Vec<Predictor<B>>,
    judge: Judge,
    limits: ImageLimits,
    manifest: Manifest,
}

impl Ensemble<AnyBackbone> {
    /// Loads an ensemble of this workspace's own networks onto `device`.
    ///
    /// # Errors
    /// [`Error`]: a file is missing, changed, of an unknown version or disagrees with another.
    pub fn load(folder: impl AsRef<Path>, device: &Device) -> Result<Self, Error> {
        Self::load_with(folder, device, |config: &ClassifierConfig, device| Ok(config.init_undrawn(device)?))
    }
}

impl<B: Backbone + PublishedKeys> Ensemble<B> {
    /// Loads an ensemble of any networks, as [`Predictor::load_with`].
    ///
    /// # Errors
    /// As [`Ensemble::load`], and what `build` gives.
    pub fn load_with<M: DeserializeOwned>(
        folder: impl AsRef<Path>,
        device: &Device,
        build: impl Fn(&M, &Device) -> Result<Classifier<B>, Error>,
    ) -> Result<Self, Error> {
        let folder = folder.as_ref();
        let manifest = Manifest::verify(folder)?;
        let config_file = folder.join(ENSEMBLE);
        let config: EnsembleConfig = read_json(&config_file)?;
        let calibration: CalibrationRecord = read_json(&folder.join(CALIBRATION))?;
        let (mut names, mut members) = (Vec::new(), Vec::<Predictor<B>>::new());
        for EnsembleMember { name, manifest_sha256 } in config.members {
            let mismatch = |what: &str, got: &str, expected: &str| {
                let reason = format!("the {what} of member {name:?}: {got}, expected {expected}");
                Err(Error::Mismatch { path: config_file.clone(), reason })
            };
            // Only what the manifest vouches for is opened, whatever names a file lists.
            let listed = format!("{MEMBERS}/{name}/{}", crate::manifest::FILE_NAME);
            if !manifest.files.contains_key(&listed) {
                return mismatch("folder", "none", &listed);
            }
            let member = Predictor::load_with(folder.join(MEMBERS).join(&name), device, &build)?;
            let split = &member.manifest().provenance.split_hash;
            let labels = |labels: &LabelMap| labels.names().join(", ");
            if member.manifest().sha256 != manifest_sha256 {
                return mismatch("manifest's digest", &member.manifest().sha256, &manifest_sha256);
            }
            if *split != manifest.provenance.split_hash {
                return mismatch("split", split, &manifest.provenance.split_hash);
            }
            if member.task() != config.task {
                return mismatch("task", member.task(), &config.task);
            }
            if let Some(first) = members.first()
                && first.labels() != member.labels()
            {
                return mismatch("classes", &labels(member.labels()), &labels(first.labels()));
            }
            let reading = members.iter().find_map(|other| other.schema());
            if let Some((expected, got)) = reading.zip(member.schema())
                && expected != got
            {
                let columns = |schema: &FeatureSchema| schema.column_names().join(", ");
                return mismatch("questionnaire or its scaling", &columns(got), &columns(expected));
            }
            members.push(member);
            names.push(name);
        }
        let Some(first) = members.first() else {
            let reason = "no member: expected at least one".to_owned();
            return Err(Error::Mismatch { path: config_file, reason });
        };
        let split = &manifest.provenance.split_hash;
        let judge = Judge::new(first.labels().clone(), calibration, split, &View::Mean, folder)?;
        Ok(Self { names, members, judge, limits: ImageLimits::default(), manifest })
    }

    /// The same with other limits of what an image may be.
    #[must_use]
    pub fn with_limits(self, limits: ImageLimits) -> Self {
        Self { limits, ..self }
    }

    /// Decides on an image file.
    ///
    /// # Errors
    /// As [`Predictor::predict_file`].
    pub fn predict_file(&self, image: impl AsRef<Path>, answers: &Answers) -> Result<Decision, Error> {
        self.decide(&Request::file(image.as_ref(), answers))
    }

    /// Decides on the bytes of an image file; `name` stands for it in errors.
    ///
    /// # Errors
    /// As [`Predictor::predict_file`].
    pub fn predict_bytes(&self, bytes: &[u8], name: &str, answers: &Answers) -> Result<Decision, Error> {
        self.decide(&Request::bytes(bytes, name, answers))
    }

    /// Decides on pixels.
    ///
    /// # Errors
    /// As [`Predictor::predict_file`].
    pub fn predict(&self, pixels: &RgbPixels, answers: &Answers) -> Result<Decision, Error> {
        self.decide(&Request::pixels(pixels, answers))
    }

    /// Decides on one request.
    ///
    /// # Errors
    /// As [`Predictor::predict_file`].
    pub fn decide(&self, request: &Request<'_>) -> Result<Decision, Error> {
        let pixels = self.limits.pixels(request.picture)?;
        let scores = self.scores(&[(&*pixels, request.beside())]).pop().unwrap_or_else(nothing)?;
        self.judge.decide(&scores, request, self.missing(request.beside()))
    }

    /// Name and predictor of each member.
    pub fn members(&self) -> impl Iterator<Item = (&str, &Predictor<B>)> {
        self.names.iter().map(String::as_str).zip(&self.members)
    }

    /// The classes.
    pub fn labels(&self) -> &LabelMap {
        &self.judge.labels
    }

    /// The questionnaire of the members that read one.
    pub fn schema(&self) -> Option<&FeatureSchema> {
        self.members.iter().find_map(Predictor::schema)
    }

    /// Calibrator, abstain policy and conformal predictor of the average.
    pub fn calibration(&self) -> &CalibrationRecord {
        &self.judge.calibration
    }

    /// Where the ensemble comes from, and its files.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The log-probabilities of the average. Further tasks of the members are passed over.
    fn scores(&self, items: &[(&RgbPixels, Beside<'_>)]) -> Vec<Result<Scores, Error>> {
        let none = Answers::new();
        let reads = self.schema().is_some();
        let mut of_item: Vec<Result<Vec<Logits>, Error>> = items.iter().map(|_| Ok(Vec::new())).collect();
        for member in &self.members {
            // A member that reads no answers, or no text, passes over those that another one reads.
            let ignores = reads && member.schema().is_none();
            let no_text = self.reads_text() && member.tokenizer().is_none();
            let asked: Vec<(&RgbPixels, Beside<'_>)> = items
                .iter()
                .map(|&(pixels, beside)| {
                    let answers = if ignores { &none } else { beside.answers };
                    (pixels, Beside { answers, text: beside.text.filter(|_| !no_text) })
                })
                .collect();
            for (item, scores) in of_item.iter_mut().zip(member.scores(&asked)) {
                match (item.as_mut(), scores) {
                    (Ok(all), Ok(scores)) => all.push(scores.diagnosis),
                    (Ok(_), Err(error)) => *item = Err(error),
                    (Err(_), _) => {}
                }
            }
        }
        let mean = |members: Vec<Logits>| {
            mean_scores(&members).map(|diagnosis| Scores { diagnosis, tasks: Vec::new() })
        };
        of_item.into_iter().map(|item| item.and_then(mean)).collect()
    }

    fn reads_text(&self) -> bool {
        self.members.iter().any(|member| member.tokenizer().is_some())
    }

    fn missing(&self, beside: Beside<'_>) -> Missing {
        let answers = self.schema().map(|schema| schema.missing(beside.answers)).unwrap_or_default();
        let answers = answers.into_iter().map(str::to_owned).collect();
        Missing { answers, text: self.reads_text() && beside.text.is_none() }
    }
}

impl<B: Backbone + PublishedKeys> Serve for Ensemble<B> {
    fn predict_batch(&self, requests: &[Request<'_>]) -> Vec<Result<Decision, Error>> {
        let scores = |items: &[(&RgbPixels, Beside<'_>)]| self.scores(items);
        let missing = |beside: Beside<'_>| self.missing(beside);
        in_batches(requests, &self.limits, &self.judge, &scores, &missing)
    }

    fn labels(&self) -> &LabelMap {
        self.labels()
    }

    fn schema(&self) -> Option<&FeatureSchema> {
        self.schema()
    }
}

/// Loads what lies in `folder`, a bundle or an ensemble, of this workspace's own networks.
///
/// # Errors
/// As [`Predictor::load`] and [`Ensemble::load`].
pub fn load(
    folder: impl AsRef<Path>,
    device: &Device,
    limits: ImageLimits,
) -> Result<Box<dyn Serve + Send + Sync>, Error> {
    let folder = folder.as_ref();
    Ok(if folder.join(ENSEMBLE).is_file() {
        Box::new(Ensemble::load(folder, device)?.with_limits(limits))
    } else {
        Box::new(Predictor::load(folder, device)?.with_limits(limits))
    })
}
