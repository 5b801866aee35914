use std::fs;
use std::path::Path;
use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use derm_backbones::{Classifier, ClassifierInput, CountMacs, Macs, ParameterCount, Tokens};
use derm_core::{Backbone, FileError, Taps};
use serde::Serialize;

use crate::Error;
use crate::peak_memory::peak_process_memory;
use crate::recipe::check::check;

/// How latency is taken.
///
/// | field | default | range |
/// |---|---|---|
/// | `batch_sizes` | 1 and 32 | each at least 1 |
/// | `warmup` | 5 | passes that are not counted |
/// | `repeats` | 50 | passes that are, 2 to 1000000 |
/// | `text_tokens` | 32 | at least 1; no more than the text encoder has positions are taken |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EfficiencyConfig {
    /// Images a pass.
    pub batch_sizes: Vec<usize>,
    /// Passes before the clock is read.
    pub warmup: usize,
    /// Passes that are timed.
    pub repeats: usize,
    /// Tokens of the text beside each image, where the model reads texts.
    pub text_tokens: usize,
}

impl Default for EfficiencyConfig {
    fn default() -> Self {
        Self { batch_sizes: vec![1, 32], warmup: 5, repeats: 50, text_tokens: 32 }
    }
}

/// The machine that something was measured on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// Model of the processor; `None` where the system does not tell.
    pub cpu: Option<String>,
    /// Threads that may run at once; `None` where the system does not tell.
    pub threads: Option<usize>,
    /// The device that the network ran on.
    pub device: String,
}

impl Machine {
    /// This machine with `device`.
    pub fn here(device: &Device) -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let threads = std::thread::available_parallelism().ok().map(usize::from);
        Self { cpu: cpu_model(&info), threads, device: format!("{device:?}") }
    }
}

/// The first processor's model in the text of `/proc/cpuinfo`.
fn cpu_model(info: &str) -> Option<String> {
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    let (_, name) = line.split_once(':')?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// What a model costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Efficiency {
    /// Where it was measured.
    pub machine: Machine,
    /// Parameters of the network as it was trained.
    pub parameters: usize,
    /// Running statistics beside them.
    pub buffers: usize,
    /// Multiply-accumulate operations of convolutions and linear layers for one image, and the text beside it where the
    /// model reads one.
    pub macs_conv_and_linear: u64,
    /// Those of the products of attention.
    pub macs_attention: u64,
    /// Bytes of the weights' file.
    pub weights_bytes: u64,
    /// Bytes of the whole bundle.
    pub bundle_bytes: u64,
    /// The largest resident memory of this process so far, in bytes, with everything that it had loaded by then;
    /// `None` where the system does not tell (`VmHWM` of Linux).
    pub peak_memory_bytes: Option<u64>,
    /// Latency at each batch size.
    pub latency: Vec<Latency>,
}

/// Wall-clock time of a forward pass of standardised images from host memory to logits in host memory: the transfers are
/// counted, decoding and resizing are not.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// Images a pass.
    pub batch_size: usize,
    /// Passes that were timed.
    pub repeats: usize,
    /// Mean in milliseconds.
    pub mean_ms: f64,
    /// Standard deviation in milliseconds, n − 1 in the denominator.
    pub std_ms: f64,
    /// Median in milliseconds.
    pub p50_ms: f64,
    /// 90th percentile in milliseconds.
    pub p90_ms: f64,
    /// 99th percentile in milliseconds; of fewer than 100 passes it is close to the slowest.
    pub p99_ms: f64,
    /// `batch_size / mean`, in images per second.
    pub images_per_second: f64,
}

impl Latency {
    /// The summary of times in seconds; percentiles are interpolated linearly at `(n − 1) q`, as numpy's.
    ///
    /// # Errors
    /// [`Error::Value`] for fewer than two times, or one that is no positive number.
    pub fn new(batch_size: usize, seconds: &[f64]) -> Result<Self, Error> {
        check("latency.repeats", &seconds.len(), "2 or more", |count| *count >= 2)?;
        let positive = |&time: &f64| time.is_finite() && time > 0.0;
        let text = format!("{seconds:?}");
        check("latency.seconds", &text, "positive numbers", |_| seconds.iter().all(positive))?;
        let count = seconds.len() as f64;
        let mean = seconds.iter().sum::<f64>() / count;
        let variance = seconds.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
        let mut sorted = seconds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let quantile = |q: f64| {
            let place = (count - 1.0) * q;
            let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
            1e3 * (below + (above - below) * place.fract())
        };
        Ok(Self {
            batch_size,
            repeats: seconds.len(),
            mean_ms: 1e3 * mean,
            std_ms: 1e3 * variance.sqrt(),
            p50_ms: quantile(0.5),
            p90_ms: quantile(0.9),
            p99_ms: quantile(0.99),
            images_per_second: batch_size as f64 / mean,
        })
    }
}

