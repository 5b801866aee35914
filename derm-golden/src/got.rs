use ndarray::Array2;

/// What the code under test gave for one expected entry: its values in row-major order, `None` where undefined.
#[derive(Debug, Clone, PartialEq)]
pub struct Got {
    pub(crate) values: Vec<Option<f64>>,
    /// The shape, where the type has one.
    pub(crate) shape: Option<Vec<usize>>,
    /// Counts, indices and flags are right or wrong: no tolerance applies to them.
    pub(crate) exact: bool,
}

impl Got {
    fn whole(values: impl Iterator<Item = f64>) -> Self {
        Self { exact: true, ..values.map(Some).collect() }
    }
}

impl From<f64> for Got {
    fn from(value: f64) -> Self {
        Some(value).into()
    }
}

impl From<Option<f64>> for Got {
    fn from(value: Option<f64>) -> Self {
        std::iter::once(value).collect()
    }
}

impl From<usize> for Got {
    fn from(value: usize) -> Self {
        vec![value].into()
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
        Self { values, shape: None, exact: false }
    }
}

impl From<Vec<u64>> for Got {
    fn from(values: Vec<u64>) -> Self {
        Self::whole(values.into_iter().map(|x| x as f64))
    }
}

impl From<Vec<usize>> for Got {
    fn from(values: Vec<usize>) -> Self {
        Self::whole(values.into_iter().map(|x| x as f64))
    }
}

impl From<Vec<bool>> for Got {
    fn from(values: Vec<bool>) -> Self {
        Self::whole(values.into_iter().map(|x| f64::from(u8::from(x))))
    }
}

impl From<Array2<f64>> for Got {
    fn from(values: Array2<f64>) -> Self {
        let shape = Some(values.shape().to_vec());
        Self { shape, ..values.into_iter().map(Some).collect() }
    }
}

impl FromIterator<Option<f64>> for Got {
    fn from_iter<I: IntoIterator<Item = Option<f64>>>(values: I) -> Self {
        values.into_iter().collect::<Vec<_>>().into()
    }
}
