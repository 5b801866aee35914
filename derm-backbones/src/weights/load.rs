use std::collections::{BTreeMap, BTreeSet, HashMap};

use burn::module::Module;
use burn::tensor::{DType, TensorData};
use safetensors::tensor::Dtype;

use super::fit::Fit;
use super::layout::{Entry, Writer};
use super::source::{Source, Stored, Table};
use super::{HeadLoading, LoadOptions, LoadReport, counter_of, transpose};
use crate::{Error, PositionTable, PublishedKeys, ShapeMismatch, resample_positions};

/// Where the values of one parameter come from.
struct Plan<'a> {
    entry: &'a Entry,
    /// Keys in the file, one a part.
    keys: Vec<&'a String>,
    /// The table in the file, where it is resampled to the module's.
    resampled: Option<(PositionTable, PositionTable)>,
}

/// Loads everything or nothing: keys and shapes are compared first, then all values are read once to be checked,
/// and a second time to be written, one tensor at a time. Batch norms share their running statistics with clones of
/// the module, so that writing before the last check could leave another module half loaded.
pub(super) fn load<M: Module + PublishedKeys>(
    module: M,
    source: &Source<'_>,
    options: &LoadOptions,
) -> Result<(M, LoadReport), Error> {
    let fit = Fit::best(&module, source, options.prefix.as_deref())?;
    let (entry, table) = &source.tables[fit.table];
    let report = LoadReport {
        origin: source.origin.clone(),
        format: source.format,
        naming: fit.naming,
        entry: entry.clone(),
        prefix: fit.prefix.clone(),
        loaded: Vec::new(),
        counters: Vec::new(),
        missing: Vec::new(),
        unused: Vec::new(),
        fresh_head: Vec::new(),
        reshaped: Vec::new(),
        resized: Vec::new(),
        converted: BTreeMap::new(),
    };
    let (plans, mut report) = Matching::new(&module, &fit, table, options, report).run()?;
    for plan in plans.values() {
        for &key in &plan.keys {
            let stored = &table[key];
            floats_of(key, stored, &source.origin)?;
            if stored.dtype != Dtype::F32 {
                *report.converted.entry(format!("{:?}", stored.dtype)).or_default() += 1;
            }
        }
    }
    let module = Writer::write(module, |path| {
        plans.get(path).map(|plan| values(plan, table, &source.origin)).transpose()
    })?;
    Ok((module, report))
}

/// The comparison of a module's keys with a file's.
struct Matching<'m, 'a, M> {
    module: &'m M,
    fit: &'a Fit,
    table: &'a Table<'a>,
    options: &'a LoadOptions,
    /// Keys of the file that have no place yet.
    left: BTreeSet<&'a String>,
    plans: HashMap<&'a str, Plan<'a>>,
    missing: Vec<String>,
    mismatched: Vec<ShapeMismatch>,
    report: LoadReport,
}

impl<'m, 'a, M: PublishedKeys> Matching<'m, 'a, M> {
    fn new(
        module: &'m M,
        fit: &'a Fit,
        table: &'a Table<'a>,
        options: &'a LoadOptions,
        report: LoadReport,
    ) -> Self {
        Self {
            module,
            fit,
            table,
            options,
            left: table.keys().collect(),
            plans: HashMap::new(),
            missing: Vec::new(),
            mismatched: Vec::new(),
            report,
        }
    }

    fn run(mut self) -> Result<(HashMap<&'a str, Plan<'a>>, LoadReport), Error> {
        let entries = &self.fit.layout.0;
        let (heads, others): (Vec<_>, Vec<_>) =
            entries.iter().partition(|entry| self.module.is_head(&entry.path));
        let skip = match self.options.head {
            HeadLoading::Strict => false,
            HeadLoading::Replace => !heads.iter().all(|head| self.fits(head)),
            HeadLoading::Skip => true,
        };
        let skipped = if skip { heads.as_slice() } else { &[] };
        for key in skipped.iter().flat_map(|head| head.published.keys()) {
            let in_file = self.fit.in_file(key).filter(|key| self.left.remove(key));
            self.report.unused.extend(in_file.cloned());
            self.report.fresh_head.push(key.clone());
        }
        let loaded = if skip { others } else { entries.iter().collect() };
        for entry in loaded {
            self.find(entry);
        }
        let (declared, unused) = std::mem::take(&mut self.left)
            .into_iter()
            .cloned()
            .partition::<Vec<String>, _>(|key| self.may_be_unused(key));
        self.report.unused.extend(declared);
        if self.missing.is_empty() && self.mismatched.is_empty() && unused.is_empty() {
            Ok((self.plans, self.report))
        } else {
            let (missing, reshaped) = (self.missing, self.mismatched);
            Err(Error::Keys { origin: self.report.origin, missing, unused, reshaped })
        }
    }

    /// Whether the file has the whole parameter, in its shape up to axes of length 1.
    fn fits(&self, entry: &Entry) -> bool {
        let shape = entry.published.shape(&entry.shape);
        entry.published.keys().iter().all(|key| {
            let stored = self.fit.in_file(key).and_then(|key| self.table.get(key));
            stored.is_some_and(|stored| same_up_to_ones(&stored.shape, &shape))
        })
    }

