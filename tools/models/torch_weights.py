"""Reads a legacy PyTorch weights file (torch.save before 1.6) into numpy arrays.

Such a file is a row of pickles (magic, protocol version, system information, the
dictionary of tensors, the list of storage keys) followed by each storage as a
64-bit element count and its little-endian elements. Only the two constructors that
a state dictionary needs are allowed, so reading one runs no foreign code.
"""

import collections
import pickle

import numpy as np

MAGIC = 119547037146038801333356
PROTOCOL = 1001
DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, size, stride, *_: (storage, offset, size, stride)
        if module == "torch" and name in DTYPES:
            return name
        raise pickle.UnpicklingError(f"{module}.{name} is not part of a state dictionary")

    def persistent_load(self, pid):
        kind, dtype, key, _device, count, view = pid
        if kind != "storage" or view is not None:
            raise pickle.UnpicklingError(f"unsupported storage {pid}")
        return key, DTYPES[dtype], count


def load(path):
    """Returns the file's tensors as {name: array}, in the file's order."""
    with open(path, "rb") as file:
        if (_Unpickler(file).load(), _Unpickler(file).load()) != (MAGIC, PROTOCOL):
            raise ValueError(f"{path} is not a legacy PyTorch weights file")
        _Unpickler(file).load()
        tensors = _Unpickler(file).load()
        dtypes = {storage[0]: storage[1] for storage, *_ in tensors.values()}
        storages = {}
        for key in _Unpickler(file).load():
            count = int.from_bytes(file.read(8), "little")
            data = file.read(count * dtypes[key].itemsize)
            storages[key] = np.frombuffer(data, dtypes[key], count)
    return {
        name: _view(storages[key], offset, size, stride)
        for name, ((key, _, _), offset, size, stride) in tensors.items()
    }


def _view(storage, offset, size, stride):
    """Makes the contiguous array of a tensor; `stride` counts elements, in any order."""
    strides = [step * storage.itemsize for step in stride]
    view = np.lib.stride_tricks.as_strided(storage[offset:], size, strides, writeable=False)
    return np.ascontiguousarray(view).reshape(size)
