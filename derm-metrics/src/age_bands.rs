use crate::Error;
use crate::error::check_not_empty;

/// Bands of age for a subgroup table: `[0, e₁)`, `[e₁, e₂)`, …, `[e_k, ∞)`, each holding its lower edge. A
/// [`SubgroupTable`](crate::SubgroupTable) lists them by age.
///
/// ```
/// use derm_metrics::AgeBands;
/// let bands = AgeBands::new(&[30.0, 60.0])?;
/// let column = bands.column(&["29.5", "30", "", "85"])?;
/// assert_eq!(column, ["[0, 30)", "[30, 60)", "", "[60, ∞)"]);
/// # Ok::<(), derm_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct AgeBands {
    edges: Vec<f64>,
}

impl AgeBands {
    /// Bands between these edges, in years.
    ///
    /// # Errors
    /// [`Error::Value`] for no edge, [`Error::Entry`] for one that is not positive, finite and above the one
    /// before.
    pub fn new(edges: &[f64]) -> Result<Self, Error> {
        check_not_empty("edges", edges.len())?;
        let mut before = 0.0;
        for (position, &value) in edges.iter().enumerate() {
            if !(value.is_finite() && value > before) {
                let expected = "a positive finite number above the one before";
                return Err(Error::Entry { argument: "edges", position, value, expected });
            }
            before = value;
        }
        Ok(Self { edges: edges.to_vec() })
    }

    /// The band of each age that stands as text; an empty text stays empty, which is unknown.
    ///
    /// # Errors
    /// [`Error::NotANumber`] for other text, [`Error::Entry`] for an age that is negative or not finite.
    pub fn column<S: AsRef<str>>(&self, ages: &[S]) -> Result<Vec<String>, Error> {
        let of_row = |(position, text): (usize, &S)| {
            let text = text.as_ref().trim();
            if text.is_empty() {
                return Ok(String::new());
            }
            let wrong = |_| Error::NotANumber { argument: "ages", position, text: text.to_owned() };
            let value: f64 = text.parse().map_err(wrong)?;
            if value.is_finite() && value >= 0.0 {
                Ok(self.band(value))
            } else {
                let expected = "a finite number not below 0";
                Err(Error::Entry { argument: "ages", position, value, expected })
            }
        };
        ages.iter().enumerate().map(of_row).collect()
    }

    fn band(&self, age: f64) -> String {
        let above = self.edges.partition_point(|&edge| edge <= age);
        let low = if above == 0 { 0.0 } else { self.edges[above - 1] };
        match self.edges.get(above) {
            Some(high) => format!("[{low}, {high})"),
            None => format!("[{low}, ∞)"),
        }
    }
}
