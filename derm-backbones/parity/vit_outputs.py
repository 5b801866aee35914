"""Reference values of small vision transformers: tests/transformers/outputs.json.

timm, torchvision and transformers run with the parity kit's deterministic weights (an integer hash of the published
keys) in float64. Every checkpoint is loaded strictly under its published names, so that the names are checked too.

    python vit_outputs.py ../tests/transformers/outputs.json

Needs torch, torchvision, timm, transformers and safetensors.
"""

import json
import math
import pathlib
import sys
import tempfile

import numpy as np
import timm
import torch
import torchvision
import transformers
from safetensors.torch import save_file
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import VisionTransformer

SEED = 1
OFFSET_WIDTH = 0.2
EMBEDDINGS = ("cls_token", "class_token", "dist_token", "pos_embed", "pos_embedding", "position_embeddings",
              "position_embeddings.weight", "position_embedding.weight", "probe")


def uniform(key, count):
    h = 0xCBF29CE484222325
    for byte in key.encode():
        h = ((h ^ byte) * 0x100000001B3) % 2**64
    with np.errstate(over="ignore"):
        i = np.arange(1, count + 1, dtype=np.uint64)
        x = np.uint64((SEED + h) % 2**64) + i * np.uint64(0x9E3779B97F4A7C15)
        x ^= x >> np.uint64(30)
        x *= np.uint64(0xBF58476D1CE4E5B9)
        x ^= x >> np.uint64(27)
        x *= np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return (x >> np.uint64(40)).astype(np.float64) / 2**24 - 0.5


def weights(key, shape):
    u = uniform(key, math.prod(shape))
    if key.endswith(EMBEDDINGS):
        values = 0.2 * u
    elif len(shape) <= 1:
        values = 1.0 + 0.2 * u if key.endswith("weight") else OFFSET_WIDTH * u
    else:
        values = u * (2.0 * math.sqrt(3.0 / math.prod(shape[1:])))
    return torch.tensor(values.astype(np.float32).reshape(shape))


def images(height, width):
    values = (uniform("input", 2 * 3 * height * width) * 2.0 * 1.5).astype(np.float32)
    return torch.tensor(values.reshape(2, 3, height, width)).double()


def filled(model):
    """timm and torchvision hold their published names in memory."""
    keys = [(key, list(value.shape)) for key, value in model.state_dict().items()]
    model.load_state_dict({key: weights(key, shape) for key, shape in keys}, strict=True)
    return model.double().eval(), keys


def loaded(architecture, config, keys):
    """transformers renames what it reads, so its published names go through a file."""
    with tempfile.TemporaryDirectory() as folder:
        config.architectures = [architecture.__name__]
        config.save_pretrained(folder)
        tensors = {key: weights(key, shape) for key, shape in keys}
        save_file(tensors, f"{folder}/model.safetensors", metadata={"format": "pt"})
        model, info = architecture.from_pretrained(
            folder, output_loading_info=True, attn_implementation="eager", dtype=torch.float32)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    return model.double().eval()


def huggingface_keys(prefix, extra_tokens, tail):
    width, hidden, patches = 48, 96, 16
    keys = [(f"{prefix}embeddings.cls_token", [1, 1, width])]
    if extra_tokens == 2:
        keys.append((f"{prefix}embeddings.distillation_token", [1, 1, width]))
    keys += [
        (f"{prefix}embeddings.position_embeddings", [1, patches + extra_tokens, width]),
        (f"{prefix}embeddings.patch_embeddings.projection.weight", [width, 3, 8, 8]),
        (f"{prefix}embeddings.patch_embeddings.projection.bias", [width]),
    ]
    for layer in range(2):
        start = f"{prefix}encoder.layer.{layer}"
        linear = [(f"attention.attention.{part}", width, width) for part in ("query", "key", "value")]
        linear += [("attention.output.dense", width, width), ("intermediate.dense", hidden, width),
                   ("output.dense", width, hidden)]
        for name, out, inside in linear:
            keys += [(f"{start}.{name}.weight", [out, inside]), (f"{start}.{name}.bias", [out])]
        for name in ("layernorm_before", "layernorm_after"):
            keys += [(f"{start}.{name}.weight", [width]), (f"{start}.{name}.bias", [width])]
    keys += [(f"{prefix}layernorm.weight", [width]), (f"{prefix}layernorm.bias", [width])]
    for name, out in tail:
        keys += [(f"{name}.weight", [out, width]), (f"{name}.bias", [out])]
    return keys


def huggingface_config(kind, **more):
    return kind(hidden_size=48, num_hidden_layers=2, num_attention_heads=3, intermediate_size=96, image_size=32,
                patch_size=8, **more)


def timm_vit(kind, size):
    torch.manual_seed(0)
    model = kind(img_size=32, patch_size=8, embed_dim=48, depth=2, num_heads=3, mlp_ratio=2, num_classes=5,
                 dynamic_img_size=True)
    model, keys = filled(model)
    x = model.forward_features(images(*size))
    outputs = {"pooled": x[:, 0], "logits": model(images(*size))}
    if kind is VisionTransformerDistilled:
        outputs |= {"distillation": x[:, 1], "class_logits": model.head(x[:, 0]),
                    "distillation_logits": model.head_dist(x[:, 1])}
    return keys, outputs


