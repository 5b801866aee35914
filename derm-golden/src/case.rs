use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::{Got, Tensor};

/// The keys that a case may have.
const KEYS: [&str; 8] =
    ["name", "op", "reference", "params", "inputs", "expected", "tolerance", "explanation"];

/// One golden case. It notes what was read of it, so that [`Case::check`] can refuse a test that ignores
/// something.
#[derive(Debug)]
pub struct Case {
    /// Its name: op, input set, variant.
    pub name: String,
    /// What is computed.
    pub op: String,
    params: Map<String, Value>,
    inputs: BTreeMap<String, Tensor>,
    /// The inputs that stand in the case itself, not in a shared dataset.
    own_inputs: BTreeSet<String>,
    /// Nested objects are flattened to dotted keys.
    expected: BTreeMap<String, Tensor>,
    rtol: f64,
    atol: f64,
    used: RefCell<BTreeSet<String>>,
    checked: RefCell<bool>,
}

impl Case {
    pub(crate) fn parse(value: &Value, datasets: &Map<String, Value>) -> Self {
        let name = value["name"].as_str().unwrap().to_owned();
        for key in value.as_object().unwrap().keys() {
            assert!(KEYS.contains(&key.as_str()), "{name}: unknown key {key}");
        }
        let mut inputs = BTreeMap::new();
        let mut own_inputs = BTreeSet::new();
        for (key, tensor) in value["inputs"].as_object().unwrap() {
            if key == "dataset" {
                for (key, tensor) in datasets[tensor.as_str().unwrap()].as_object().unwrap() {
                    inputs.insert(key.clone(), Tensor::parse(tensor));
                }
            } else {
                inputs.insert(key.clone(), Tensor::parse(tensor));
                own_inputs.insert(key.clone());
            }
        }
        let mut expected = BTreeMap::new();
        for (key, value) in value["expected"].as_object().unwrap() {
            flatten(key, value, &mut expected);
        }
        Self {
            op: value["op"].as_str().unwrap().to_owned(),
            params: value["params"].as_object().unwrap().clone(),
            inputs,
            own_inputs,
            expected,
            rtol: value["tolerance"]["rtol"].as_f64().unwrap(),
            atol: value["tolerance"]["atol"].as_f64().unwrap(),
            used: RefCell::default(),
            checked: RefCell::default(),
            name,
        }
    }

    /// The relative tolerance of the case.
    pub fn rtol(&self) -> f64 {
        self.rtol
    }

    /// The absolute tolerance of the case.
    pub fn atol(&self) -> f64 {
        self.atol
    }

    /// Whether the case has that param.
    pub fn has_param(&self, name: &str) -> bool {
        self.params.contains_key(name)
    }

    fn param(&self, name: &str) -> &Value {
        self.used.borrow_mut().insert(name.to_owned());
        self.params.get(name).unwrap_or_else(|| panic!("{}: no param `{name}`", self.name))
    }

    /// A param that is a number.
    pub fn number(&self, name: &str) -> f64 {
        let value = self.param(name);
        value.as_f64().unwrap_or_else(|| panic!("{}: `{name}` is no number: {value}", self.name))
    }

    /// A param that is a number, where the case has it.
    pub fn optional_number(&self, name: &str) -> Option<f64> {
        self.has_param(name).then(|| self.number(name))
    }

    /// A param that is a whole number from 0.
    pub fn count(&self, name: &str) -> usize {
        let value = self.param(name);
        let count = value.as_u64().unwrap_or_else(|| panic!("{}: `{name}` is no count: {value}", self.name));
        usize::try_from(count).unwrap()
    }

    /// A param that is a text.
    pub fn text(&self, name: &str) -> &str {
        let value = self.param(name);
        value.as_str().unwrap_or_else(|| panic!("{}: `{name}` is no text: {value}", self.name))
    }

    /// A param that is a text, where the case has it.
    pub fn optional_text(&self, name: &str) -> Option<&str> {
        self.has_param(name).then(|| self.text(name))
    }

