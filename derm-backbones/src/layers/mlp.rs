use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use super::Activation;

/// A transformer's two linear layers: `W₂ · dropout(f(W₁ x))`, dropout after it too.
#[derive(Module, Debug)]
pub(crate) struct Mlp {
    fc1: Linear,
    fc2: Linear,
    hidden_dropout: Dropout,
    dropout: Dropout,
    #[module(skip)]
    activation: Activation,
}

impl Mlp {
    pub(crate) fn new(
        width: usize,
        hidden: usize,
        activation: Activation,
        dropout: f64,
        device: &Device,
    ) -> Self {
        Self {
            fc1: LinearConfig::new(width, hidden).init(device),
            fc2: LinearConfig::new(hidden, width).init(device),
            hidden_dropout: DropoutConfig::new(dropout).init(),
            dropout: DropoutConfig::new(dropout).init(),
            activation,
        }
    }

    /// With dropout behind the second layer only.
    pub(crate) fn without_hidden_dropout(self) -> Self {
        Self { hidden_dropout: DropoutConfig::new(0.0).init(), ..self }
    }

    /// [B, T, D] → [B, T, D].
    pub(crate) fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let hidden = self.hidden_dropout.forward(self.activation.apply(self.fc1.forward(tokens)));
        self.dropout.forward(self.fc2.forward(hidden))
    }

    /// Multiply-accumulates for `tokens` tokens.
    pub(crate) fn macs(&self, tokens: usize) -> u64 {
        let [width, hidden] = self.fc1.weight.lazy_shape().dims();
        2 * (tokens * width * hidden) as u64
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution, Tensor};

    use super::Mlp;
    use crate::layers::Activation;

    /// One network twice.
    const F32_NOISE: f64 = 1e-5;

    /// Without hidden dropout every output is dropped or doubled; with it, the hidden values change too.
    #[test]
    fn hidden_values_are_dropped_unless_asked_not_to() {
        let device = Device::default();
        device.seed(3);
        let mlp = Mlp::new(8, 16, Activation::Gelu, 0.5, &device);
        let tokens = Tensor::<3>::random([4, 5, 8], Distribution::Normal(0.0, 1.0), &device);
        let host = |tokens: Tensor<3>| tokens.into_data().iter::<f64>().collect::<Vec<_>>();
        let plain = host(mlp.forward(tokens.clone()));
        let dropped_or_doubled = |mlp: &Mlp| {
            let trained = host(mlp.forward(tokens.clone().autodiff()));
            assert!(trained.contains(&0.0) && trained.iter().any(|got| *got != 0.0));
            plain.iter().zip(trained).all(|(plain, got)| got == 0.0 || (got - 2.0 * plain).abs() < F32_NOISE)
        };
        assert!(!dropped_or_doubled(&mlp));
        assert!(dropped_or_doubled(&mlp.without_hidden_dropout()));
    }
}