def torchvision_vit(size):
    model = torchvision.models.VisionTransformer(
        image_size=32, patch_size=8, num_layers=2, num_heads=3, hidden_dim=48, mlp_dim=96, num_classes=5)
    model, keys = filled(model)
    return keys, {"logits": model(images(*size))}


def huggingface_pooler(size):
    keys = huggingface_keys("", 1, [("pooler.dense", 48)])
    config = huggingface_config(transformers.ViTConfig)
    output = loaded(transformers.ViTModel, config, keys)(images(*size), output_attentions=True)
    # what the class token takes from the patches in the last block, by head
    return keys, {"pooled": output.pooler_output, "spatial_attention": output.attentions[-1][:, :, 0, 1:]}


def huggingface_classifier(size):
    keys = huggingface_keys("vit.", 1, [("classifier", 5)])
    config = huggingface_config(transformers.ViTConfig, num_labels=5)
    return keys, {"logits": loaded(transformers.ViTForImageClassification, config, keys)(images(*size)).logits}


def huggingface_distilled(size):
    keys = huggingface_keys("deit.", 2, [("cls_classifier", 5), ("distillation_classifier", 5)])
    config = huggingface_config(transformers.DeiTConfig, num_labels=5)
    output = loaded(transformers.DeiTForImageClassificationWithTeacher, config, keys)(images(*size))
    return keys, {"logits": output.logits, "class_logits": output.cls_logits,
                  "distillation_logits": output.distillation_logits}


def siglip(size):
    width, hidden = 48, 96
    prefix = "vision_model."
    keys = [("embeddings.patch_embedding.weight", [width, 3, 8, 8]), ("embeddings.patch_embedding.bias", [width]),
            ("embeddings.position_embedding.weight", [16, width])]
    norms = ["post_layernorm", "head.layernorm"]
    linear = [("head.mlp.fc1", hidden, width), ("head.mlp.fc2", width, hidden),
              ("head.attention.out_proj", width, width)]
    for layer in range(2):
        start = f"encoder.layers.{layer}"
        norms += [f"{start}.layer_norm1", f"{start}.layer_norm2"]
        linear += [(f"{start}.self_attn.{part}", width, width) for part in ("q_proj", "k_proj", "v_proj", "out_proj")]
        linear += [(f"{start}.mlp.fc1", hidden, width), (f"{start}.mlp.fc2", width, hidden)]
    for name in norms:
        keys += [(f"{name}.weight", [width]), (f"{name}.bias", [width])]
    for name, out, inside in linear:
        keys += [(f"{name}.weight", [out, inside]), (f"{name}.bias", [out])]
    keys += [("head.probe", [1, 1, width]), ("head.attention.in_proj_weight", [3 * width, width]),
             ("head.attention.in_proj_bias", [3 * width])]
    keys = [(prefix + key, shape) for key, shape in keys]
    model = loaded(transformers.SiglipVisionModel, huggingface_config(transformers.SiglipVisionConfig), keys)
    square = size[0] == size[1] == 32
    output = model(images(*size), interpolate_pos_encoding=not square)
    head = getattr(model, "vision_model", model).head
    tokens = output.last_hidden_state
    probe = head.probe.repeat(tokens.shape[0], 1, 1)
    attention = head.attention(probe, tokens, tokens, average_attn_weights=False)[1]
    return keys, {"pooled": output.pooler_output, "spatial_attention": attention[:, :, 0]}


def main():
    cases = []
    runs = [
        ("vit", "class_token", "timm", lambda size: timm_vit(VisionTransformer, size), [(32, 32), (48, 24)]),
        ("vit", "distilled", "timm", lambda size: timm_vit(VisionTransformerDistilled, size), [(32, 32), (24, 40)]),
        ("vit", "class_token", "torchvision", torchvision_vit, [(32, 32)]),
        ("vit", "class_token", "hugging_face", huggingface_classifier, [(32, 32)]),
        ("vit", "distilled", "hugging_face", huggingface_distilled, [(32, 32)]),
        ("vit", "pooler", "hugging_face", huggingface_pooler, [(32, 32)]),
        ("siglip", None, "hugging_face", siglip, [(32, 32), (40, 24)]),
    ]
    for network, pooling, naming, run, sizes in runs:
        for size in sizes:
            with torch.no_grad():
                keys, outputs = run(size)
            case = {"network": network, "pooling": pooling, "naming": naming, "image": list(size), "keys": keys}
            case["outputs"] = {name: [float(f"{x:.9g}") for x in value.flatten().tolist()]
                               for name, value in outputs.items()}
            cases.append(case)
            print(network, pooling, naming, size, {name: list(value.shape) for name, value in outputs.items()})
    versions = {m.__name__: m.__version__ for m in (torch, torchvision, timm, transformers)}
    text = json.dumps({"seed": SEED, "offset_width": OFFSET_WIDTH, "versions": versions, "cases": cases})
    path = pathlib.Path(sys.argv[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.replace('{"network"', '\n{"network"') + "\n")


if __name__ == "__main__":
    main()
