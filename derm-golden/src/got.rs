use ndarray::Array2;

/// What the code under test gave for one expected entry: its values in row-major order, `None` where undefined.
#[derive(Debug, Clone, PartialEq)]
pub struct Got(pub(crate) Vec<Option<f64>>);

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

impl From<usize> for Got {
    fn from(value: usize) -> Self {
        Self(vec![Some(value as f64)])
    }
}

impl From<Vec<f64>> for Got {
    fn from(values: Vec<f64>) -> Self {
        values.into_iter().map(Some).collect()
    }
}

impl From<&[f64]> for Got {
    fn from(values: &[f64]) -> Self {
        values.iter().copied().map(Some).collect()
    }
}

impl From<Vec<Option<f64>>> for Got {
    fn from(values: Vec<Option<f64>>) -> Self {
        Self(values)
    }
}

impl From<Vec<u64>> for Got {
    fn from(values: Vec<u64>) -> Self {
        values.into_iter().map(|x| Some(x as f64)).collect()
    }
}

impl From<Vec<usize>> for Got {
    fn from(values: Vec<usize>) -> Self {
        values.into_iter().map(|x| Some(x as f64)).collect()
    }
}

impl From<Vec<bool>> for Got {
    fn from(values: Vec<bool>) -> Self {
        values.into_iter().map(|x| Some(f64::from(u8::from(x)))).collect()
    }
}

impl From<Array2<f64>> for Got {
    fn from(values: Array2<f64>) -> Self {
        values.into_iter().map(Some).collect()
    }
}

impl FromIterator<Option<f64>> for Got {
    fn from_iter<I: IntoIterator<Item = Option<f64>>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}