impl Efficiency {
    /// Measures a network in its inference form (`model`, on `device`), which lies in the bundle at `folder`.
    /// `parameters` are those of its trained form and `image_size` is the side of its square image.
    ///
    /// # Errors
    /// [`Error::Value`] for impossible settings, [`Error::File`] where the bundle cannot be read.
    pub fn measure<B: Backbone + CountMacs>(
        model: &Classifier<B>,
        parameters: ParameterCount,
        image_size: usize,
        folder: &Path,
        config: &EfficiencyConfig,
        device: &Device,
    ) -> Result<Self, Error> {
        check("latency.repeats", &config.repeats, "2 to 1000000", |count| (2..=1_000_000).contains(count))?;
        let sizes = format!("{:?}", config.batch_sizes);
        check("latency.batch_sizes", &sizes, "each at least 1", |_| {
            !config.batch_sizes.is_empty() && config.batch_sizes.iter().all(|&size| size >= 1)
        })?;
        check("latency.text_tokens", &config.text_tokens, "1 or more", |count| *count >= 1)?;
        let text_tokens = model.text().map(|text| config.text_tokens.min(text.config().positions));
        let Macs { conv_and_linear, attention } =
            model.macs([image_size; 2], text_tokens.unwrap_or_default());
        let mut latency = Vec::new();
        for &batch_size in &config.batch_sizes {
            let pass = ForwardPass { model, batch_size, image_size, text_tokens, device };
            for _ in 0..config.warmup {
                pass.seconds();
            }
            let seconds: Vec<f64> = (0..config.repeats).map(|_| pass.seconds()).collect();
            latency.push(Latency::new(batch_size, &seconds)?);
        }
        Ok(Self {
            machine: Machine::here(device),
            parameters: parameters.trainable,
            buffers: parameters.buffers,
            macs_conv_and_linear: conv_and_linear,
            macs_attention: attention,
            weights_bytes: file_bytes(&folder.join("model.safetensors"))?,
            bundle_bytes: folder_bytes(folder)?,
            peak_memory_bytes: peak_process_memory(),
            latency,
        })
    }
}

struct ForwardPass<'a, B: Backbone> {
    model: &'a Classifier<B>,
    batch_size: usize,
    image_size: usize,
    text_tokens: Option<usize>,
    device: &'a Device,
}

impl<B: Backbone> ForwardPass<'_, B> {
    /// One pass with made images, whose values are spread as standardised pixels are.
    fn seconds(&self) -> f64 {
        let (batch, size) = (self.batch_size, self.image_size);
        let values: Vec<f32> =
            (0..batch * 3 * size * size).map(|at| ((at % 257) as f32) / 64.0 - 2.0).collect();
        let answers = self.model.num_answers().map(|width| vec![0.0_f32; batch * width]);
        let start = Instant::now();
        let images = Tensor::from_data(TensorData::new(values, [batch, 3, size, size]), self.device);
        let answers = answers.map(|values| {
            let width = values.len() / batch;
            Tensor::from_data(TensorData::new(values, [batch, width]), self.device)
        });
        let text = self.text_tokens.map(|length| Tokens::new(Tensor::zeros([batch, length], self.device)));
        // Reading the logits waits for the device.
        let input = ClassifierInput { images, answers, text };
        let logits = self.model.forward_input(input, &Taps::none()).logits.into_data();
        let seconds = start.elapsed().as_secs_f64();
        std::hint::black_box(logits);
        // A clock that did not move has measured less than its step.
        seconds.max(1e-9)
    }
}

fn file_bytes(path: &Path) -> Result<u64, Error> {
    Ok(fs::metadata(path).map_err(FileError::at(path, "read"))?.len())
}

fn folder_bytes(folder: &Path) -> Result<u64, Error> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).map_err(FileError::at(folder, "read"))? {
        let path = entry.map_err(FileError::at(folder, "read"))?.path();
        bytes += if path.is_dir() { folder_bytes(&path)? } else { file_bytes(&path)? };
    }
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Sums of a few numbers in milliseconds.
    const ROUNDING: f64 = 1e-9;

    #[test]
    fn the_processor_is_read_as_the_system_writes_it() {
        let info = "processor\t: 0\nmodel name\t: A Processor @ 2.0GHz\nflags\t: fpu\n";
        assert_eq!(cpu_model(info).as_deref(), Some("A Processor @ 2.0GHz"));
        assert_eq!(cpu_model("processor\t: 0\n"), None);
    }

    #[test]
    fn the_percentiles_are_numpys() {
        // numpy.percentile([1, 2, 3, 4, 10], [50, 90, 99]) is [3, 7.6, 9.76]; std with ddof=1 is 3.5355.
        let latency = Latency::new(32, &[0.003, 0.001, 0.010, 0.004, 0.002]).unwrap();
        for (got, expected) in [
            (latency.mean_ms, 4.0),
            (latency.std_ms, 12.5_f64.sqrt()),
            (latency.p50_ms, 3.0),
            (latency.p90_ms, 7.6),
            (latency.p99_ms, 9.76),
            (latency.images_per_second, 8000.0),
        ] {
            assert!((got - expected).abs() < ROUNDING, "{got} and {expected}");
        }
        assert!(Latency::new(1, &[0.1]).is_err());
        assert!(Latency::new(1, &[0.1, f64::NAN]).is_err());
        assert!(Latency::new(1, &[0.1, 0.0]).is_err());
    }
}
