"""Reads the arrays that the driver writes: safetensors files of int32, uint32 and float32."""

import json
import struct

import numpy as np

DTYPES = {"F32": np.float32, "I32": np.int32, "U32": np.uint32}


def read_arrays(path):
    """Returns (arrays by name, metadata)."""
    with open(path, "rb") as file:
        content = file.read()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    arrays = {}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        arrays[name] = np.frombuffer(content[begin:end], DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return arrays, metadata
