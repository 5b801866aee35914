"""Times the passes of benches/forward.rs in torch and in ONNX Runtime: two threads, medians of repeated runs.

Needs torch, torchvision, timm, onnx, onnxscript and onnxruntime. Encoders give pooled features, as ours do.
"""

import io
import statistics
import sys
import time

import numpy as np
import onnxruntime
import timm
import torch
import torchvision

torch.set_num_threads(2)
torch.manual_seed(0)


def median(run, repeats):
    for _ in range(3):
        run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def resnet18():
    network = torchvision.models.resnet18()
    network.fc = torch.nn.Identity()
    return network


def mobilenet_v2():
    network = torchvision.models.mobilenet_v2()
    network.classifier = torch.nn.Identity()
    return network


def efficientnet_b0():
    network = torchvision.models.efficientnet_b0()
    network.classifier = torch.nn.Identity()
    return network


def deit_tiny_patch16_224():
    return timm.create_model("deit_tiny_patch16_224", num_classes=0)


def session(network, images):
    file = io.BytesIO()
    torch.onnx.export(network, (images,), file, input_names=["images"], dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    return onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])


def inference(network):
    name = network.__name__
    network = network().eval()
    for batch in (1, 8):
        images = torch.randn(batch, 3, 224, 224)
        with torch.inference_mode():
            torch_ms = median(lambda: network(images), 60 if batch == 1 else 20)
        runtime = session(network, images)
        array = np.ascontiguousarray(images.numpy())
        onnx_ms = median(lambda: runtime.run(None, {"images": array}), 60 if batch == 1 else 20)
        print(f"{name}/batch {batch}: torch {torch_ms:.1f} ms, ONNX Runtime {onnx_ms:.1f} ms", flush=True)


def training_step():
    network = resnet18().train()
    images = torch.randn(8, 3, 224, 224)

    def step():
        network.zero_grad()
        network(images).square().mean().backward()

    print(f"resnet18 training step/batch 8: torch {median(step, 10):.1f} ms", flush=True)


print(
    f"torch {torch.__version__}, torchvision {torchvision.__version__}, timm {timm.__version__}, "
    f"ONNX Runtime {onnxruntime.__version__}, Python {sys.version.split()[0]}, 2 threads"
)
for network in (resnet18, mobilenet_v2, efficientnet_b0, deit_tiny_patch16_224):
    inference(network)
training_step()
