//! Reads a file of golden cases and compares results with it. The layout is described in the file's own
//! README of the reference values: datasets, cases with op, params, inputs, expected and tolerance.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use derm_core::Probabilities;
use ndarray::Array2;
use serde_json::{Map, Value};

/// A tensor of the file: integers stay exact in f64, null is `None`.
#[derive(Debug, Clone)]
pub struct Tensor {
    pub shape: Vec<usize>,
    pub data: Vec<Option<f64>>,
}

impl Tensor {
    fn parse(value: &Value) -> Self {
        let shape = value["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
        let entries = value["data"].as_array().unwrap();
        let data =
            entries.iter().map(|x| if x.is_null() { None } else { Some(x.as_f64().unwrap()) }).collect();
        Self { shape, data }
    }

    pub fn floats(&self) -> Vec<f64> {
        self.data.iter().map(|x| x.unwrap()).collect()
    }

    pub fn indices(&self) -> Vec<usize> {
        self.floats().into_iter().map(|x| x as usize).collect()
    }

    pub fn flags(&self) -> Vec<bool> {
        self.floats().into_iter().map(|x| x != 0.0).collect()
    }

    pub fn matrix(&self) -> Array2<f64> {
        assert_eq!(self.shape.len(), 2);
        Array2::from_shape_vec((self.shape[0], self.shape[1]), self.floats()).unwrap()
    }
}

/// What our code gave for one entry of `expected`.
#[derive(Debug, Clone)]
pub struct Got(Vec<Option<f64>>);

impl From<f64> for Got {
    fn from(value: f64) -> Self {
        Self(vec![Some(value)])
    }
}

impl From<Option<f64>> for Got {
    fn from(value: Option<f64>) -> Self {
        Self(vec![value])
    }
}

impl From<Vec<f64>> for Got {
    fn from(values: Vec<f64>) -> Self {
        Self(values.into_iter().map(Some).collect())
    }
}

impl From<Vec<Option<f64>>> for Got {
    fn from(values: Vec<Option<f64>>) -> Self {
        Self(values)
    }
}

impl From<Vec<u64>> for Got {
    fn from(values: Vec<u64>) -> Self {
        Self(values.into_iter().map(|x| Some(x as f64)).collect())
    }
}

impl From<Array2<f64>> for Got {
    fn from(values: Array2<f64>) -> Self {
        Self(values.iter().map(|&x| Some(x)).collect())
    }
}

pub struct Case {
    pub name: String,
    pub op: String,
    params: Map<String, Value>,
    inputs: BTreeMap<String, Tensor>,
    expected: Map<String, Value>,
    rtol: f64,
    atol: f64,
    used: RefCell<BTreeSet<String>>,
}

impl Case {
    fn param(&self, name: &str) -> &Value {
        self.used.borrow_mut().insert(name.to_owned());
        self.params.get(name).unwrap_or_else(|| panic!("{}: no param `{name}`", self.name))
    }

    pub fn number(&self, name: &str) -> f64 {
        self.param(name).as_f64().unwrap()
    }

    pub fn count(&self, name: &str) -> usize {
        self.param(name).as_u64().unwrap() as usize
    }

    pub fn text(&self, name: &str) -> &str {
        self.param(name).as_str().unwrap()
    }

    pub fn input(&self, name: &str) -> &Tensor {
        self.inputs.get(name).unwrap_or_else(|| panic!("{}: no input `{name}`", self.name))
    }

    pub fn probabilities(&self, name: &str) -> Probabilities {
        Probabilities::new(self.input(name).matrix()).unwrap()
    }

    pub fn unknown(&self, what: &str) -> ! {
        panic!("{}: unknown value {what:?}", self.name)
    }

