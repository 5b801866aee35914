"""Writes the small checkpoints of tests/checkpoints/ with torch: one tiny ResNet in every container that the loader
reads, and files that it must refuse. Nothing here is trained.

    python make_checkpoints.py FOLDER [--resnet18]

With --resnet18 the folder also gets a ResNet-18 of torchvision as resnet18.pth (45 MB, for DERM_WEIGHTS_DIR) and the
logits that torchvision gives for it as resnet18.json.
"""

import argparse
import collections
import json
import os
import pickle
import zipfile
from pathlib import Path

import torch


class Block(torch.nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(outputs)
        self.conv2 = torch.nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = torch.nn.BatchNorm2d(outputs)
        if stride != 1 or inputs != outputs:
            self.downsample = torch.nn.Sequential(
                torch.nn.Conv2d(inputs, outputs, 1, stride, bias=False), torch.nn.BatchNorm2d(outputs)
            )


class Tiny(torch.nn.Module):
    """The keys of torchvision's ResNet with depths [1, 1] and widths [2, 3], 3 classes."""

    def __init__(self):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, 2, 7, 2, 3, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(2)
        self.layer1 = torch.nn.Sequential(Block(2, 2, 1))
        self.layer2 = torch.nn.Sequential(Block(2, 3, 2))
        self.fc = torch.nn.Linear(3, 3)


class Payload:
    """Runs a command when Python's pickle reads it."""

    def __reduce__(self):
        return os.system, ("touch /tmp/derm-pickle-was-run",)


def inject(path, target):
    """The checkpoint with a call in front of its own pickle, whose result is dropped."""
    call = b"cposix\nsystem\n(Vtouch /tmp/derm-pickle-was-run\ntR0"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as out:
        for entry in source.infolist():
            data = source.read(entry)
            if entry.filename.endswith("data.pkl"):
                data = data[:2] + call + data[2:]
            out.writestr(entry.filename, data)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--resnet18", action="store_true")
    arguments = parser.parse_args()
    folder = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(1)
    tiny = Tiny()
    for name, buffer in tiny.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_()
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
    optimizer = torch.optim.SGD(tiny.parameters(), lr=0.1, momentum=0.9)
    sum(parameter.sum() for parameter in tiny.parameters()).backward()
    optimizer.step()
    weights = tiny.state_dict()
    wrapped = collections.OrderedDict((f"module.{key}", value) for key, value in weights.items())
    cast = lambda dtype: {k: v.to(dtype) if v.is_floating_point() else v for k, v in weights.items()}

    torch.save(weights, folder / "zip.pth")
    torch.save(weights, folder / "legacy.pth", _use_new_zipfile_serialization=False)
    training = {
        "epoch": 3,
        "arch": "tiny",
        "args": argparse.Namespace(lr=0.1),
        "state_dict": wrapped,
        "optimizer": optimizer.state_dict(),
        "best": torch.tensor(0.5),
    }
    torch.save(training, folder / "training.pth")
    torch.save({"net": weights}, folder / "net_legacy.pth", _use_new_zipfile_serialization=False)
    torch.save({"model": weights, "model_ema": cast(torch.float64)}, folder / "ema.pth")
    torch.save(cast(torch.float16), folder / "f16.pth")
    torch.save(cast(torch.bfloat16), folder / "bf16.pth")
    # parameters, not tensors; a transposed view; two tensors in one storage
    views = dict(weights)
    views["conv1.weight"] = torch.nn.Parameter(weights["conv1.weight"])
    views["fc.weight"] = weights["fc.weight"].T.contiguous().T
    both = torch.cat([weights["bn1.weight"], weights["bn1.bias"]])
    views["bn1.weight"], views["bn1.bias"] = both[:2], both[2:]
    torch.save(views, folder / "views.pth")
    # code: where a value would be, in front of everything, in a legacy file, and a whole module
    torch.save({**weights, "note": Payload()}, folder / "code.pth")
    note = {"note": Payload()}
    torch.save(note, folder / "code_legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(note, folder / "code_protocol4.pth", pickle_protocol=4)
    inject(folder / "zip.pth", folder / "code_injected.pth")
    torch.save(tiny, folder / "module.pth")
    with open(folder / "plain.pkl", "wb") as file:
        pickle.dump({"learning_rate": 0.1}, file)
    values = {key: value.flatten().tolist() for key, value in weights.items() if value.is_floating_point()}
    (folder / "values.json").write_text(json.dumps(values))

    if arguments.resnet18:
        import torchvision

        torch.manual_seed(2)
        network = torchvision.models.resnet18().eval()
        torch.save(network.state_dict(), folder / "resnet18.pth")
        image = torch.arange(3 * 64 * 64, dtype=torch.float32).reshape(1, 3, 64, 64)
        image = (image * 0.37).sin()
        with torch.no_grad():
            logits = network(image)[0].tolist()
        (folder / "resnet18.json").write_text(json.dumps(logits))


if __name__ == "__main__":
    main()
