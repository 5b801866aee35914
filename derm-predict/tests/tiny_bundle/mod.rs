// A bundle of a tiny network with fresh weights, for tests and for the README's example.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use derm_backbones::{
    AnyBackbone, BackboneConfig, BertConfig, BlockKind, Classifier, ClassifierConfig, ClassifierInput,
    HeadConfig, QuestionnaireEncoderConfig, ResNetConfig, Stem, TaskConfig, TextConfig, TextEncoderConfig,
    TextPooling, TextTokenizer, Tokens,
};
use derm_calibration::{
    AbstainConfig, CalibrationRecord, Calibrator, ConformalConfig, FitCalibrator, PlattConfig,
    TemperatureConfig,
};
use derm_core::{
    Calibration, Interpolation, LabelMap, Normalization, PredictionColumns, PredictionMetadata, Predictions,
    Role, ScoreKind, Scores, Taps, Validation, View,
};
use derm_data::{Answers, FeatureSchema, Resize, ResizeRule};
use derm_predict::{Bundle, BundleConfig, BundleTask, Error, Manifest, Provenance, WeightFormat};

pub(crate) const CLASSES: [&str; 4] = ["mel", "nv", "bcc", "bkl"];
pub(crate) const SIZE: usize = 16;
pub(crate) const SPLIT: &str = "0f3a";

/// A PNG of 2 by 2 pixels.
#[allow(dead_code)]
pub(crate) const PNG: &[u8] = &[
    137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 2, 0, 0, 0, 2, 8, 2, 0, 0, 0, 253,
    212, 154, 115, 0, 0, 0, 22, 73, 68, 65, 84, 120, 156, 99, 56, 49, 173, 34, 74, 67, 142, 33, 192, 72, 99,
    95, 79, 30, 0, 35, 124, 4, 217, 99, 77, 195, 172, 0, 0, 0, 0, 73, 69, 78, 68, 174, 66, 96, 130,
];

pub(crate) struct Tiny {
    pub(crate) model: Classifier<AnyBackbone>,
    pub(crate) config: BundleConfig<ClassifierConfig>,
    pub(crate) labels: LabelMap,
    pub(crate) schema: Option<FeatureSchema>,
    pub(crate) tokenizer: Option<TextTokenizer>,
    pub(crate) tasks: Vec<BundleTask>,
    pub(crate) calibration: CalibrationRecord,
    pub(crate) provenance: Provenance,
}

impl Tiny {
    /// With or without a questionnaire. The batch-norm statistics are those of a batch, not the initial ones.
    pub(crate) fn new(questionnaire: bool) -> Self {
        Self::with_schema(questionnaire.then(|| derm_data::schema::synthetic().unwrap()))
    }

    /// With a questionnaire, or none.
    pub(crate) fn with_schema(schema: Option<FeatureSchema>) -> Self {
        Self::reading(schema, None, Vec::new())
    }

    /// With a text of at most 8 tokens, and a questionnaire or none.
    #[allow(dead_code)]
    pub(crate) fn with_text(questionnaire: bool) -> Self {
        let words = "[PAD]\n[UNK]\n[CLS]\n[SEP]\ndark\nspot\non\nthe\nback\nitches\nred";
        let tokenizer = TextTokenizer::from_vocabulary_text(words, true, 8).unwrap();
        Self::reading(
            questionnaire.then(|| derm_data::schema::synthetic().unwrap()),
            Some(tokenizer),
            Vec::new(),
        )
    }

    /// With further tasks.
    #[allow(dead_code)]
    pub(crate) fn with_tasks(tasks: Vec<BundleTask>) -> Self {
        Self::reading(None, None, tasks)
    }