    /// Every expected entry is there and right, none is left over, and every param was read. Counts differ by
    /// at least 1 where they differ, so the tolerance keeps them exact.
    pub fn check<const N: usize>(&self, got: [(&str, Got); N]) {
        let got = BTreeMap::from(got);
        let unread: Vec<_> = self.params.keys().filter(|key| !self.used.borrow().contains(*key)).collect();
        assert!(unread.is_empty(), "{}: unknown params {unread:?}", self.name);
        for key in got.keys() {
            assert!(self.expected.contains_key(*key), "{}: `{key}` is not in the file", self.name);
        }
        for (key, expected) in &self.expected {
            let got = got.get(key.as_str()).unwrap_or_else(|| panic!("{}: unknown key `{key}`", self.name));
            let expected = match expected {
                Value::Null => Tensor { shape: vec![], data: vec![None] },
                Value::Number(number) => Tensor { shape: vec![], data: vec![number.as_f64()] },
                tensor => Tensor::parse(tensor),
            };
            assert_eq!(got.0.len(), expected.data.len(), "{}: length of `{key}`", self.name);
            for (index, (got, want)) in got.0.iter().zip(&expected.data).enumerate() {
                let close = match (got, want) {
                    (None, None) => true,
                    (Some(got), Some(want)) => (got - want).abs() <= self.atol + self.rtol * want.abs(),
                    _ => false,
                };
                assert!(close, "{}: `{key}`[{index}] is {got:?}, expected {want:?}", self.name);
            }
        }
    }
}

/// Runs every case of `file`, except those of `not_covered` ops, and prints how many of each op it ran.
pub fn run(
    file: &str,
    not_covered: &[&str],
    checked_by_another_crate: &[&str],
    check: impl Fn(&Case) -> bool,
) {
    let path = folder().join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let root: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(root["schema"], 1, "{}", path.display());
    let datasets = root["datasets"].as_object().unwrap();
    let mut ran: BTreeMap<String, usize> = BTreeMap::new();
    let mut skipped: BTreeMap<String, usize> = BTreeMap::new();
    for value in root["cases"].as_array().unwrap() {
        let case = parse(value, datasets);
        // An op with methods is covered method by method.
        let op = match case.params.get("method").and_then(Value::as_str) {
            Some(method) => format!("{}:{method}", case.op),
            None => case.op.clone(),
        };
        let op = op.as_str();
        let known_elsewhere = not_covered.contains(&op) || checked_by_another_crate.contains(&op);
        if check(&case) {
            assert!(!known_elsewhere, "{op} is covered: take it off the list");
            *ran.entry(op.to_owned()).or_default() += 1;
        } else {
            assert!(known_elsewhere, "{}: unknown op {op:?}", case.name);
            *skipped.entry(op.to_owned()).or_default() += 1;
        }
    }
    assert!(!ran.is_empty(), "{} has no case", path.display());
    println!("{}: cases run {ran:?}", path.display());
    let not_covered: BTreeMap<_, _> =
        skipped.iter().filter(|(op, _)| not_covered.contains(&op.as_str())).collect();
    println!("{}: not covered yet {not_covered:?}", path.display());
}

fn parse(value: &Value, datasets: &Map<String, Value>) -> Case {
    let known = ["name", "op", "reference", "params", "inputs", "expected", "tolerance", "explanation"];
    for key in value.as_object().unwrap().keys() {
        assert!(known.contains(&key.as_str()), "{}: unknown key {key}", value["name"]);
    }
    let mut inputs = BTreeMap::new();
    for (name, tensor) in value["inputs"].as_object().unwrap() {
        if name == "dataset" {
            for (name, tensor) in datasets[tensor.as_str().unwrap()].as_object().unwrap() {
                inputs.insert(name.clone(), Tensor::parse(tensor));
            }
        } else {
            inputs.insert(name.clone(), Tensor::parse(tensor));
        }
    }
    let tolerance = &value["tolerance"];
    Case {
        name: value["name"].as_str().unwrap().to_owned(),
        op: value["op"].as_str().unwrap().to_owned(),
        params: value["params"].as_object().unwrap().clone(),
        inputs,
        expected: value["expected"].as_object().unwrap().clone(),
        rtol: tolerance["rtol"].as_f64().unwrap(),
        atol: tolerance["atol"].as_f64().unwrap(),
        used: RefCell::default(),
    }
}

fn folder() -> PathBuf {
    match std::env::var_os("DERM_GOLDEN_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"),
    }
}