    /// A param that is true or false.
    pub fn flag(&self, name: &str) -> bool {
        let value = self.param(name);
        value.as_bool().unwrap_or_else(|| panic!("{}: `{name}` is no flag: {value}", self.name))
    }

    /// A param that is a list of numbers.
    pub fn numbers(&self, name: &str) -> Vec<f64> {
        let value = self.param(name);
        let list = value.as_array().unwrap_or_else(|| panic!("{}: `{name}` is no list: {value}", self.name));
        list.iter().map(|x| x.as_f64().unwrap()).collect()
    }

    /// Whether the case has that input.
    pub fn has_input(&self, name: &str) -> bool {
        self.inputs.contains_key(name)
    }

    /// An input.
    pub fn input(&self, name: &str) -> &Tensor {
        self.used.borrow_mut().insert(name.to_owned());
        self.inputs.get(name).unwrap_or_else(|| panic!("{}: no input `{name}`", self.name))
    }

    /// The names of the inputs.
    pub fn input_names(&self) -> impl Iterator<Item = &str> {
        self.inputs.keys().map(String::as_str)
    }

    /// Whether the case expects that entry.
    pub fn expects(&self, key: &str) -> bool {
        self.expected.contains_key(key)
    }

    /// A param or a word of the case that the test does not know.
    pub fn unknown(&self, what: &str) -> ! {
        panic!("{}: unknown value {what:?}", self.name)
    }

    /// Every expected entry is there and right, none is left over, and every param and every input of the case's
    /// own was read. Numbers are compared within the tolerance of the case, counts, indices and flags exactly, and a
    /// matrix must have the expected shape.
    pub fn check<K: Into<String>>(&self, got: impl IntoIterator<Item = (K, Got)>) {
        let got: BTreeMap<String, Got> = got.into_iter().map(|(key, got)| (key.into(), got)).collect();
        let used = self.used.borrow();
        let unread: Vec<_> =
            self.params.keys().chain(&self.own_inputs).filter(|key| !used.contains(*key)).collect();
        assert!(unread.is_empty(), "{}: not read: {unread:?}", self.name);
        for key in got.keys() {
            assert!(self.expected.contains_key(key), "{}: `{key}` is not expected", self.name);
        }
        for (key, expected) in &self.expected {
            let Got { values, shape, exact } =
                got.get(key).unwrap_or_else(|| panic!("{}: nothing for `{key}`", self.name));
            assert_eq!(values.len(), expected.data.len(), "{}: length of `{key}`", self.name);
            if let Some(shape) = shape {
                assert_eq!(shape, &expected.shape, "{}: shape of `{key}`", self.name);
            }
            for (index, (got, want)) in values.iter().zip(&expected.data).enumerate() {
                let close = match (got, want) {
                    (None, None) => true,
                    (Some(got), Some(want)) if *exact => got == want,
                    (Some(got), Some(want)) => (got - want).abs() <= self.atol + self.rtol * want.abs(),
                    _ => false,
                };
                assert!(close, "{}: `{key}`[{index}] is {got:?}, expected {want:?}", self.name);
            }
        }
        *self.checked.borrow_mut() = true;
    }

    pub(crate) fn was_checked(&self) -> bool {
        *self.checked.borrow()
    }
}

fn flatten(key: &str, value: &Value, entries: &mut BTreeMap<String, Tensor>) {
    match value {
        Value::Null => {
            entries.insert(key.to_owned(), Tensor { shape: vec![], data: vec![None] });
        }
        Value::Number(number) => {
            entries.insert(key.to_owned(), Tensor { shape: vec![], data: vec![number.as_f64()] });
        }
        tensor if Tensor::is_tensor(tensor) => {
            entries.insert(key.to_owned(), Tensor::parse(tensor));
        }
        nested => {
            let nested = nested.as_object().unwrap_or_else(|| panic!("`{key}` expects {value}"));
            for (name, value) in nested {
                flatten(&format!("{key}.{name}"), value, entries);
            }
        }
    }
}