    fn reading(
        schema: Option<FeatureSchema>,
        tokenizer: Option<TextTokenizer>,
        tasks: Vec<BundleTask>,
    ) -> Self {
        let width = schema.as_ref().map(FeatureSchema::width);
        let block = BlockKind::Basic;
        let resnet = ResNetConfig { block, depths: vec![1, 1], widths: vec![4, 8], stem: Stem::Conv3x3 };
        let encoder = width.map(|inputs| QuestionnaireEncoderConfig {
            widths: vec![8],
            dropout: 0.2,
            ..QuestionnaireEncoderConfig::new(inputs)
        });
        let bert = BertConfig { width: 8, layers: 1, heads: 2, hidden: 8, ..BertConfig::minilm_l6_h384() };
        let text = tokenizer.as_ref().map(|tokenizer| TextConfig {
            encoder: TextEncoderConfig::Bert(BertConfig { vocabulary: tokenizer.vocabulary(), ..bert }),
            pooling: TextPooling::Mean,
        });
        let task_head = |task: &BundleTask| TaskConfig {
            name: task.name.clone(),
            num_classes: task.labels.num_classes(),
        };
        let head = HeadConfig {
            dropout: 0.2,
            questionnaire: encoder,
            text,
            tasks: tasks.iter().map(task_head).collect(),
            ..HeadConfig::new(CLASSES.len())
        };
        let model_config = ClassifierConfig { backbone: BackboneConfig::Resnet(resnet), head };
        let device = Device::default();
        let model = model_config.init(&device.clone().autodiff()).unwrap().train();
        let on = device.autodiff();
        let images =
            Tensor::<1, burn::tensor::Int>::arange(0..(4 * 3 * SIZE * SIZE) as i64, &on).float().sin();
        let answers = width.map(|width| Tensor::<2>::ones([4, width], &on));
        let text = tokenizer.as_ref().map(|_| Tokens::new(Tensor::zeros([4, 3], &on)));
        let images = images.reshape([4, 3, SIZE, SIZE]);
        model.forward_input(ClassifierInput { images, answers, text }, &Taps::none());
        let config = BundleConfig {
            task: "diagnosis".to_owned(),
            model: model_config,
            resize: Resize::new(SIZE, ResizeRule::Squash, Interpolation::Bilinear).unwrap(),
            normalization: Normalization::IMAGENET,
            view: View::Identity,
            weights: WeightFormat::F32,
        };
        let labels = LabelMap::new(CLASSES).unwrap();
        let calibration = calibration(&View::Identity, &ConformalConfig::default());
        let provenance = Provenance {
            seed: 0,
            split_hash: SPLIT.to_owned(),
            source_revision: None,
            crate_versions: BTreeMap::new(),
        };
        Self { model: model.valid(), config, labels, schema, tokenizer, tasks, calibration, provenance }
    }

    pub(crate) fn write(&self, folder: &Path) -> Result<Manifest, Error> {
        let bundle = Bundle {
            model: &self.model,
            config: self.config.clone(),
            labels: &self.labels,
            schema: self.schema.as_ref(),
            tokenizer: self.tokenizer.as_ref(),
            tasks: &self.tasks,
            calibration: &self.calibration,
            metrics: serde_json::json!({ "accuracy": 0.5 }),
            model_card: "# tiny\n".to_owned(),
            provenance: self.provenance.clone(),
        };
        bundle.write(folder)
    }

    /// Answers that the questionnaire takes, one left out.
    #[allow(dead_code)]
    pub(crate) fn answers(&self) -> Answers {
        match self.schema {
            None => Answers::new(),
            Some(_) => Answers::from([("age".into(), "61".into()), ("itch".into(), "yes".into())]),
        }
    }
}

/// A calibration of that view: a temperature, or Platt scaling of an average.
pub(crate) fn calibration(view: &View, conformal: &ConformalConfig) -> CalibrationRecord {
    let (validation, calibration) = (predictions::<Validation>(view), predictions::<Calibration>(view));
    let calibrator: Calibrator = match validation.logits() {
        Some(_) => TemperatureConfig::default().fit(&validation).unwrap().into(),
        None => PlattConfig::default().fit(&validation).unwrap().into(),
    };
    let abstain = AbstainConfig { answer_risk: 0.3, suggest_risk: 0.3, ..AbstainConfig::default() };
    let record = CalibrationRecord::fit_with(calibrator, &validation, &calibration, &abstain).unwrap();
    record.with_conformal(&calibration, conformal).unwrap()
}

/// 120 lesions, five in six of them right; half of them have one skin type and half another.
fn predictions<R: Role>(view: &View) -> Predictions<R> {
    let metadata = PredictionMetadata {
        task: "diagnosis".to_owned(),
        view: View::Identity,
        labels: LabelMap::new(CLASSES).unwrap(),
        split_hash: SPLIT.to_owned(),
    };
    let names = || (0..120).map(|i| format!("{}_{i}", R::ROLE)).collect::<Vec<_>>();
    let targets: Vec<usize> = (0..120).map(|i| (i / 3) % 4).collect();
    let values = ndarray::Array2::from_shape_fn((120, 4), |(i, class)| {
        let said = (targets[i] + usize::from(i % 6 == 0)) % 4;
        if class == said { 3.0 } else { (class as f32 + i as f32 % 7.0) / 20.0 }
    });
    let skin = (0..120).map(|i| if i % 2 == 0 { "II" } else { "V" }.to_owned()).collect();
    let columns = PredictionColumns {
        ids: names(),
        groups: names(),
        cases: names(),
        targets,
        subgroups: BTreeMap::from([("skin_type".to_owned(), skin)]),
        ..PredictionColumns::default()
    };
    let table = Predictions::new(metadata, columns, Scores { kind: ScoreKind::Logits, values }).unwrap();
    match view {
        View::Identity => table,
        average => Predictions::mean_of(&[table], average.clone()).unwrap(),
    }
}
