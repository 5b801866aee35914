//! The cases of `losses.json` that combine a hard loss with distillation. derm-losses runs the others.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use burn::tensor::{Device, Int, Tensor, TensorData};
use derm_core::{BackboneSpec, Features, ImageInput, Interpolation, Normalization, StageSpec, Targets};
use derm_distill::{AttentionConfig, DistillationConfig, LayerPair, LayerPairs, NetworkOutput};
use derm_losses::{AttentionMode, AttentionPool, CrossEntropyLossConfig, KdScale};
use serde_json::{Map, Value};

const OPS: [&str; 3] = ["kd_ce_convex", "kd_ce_weighted", "kd_ce_at"];

struct Case<'a> {
    op: &'a str,
    name: &'a str,
    params: &'a Map<String, Value>,
    inputs: &'a Map<String, Value>,
    expected: &'a Map<String, Value>,
    rtol: f64,
    atol: f64,
    device: &'a Device,
}

impl Case<'_> {
    fn number(&self, key: &str) -> f64 {
        self.params[key].as_f64().unwrap()
    }

    fn values(&self, key: &str) -> (Vec<f64>, Vec<usize>) {
        let tensor = &self.inputs[key];
        let shape =
            tensor["shape"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as usize).collect();
        (tensor["data"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect(), shape)
    }

    fn float<const D: usize>(&self, key: &str) -> Tensor<D> {
        let (values, shape) = self.values(key);
        let values: Vec<f32> = values.into_iter().map(|v| v as f32).collect();
        Tensor::from_data(TensorData::new(values, shape), self.device)
    }

    fn config(&self) -> DistillationConfig {
        let known = ["alpha", "beta", "temperature", "t_squared", "at_beta", "mode", "pool", "layers"];
        for key in self.params.keys() {
            assert!(known.contains(&key.as_str()), "{}: unknown parameter {key}", self.name);
        }
        let alpha = self.number("alpha");
        let squared = self.params["t_squared"].as_bool().unwrap();
        DistillationConfig {
            hard_weight: alpha,
            kd_weight: if self.op == "kd_ce_weighted" { self.number("beta") } else { 1.0 - alpha },
            temperature: self.number("temperature"),
            kd_scale: if squared { KdScale::TemperatureSquared } else { KdScale::One },
            attention: (self.op == "kd_ce_at").then(|| self.attention()),
        }
    }

    fn attention(&self) -> AttentionConfig {
        let pair = |i| LayerPair { student: format!("student_{i}"), teacher: format!("teacher_{i}") };
        AttentionConfig {
            weight: self.number("at_beta"),
            mode: match self.params["mode"].as_str().unwrap() {
                "mean_squared" => AttentionMode::MeanSquared,
                "l2" => AttentionMode::L2,
                other => panic!("unknown mode {other}"),
            },
            pool: match self.params["pool"].as_str().unwrap() {
                "features" => AttentionPool::Features,
                "attention" => AttentionPool::Attention,
                other => panic!("unknown pool {other}"),
            },
            layers: LayerPairs::Pairs((0..self.params["layers"].as_u64().unwrap()).map(pair).collect()),
        }
    }

    /// The network whose maps the case holds, by the prefix of their names.
    fn spec(&self, prefix: &str) -> BackboneSpec {
        let maps =
            self.inputs.keys().filter(|key| key.starts_with(prefix) && *key != &format!("{prefix}logits"));
        BackboneSpec {
            architecture: prefix.to_owned(),
            embedding: 1,
            stages: maps
                .map(|key| StageSpec { name: key.clone(), channels: self.values(key).1[1], stride: 1 })
                .collect(),
            input: ImageInput {
                size: 1,
                normalization: Normalization::HALF,
                interpolation: Interpolation::Bilinear,
                crop_pct: 1.0,
            },
        }
    }

    fn output(&self, prefix: &str, spec: &BackboneSpec) -> NetworkOutput {
        let maps =
            spec.stages.iter().map(|stage| (stage.name.clone(), self.float(&stage.name).require_grad()));
        NetworkOutput {
            logits: self.float(&format!("{prefix}logits")).require_grad(),
            features: Features { pooled: Tensor::zeros([1, 1], self.device), maps: maps.collect() },
        }
    }

    fn close(&self, what: &str, got: &[f64], expected: &Value) {
        let expected: Vec<f64> = match expected {
            Value::Object(tensor) => {
                tensor["data"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
            }
            number => vec![number.as_f64().unwrap()],
        };
        assert_eq!(got.len(), expected.len(), "{}: length of {what}", self.name);
        for (got, expected) in got.iter().zip(&expected) {
            let within = (got - expected).abs() <= self.atol + self.rtol * expected.abs();
            assert!(within, "{}: {what} is {got}, expected {expected}", self.name);
        }
    }

    fn check(&self) {
        let (student_spec, teacher_spec) = (self.spec("student_"), self.spec("teacher_"));
        let student = self.output("student_", &student_spec);
        let teacher = self.output("teacher_", &teacher_spec);
        let (targets, shape) = self.values("targets");
        let targets: Vec<i32> = targets.into_iter().map(|v| v as i32).collect();
        let targets =
            Targets::Hard(Tensor::<1, Int>::from_data(TensorData::new(targets, shape), self.device));
        let hard = CrossEntropyLossConfig::default().init(student.logits.dims()[1], self.device).unwrap();
        let objective = self.config().init(hard, &student_spec, &teacher_spec).unwrap();

        let loss = objective.forward(&student, &teacher, &targets);
        let gradients = loss.total.backward();
        for key in self.expected.keys() {
            match key.as_str() {
                "value" => self.close("value", &host(loss.total.clone()), &self.expected["value"]),
                "per_sample" => {
                    let per_sample = objective.per_sample(&student, &teacher, &targets);
                    self.close("per_sample", &host(per_sample), &self.expected["per_sample"]);
                }
                "grad" => {
                    for (input, expected) in self.expected["grad"].as_object().unwrap() {
                        let got = if input == "student_logits" {
                            host(student.logits.grad(&gradients).expect("a gradient"))
                        } else {
                            let map = student.features.map(input).expect("a student's map");
                            host(map.grad(&gradients).expect("a gradient"))
                        };
                        self.close(input, &got, expected);
                    }
                }
                unknown => panic!("{}: unknown expected key {unknown}", self.name),
            }
        }
        assert!(teacher.logits.grad(&gradients).is_none(), "{}: the teacher got a gradient", self.name);
        for (name, map) in &teacher.features.maps {
            assert!(map.grad(&gradients).is_none(), "{}: {name} got a gradient", self.name);
        }
    }
}

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

#[test]
fn combined_losses_equal_their_references() {
    let folder = std::env::var_os("DERM_GOLDEN_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden"), PathBuf::from);
    let path = folder.join("losses.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let file: Value = serde_json::from_str(&text).unwrap();
    let device = Device::default().autodiff();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for case in file["cases"].as_array().unwrap() {
        let op = case["op"].as_str().unwrap();
        if !OPS.contains(&op) {
            continue;
        }
        Case {
            op,
            name: case["name"].as_str().unwrap(),
            params: case["params"].as_object().unwrap(),
            inputs: case["inputs"].as_object().unwrap(),
            expected: case["expected"].as_object().unwrap(),
            rtol: case["tolerance"]["rtol"].as_f64().unwrap(),
            atol: case["tolerance"]["atol"].as_f64().unwrap(),
            device: &device,
        }
        .check();
        *counts.entry(op).or_default() += 1;
    }
    println!("cases run on {device:?}: {counts:?}; every other op is derm-losses'");
    assert_eq!(counts.len(), OPS.len(), "{} lacks an op: {counts:?}", path.display());
}
