"""Exported networks in ONNX Runtime against the logits that the crate computed for the same numbers.

    DERM_ONNX_DIR=DIR cargo test --test equal_outputs -- --ignored && python tests/equal_in_onnxruntime.py DIR
"""
import json
import pathlib
import sys

import numpy
import onnxruntime

for described in sorted(pathlib.Path(sys.argv[1]).glob("*.json")):
    case = json.loads(described.read_text())
    session = onnxruntime.InferenceSession(described.with_suffix(".onnx"), providers=["CPUExecutionProvider"])
    values = [numpy.array(values, dtype=numpy.float32).reshape(shape) for shape, values in case["inputs"]]
    (got,) = session.run(None, {given.name: value for given, value in zip(session.get_inputs(), values)})
    expected = numpy.array(case["expected"], dtype=numpy.float32).reshape(got.shape)
    difference = float(numpy.abs(got - expected).max())
    print(f"{case['name']}: {difference:.1e}")
    assert numpy.all(numpy.abs(got - expected) <= 1e-4 * (1 + numpy.abs(expected))), case["name"]
