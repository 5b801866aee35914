"""Loads the networks that tests/round_trip.rs wrote with the libraries whose keys they carry, strictly, and compares
what they give.

    DERM_ROUND_TRIP_DIR=FOLDER cargo test -p derm-backbones --test round_trip -- --ignored
    python round_trip.py FOLDER
"""

import json
import sys
import tempfile
from pathlib import Path

import timm
import torch
import torchvision
import transformers
from safetensors.torch import load_file
from timm.models.convnext import checkpoint_filter_fn

# f32 sums in another order, relative to the largest output
TOLERANCE = 2e-5
NUM_CLASSES = 7
# of a layer norm in the authors' networks, timm and torchvision; transformers' own default is 1e-12
EPSILON = 1e-6
TORCHVISION = {"mobilenetv2_100": "mobilenet_v2"}

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


def strictly(network, weights):
    network.load_state_dict(weights, strict=True)
    return network.eval()


def torchvision_network(architecture):
    if architecture.startswith(("vit_tiny", "deit_tiny")):
        # no published size of torchvision's, but its class and its keys
        return torchvision.models.VisionTransformer(
            image_size=224,
            patch_size=16,
            num_layers=12,
            num_heads=3,
            hidden_dim=192,
            mlp_dim=768,
            num_classes=NUM_CLASSES,
        )
    return torchvision.models.get_model(TORCHVISION.get(architecture, architecture), num_classes=NUM_CLASSES)


def timm_network(architecture):
    name = {"vit_b_16": "vit_base_patch16_224"}.get(architecture, architecture)
    return timm.create_model(name, num_classes=NUM_CLASSES)


def from_pretrained(kind, config, path):
    """A model of transformers that reads the file as it would read a published one."""
    with tempfile.TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        (Path(folder) / "model.safetensors").symlink_to(path.resolve())
        network, info = kind.from_pretrained(folder, output_loading_info=True)
    left = {name: list(keys) for name, keys in info.items() if keys}
    if left:
        raise RuntimeError(f"{path.name}: {left}")
    return network.eval()


def hugging_face(architecture, path, image):
    """The network as a function of the input."""
    if architecture.startswith("convnextv2"):
        depths, widths = {
            "convnextv2_atto": ([2, 2, 6, 2], [40, 80, 160, 320]),
            "convnextv2_tiny": ([3, 3, 9, 3], [96, 192, 384, 768]),
        }[architecture]
        config = transformers.ConvNextV2Config(depths=depths, hidden_sizes=widths, num_labels=NUM_CLASSES)
        network = from_pretrained(transformers.ConvNextV2ForImageClassification, config, path)
        return lambda x: network(x).logits
    if architecture.startswith("siglip"):
        config = transformers.SiglipVisionConfig(
            image_size=image,
            patch_size=14,
            hidden_size=64,
            num_hidden_layers=3,
            num_attention_heads=4,
            intermediate_size=160,
        )
        network = from_pretrained(transformers.SiglipVisionModel, config, path)
        return lambda x: network(x).pooler_output
    if architecture == "vit_base_patch16_224_in21k":
        network = from_pretrained(transformers.ViTModel, transformers.ViTConfig(layer_norm_eps=EPSILON), path)
        return lambda x: network(x).pooler_output
    if architecture.startswith(("vit", "deit")):
        width, heads = (768, 12) if architecture == "vit_b_16" else (192, 3)
        sizes = dict(
            hidden_size=width, num_attention_heads=heads, intermediate_size=4 * width, num_labels=NUM_CLASSES,
            layer_norm_eps=EPSILON,
        )
        if "distilled" in architecture:
            kind, config = transformers.DeiTForImageClassificationWithTeacher, transformers.DeiTConfig(**sizes)
        else:
            kind, config = transformers.ViTForImageClassification, transformers.ViTConfig(**sizes)
        network = from_pretrained(kind, config, path)
        return lambda x: network(x).logits
    kind, config = {
        "minilm_l6_h384": (
            transformers.BertModel,
            transformers.BertConfig(
                vocab_size=30522, hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
            ),
        ),
        "bert_base_cased": (transformers.BertModel, transformers.BertConfig(vocab_size=28996)),
        "distilbert_base_uncased": (transformers.DistilBertModel, transformers.DistilBertConfig(vocab_size=30522)),
    }[architecture]
    network = from_pretrained(kind, config, path)
    return lambda x: network(x.long()).last_hidden_state.mean(dim=1)


def main():
    folder = Path(sys.argv[1])
    failed = []
    files = sorted(folder.glob("*.outputs"))
    if not files:
        raise SystemExit(f"{folder} holds no outputs")
    for outputs in files:
        architecture, naming = outputs.stem.rsplit(".", 1)
        path = outputs.with_suffix(".safetensors")
        recorded = load_file(outputs)
        x = recorded["input"]
        expected = recorded.get("logits", recorded.get("pooled"))
        if naming == "torchvision":
            networks = {"torchvision": strictly(torchvision_network(architecture), load_file(path))}
            if architecture.startswith("resnet"):
                networks["timm"] = strictly(timm_network(architecture), load_file(path))
        elif naming == "timm":
            networks = {"timm": strictly(timm_network(architecture), load_file(path))}
        elif naming == "original":
            # timm reads the authors' files through this conversion
            network = timm_network(architecture)
            networks = {"timm": strictly(network, checkpoint_filter_fn(load_file(path), network))}
        else:
            networks = {"transformers": hugging_face(architecture, path, x.shape[-1])}
        for library, network in networks.items():
            with torch.no_grad():
                got = network(x)
            scale = expected.abs().max().item()
            error = (got - expected).abs().max().item() / scale
            verdict = "ok" if got.shape == expected.shape and error <= TOLERANCE else "DIFFERS"
            print(f"{outputs.stem:55} {library:12} largest {scale:9.3g}  error {error:8.1e}  {verdict}")
            if verdict != "ok":
                failed.append(outputs.stem)
    if failed:
        raise SystemExit(json.dumps(failed))


if __name__ == "__main__":
    main()