    /// Finds the parts of one parameter.
    fn find(&mut self, entry: &'a Entry) {
        let expected = entry.published.shape(&entry.shape);
        let mut plan = Plan { entry, keys: Vec::new(), resampled: None };
        let mut lacking = Vec::new();
        for key in entry.published.keys() {
            if let Some(counter) = counter_of(key)
                && self.fit.in_file(&counter).is_some_and(|counter| self.left.remove(counter))
            {
                self.report.counters.push(counter);
            }
            let Some(in_file) = self.fit.in_file(key) else {
                lacking.push(key.clone());
                continue;
            };
            let found = &self.table[in_file].shape;
            let difference =
                || ShapeMismatch { key: key.clone(), expected: expected.clone(), found: found.clone() };
            if same_up_to_ones(found, &expected) {
                self.report.reshaped.extend((*found != expected).then(difference));
            } else if let Some(tables) = self.resampling(entry, &expected, found) {
                self.report.resized.push(difference());
                plan.resampled = Some(tables);
            } else {
                self.mismatched.push(difference());
            }
            self.left.remove(in_file);
            plan.keys.push(in_file);
        }
        if lacking.is_empty() {
            self.report.loaded.extend(entry.published.keys().iter().cloned());
            self.plans.insert(&entry.path, plan);
        } else if plan.keys.is_empty() && lacking.iter().all(|key| begins(key, &self.options.allow_missing)) {
            self.report.missing.extend(lacking);
        } else {
            self.missing.extend(lacking);
        }
    }

    /// The file's table of positions and the module's, where the one may be resampled to the other.
    fn resampling(
        &self,
        entry: &Entry,
        expected: &[usize],
        found: &[usize],
    ) -> Option<(PositionTable, PositionTable)> {
        let to = self.module.position_table(&entry.path).filter(|_| self.options.resize_positions)?;
        let (&[.., rows, width], &[.., _, expected_width]) = (found, expected) else { return None };
        let leading =
            found.len() == expected.len() && found[..found.len() - 2] == expected[..found.len() - 2];
        let patches = rows.checked_sub(to.extra_tokens)?;
        let side = patches.isqrt();
        let square = side > 0 && side * side == patches;
        let whole = entry.published.keys().len() == 1 && !entry.transposed;
        (leading && square && whole && width == expected_width)
            .then_some((PositionTable { grid: [side, side], ..to }, to))
    }

    fn may_be_unused(&self, key: &str) -> bool {
        let fit = self.fit;
        let Some(inside) = key.strip_prefix(fit.prefix.as_str()) else {
            return self.options.prefix.is_some() || begins(key, &self.options.allow_unused);
        };
        let heads =
            [self.module.published_head(fit.naming), self.module.published_distillation_head(fit.naming)];
        let of_head = |head: &&str| inside.strip_prefix(*head).is_some_and(|rest| rest.starts_with('.'));
        [key, inside].iter().any(|key| {
            begins(key, &self.options.allow_unused) || begins(key, self.module.left_out(fit.naming))
        }) || (self.options.head != HeadLoading::Strict && heads.iter().any(of_head))
    }
}

fn begins(key: &str, beginnings: &[impl AsRef<str>]) -> bool {
    beginnings.iter().any(|beginning| key.starts_with(beginning.as_ref()))
}

/// Whether two shapes of other ranks differ only in axes of length 1.
fn same_up_to_ones(one: &[usize], other: &[usize]) -> bool {
    let long = |shape: &[usize]| shape.iter().copied().filter(|&length| length != 1).collect::<Vec<_>>();
    one == other || (one.len() != other.len() && long(one) == long(other))
}

/// The values of one parameter as the module keeps them.
fn values(plan: &Plan<'_>, table: &Table<'_>, origin: &str) -> Result<Vec<f32>, Error> {
    let entry = plan.entry;
    let mut floats = Vec::with_capacity(entry.shape.iter().product());
    for &key in &plan.keys {
        floats.append(&mut floats_of(key, &table[key], origin)?);
    }
    if let Some((from, to)) = &plan.resampled {
        let width = floats.len() / from.rows();
        floats = resample_positions(&floats, width, from, to.grid);
    }
    if entry.transposed {
        floats = transpose(&floats, entry.shape[0], entry.shape[1]);
    }
    Ok(floats)
}

/// A file tensor as f32.
fn floats_of(key: &str, stored: &Stored<'_>, origin: &str) -> Result<Vec<f32>, Error> {
    let dtype = match stored.dtype {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        other => {
            let dtype = format!("{other:?}");
            return Err(Error::Dtype { origin: origin.to_owned(), key: key.to_owned(), dtype });
        }
    };
    let bytes = stored.bytes(origin)?.into_owned();
    let data = TensorData::try_from_bytes_vec(bytes, stored.shape.clone(), dtype).map_err(|error| {
        Error::NotSafetensors { origin: origin.to_owned(), reason: format!("`{key}`: {error}") }
    })?;
    let values: Vec<f32> = data.iter::<f32>().collect();
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(values),
        Some(index) => {
            let (origin, key, value) = (origin.to_owned(), key.to_owned(), values[index]);
            Err(Error::NotFinite { origin, key, index, value })
        }
    }
}
