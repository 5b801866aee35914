use ndarray::Array2;
use serde_json::Value;

/// A tensor of a case, row-major. Integers are exact in f64; null is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its entries.
    pub data: Vec<Option<f64>>,
}

impl Tensor {
    /// Whether `value` is written as a tensor.
    pub(crate) fn is_tensor(value: &Value) -> bool {
        value.get("shape").is_some() && value.get("data").is_some()
    }

    pub(crate) fn parse(value: &Value) -> Self {
        let shape: Vec<usize> = value["shape"].as_array().unwrap().iter().map(index).collect();
        let entry = |x: &Value| if x.is_null() { None } else { Some(x.as_f64().unwrap()) };
        let data: Vec<Option<f64>> = value["data"].as_array().unwrap().iter().map(entry).collect();
        assert_eq!(data.len(), shape.iter().product::<usize>(), "a tensor of shape {shape:?}");
        Self { shape, data }
    }

    /// The entries, none of them null.
    pub fn floats(&self) -> Vec<f64> {
        self.data.iter().map(|x| x.expect("an entry that is not null")).collect()
    }

    /// The entries in single precision, which holds every input exactly.
    pub fn f32s(&self) -> Vec<f32> {
        self.floats().into_iter().map(|x| x as f32).collect()
    }

    /// The entries as indices or counts.
    pub fn indices(&self) -> Vec<usize> {
        let index = |x: f64| {
            assert!(x >= 0.0 && x.fract() == 0.0, "{x} is no index");
            x as usize
        };
        self.floats().into_iter().map(index).collect()
    }

    /// The entries as flags, written as 0 and 1.
    pub fn flags(&self) -> Vec<bool> {
        let flag = |x: usize| {
            assert!(x <= 1, "{x} is no flag");
            x == 1
        };
        self.indices().into_iter().map(flag).collect()
    }

    /// The entries as a matrix.
    pub fn matrix(&self) -> Array2<f64> {
        let &[rows, columns] = self.shape.as_slice() else { panic!("no matrix: shape {:?}", self.shape) };
        Array2::from_shape_vec((rows, columns), self.floats()).unwrap()
    }
}

fn index(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}
