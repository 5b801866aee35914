use super::{Naming, Published, PublishedKeys, rewrite};
use crate::MobileVit;

/// The stages with a transformer have one inverted residual block before it.
const TIMM: &[(&str, &str)] = &[
    ("stem.norm", "stem.bn"),
    ("stages.*.residuals.*.expand.norm", "stages.*.*.conv1_1x1.bn"),
    ("stages.*.residuals.*.expand", "stages.*.*.conv1_1x1"),
    ("stages.*.residuals.*.depthwise.norm", "stages.*.*.conv2_kxk.bn"),
    ("stages.*.residuals.*.depthwise", "stages.*.*.conv2_kxk"),
    ("stages.*.residuals.*.project.norm", "stages.*.*.conv3_1x1.bn"),
    ("stages.*.residuals.*.project", "stages.*.*.conv3_1x1"),
    ("stages.*.mobile.local.norm", "stages.*.1.conv_kxk.bn"),
    ("stages.*.mobile.local", "stages.*.1.conv_kxk"),
    ("stages.*.mobile.embed", "stages.*.1.conv_1x1"),
    ("stages.*.mobile.transformer.*.attention", "stages.*.1.transformer.*.attn"),
    ("stages.*.mobile.project.norm", "stages.*.1.conv_proj.bn"),
    ("stages.*.mobile.project", "stages.*.1.conv_proj"),
    ("stages.*.mobile.fuse.norm", "stages.*.1.conv_fusion.bn"),
    ("stages.*.mobile.fuse", "stages.*.1.conv_fusion"),
    ("stages.*.mobile", "stages.*.1"),
    ("final_conv.norm", "final_conv.bn"),
];

/// timm's names.
impl PublishedKeys for MobileVit {
    fn namings(&self) -> &'static [Naming] {
        &[Naming::Timm]
    }

    fn published(&self, path: &str, _naming: Naming) -> Published {
        Published::key(rewrite(path, TIMM))
    }

    fn published_head(&self, _naming: Naming) -> &'static str {
        "head.fc"
    }
}
