//! Texts as the tokens of one tokenizer.

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use crate::Error;
use crate::error::setting;

/// The texts of a dataset's records as token ids, one row a record: what
/// [`Samples::with_tokens`](crate::Samples::with_tokens) puts into batches. The tokenizer itself belongs to the network.
///
/// ```
/// use derm_data::TokenRows;
/// let rows = TokenRows::new(vec![vec![2, 7, 8, 3], vec![2, 3]], vec![2, 3], 0)?;
/// assert_eq!((rows.len(), rows.longest()), (2, 4));
/// assert_eq!(rows.padded(&[1, 0], 0).ids, [2, 3, 0, 0, 2, 7, 8, 3]);
/// assert_eq!(rows.padded(&[1], 0).ids, [2, 3]);
/// # Ok::<(), derm_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRows {
    rows: Vec<Vec<u32>>,
    empty: Vec<u32>,
    padding: u32,
}

/// Token ids of B texts in host memory, padded on the right to one length T.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostTokens {
    /// Token ids, [B, T] row-major.
    pub ids: Vec<i32>,
    /// Whether a place is padding, [B, T] row-major.
    pub padding: Vec<bool>,
    /// Length T.
    pub length: usize,
}

/// Token ids of B texts on a device.
#[derive(Clone, Debug)]
pub struct BatchTokens {
    /// Token ids, shape `[B, T]`.
    pub ids: Tensor<2, Int>,
    /// Whether a place is padding, shape `[B, T]`.
    pub padding: Tensor<2, Bool>,
}

impl BatchTokens {
    /// The same tokens on another device.
    pub(crate) fn on(&self, device: &Device) -> Self {
        Self { ids: self.ids.clone().to_device(device), padding: self.padding.clone().to_device(device) }
    }
}

impl TokenRows {
    /// The token ids of each record's text, those of an empty text, which stand for a text that is missing or hidden, and
    /// the id of padding.
    ///
    /// # Errors
    /// [`Error::Setting`] for a row without tokens and for an id that is no 32-bit signed number.
    pub fn new(rows: Vec<Vec<u32>>, empty: Vec<u32>, padding: u32) -> Result<Self, Error> {
        let all = || rows.iter().chain([&empty]);
        if all().any(Vec::is_empty) {
            return Err(setting("tokens of a text", "none", "at least one: special ones are enough"));
        }
        if let Some(id) = all().flatten().chain([&padding]).find(|id| i32::try_from(**id).is_err()) {
            return Err(setting("token id", id, "0 to 2147483647"));
        }
        Ok(Self { rows, empty, padding })
    }

    /// Number of texts.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Tokens of the longest text, the empty one's where that has more.
    pub fn longest(&self) -> usize {
        self.rows.iter().chain([&self.empty]).map(Vec::len).max().unwrap_or_default()
    }

    /// The texts of the records at `indices`, padded to the longest of them and to no fewer than `at_least` tokens.
    ///
    /// # Panics
    /// For an index that is no text's.
    pub fn padded(&self, indices: &[usize], at_least: usize) -> HostTokens {
        self.padded_but(indices, at_least, |_| false)
    }

    /// The same with the texts of the rows hidden that `hidden` names.
    pub(crate) fn padded_but(
        &self,
        indices: &[usize],
        at_least: usize,
        hidden: impl Fn(usize) -> bool,
    ) -> HostTokens {
        let of_row =
            |(row, &index): (usize, &usize)| if hidden(row) { &self.empty } else { &self.rows[index] };
        let rows: Vec<&[u32]> = indices.iter().enumerate().map(of_row).map(Vec::as_slice).collect();
        HostTokens::new(&rows, self.padding, at_least)
    }
}

impl HostTokens {
    /// Token ids of each text, padded with the id `padding` to the longest of them and to no fewer than `at_least`.
    pub fn new(rows: &[&[u32]], padding: u32, at_least: usize) -> Self {
        let length = rows.iter().map(|row| row.len()).max().unwrap_or_default().max(at_least);
        let mut ids = Vec::with_capacity(rows.len() * length);
        let mut padded = Vec::with_capacity(rows.len() * length);
        for row in rows {
            let places = (0..length).map(|place| row.get(place));
            ids.extend(places.clone().map(|id| id.copied().unwrap_or(padding).cast_signed()));
            padded.extend(places.map(|id| id.is_none()));
        }
        Self { ids, padding: padded, length }
    }

    /// The same on a device.
    pub fn to_device(self, device: &Device) -> BatchTokens {
        let shape = [self.ids.len() / self.length.max(1), self.length];
        BatchTokens {
            ids: Tensor::from_data(TensorData::new(self.ids, shape), device),
            padding: Tensor::from_data(TensorData::new(self.padding, shape), device),
        }
    }
}
