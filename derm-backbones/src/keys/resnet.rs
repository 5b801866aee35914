use super::{Naming, Published, PublishedKeys};
use crate::{ResNet, Stem};

/// torchvision's names, which are timm's too; with the 3×3 stem `MedMNIST`'s, which differ in the shortcut and the
/// head.
impl PublishedKeys for ResNet {
    fn namings(&self) -> &'static [Naming] {
        match self.stem() {
            Stem::Conv7x7 => &[Naming::Torchvision],
            Stem::Conv3x3 => &[Naming::MedMnist],
        }
    }

    fn published(&self, path: &str, naming: Naming) -> Published {
        let shortcut = if naming == Naming::MedMnist { "shortcut" } else { "downsample" };
        let mut key = Vec::new();
        let mut segments = path.split('.').peekable();
        while let Some(segment) = segments.next() {
            match (segment, segments.peek().copied()) {
                ("stages", Some(stage)) => {
                    let stage = stage.parse::<usize>().map_or(0, |stage| stage + 1);
                    segments.next();
                    key.push(format!("layer{stage}"));
                }
                ("blocks", _) => {}
                ("downsample", Some(part)) => {
                    segments.next();
                    key.push(shortcut.to_owned());
                    key.push(if part == "conv" { "0" } else { "1" }.to_owned());
                }
                (conv, Some("conv")) => {
                    segments.next();
                    key.push(conv.to_owned());
                }
                (conv, Some("norm")) => {
                    segments.next();
                    key.push(conv.replacen("conv", "bn", 1));
                }
                (other, _) => key.push(other.to_owned()),
            }
        }
        Published::key(key.join("."))
    }

    fn published_head(&self, naming: Naming) -> &'static str {
        if naming == Naming::MedMnist { "linear" } else { "fc" }
    }
}
