"""Values of Python and arrays as values of JSON, and back to the last bit."""

from base64 import b64decode, b64encode
from typing import Any

import numpy as np


def pack(value: object) -> Any:
    """Give what JSON holds in place of a value.

    Parameters
    ----------
    value : object
        Numbers, texts, arrays, and mappings, tuples and lists of these, however nested.
    """
    if isinstance(value, np.ndarray):
        whole = np.ascontiguousarray(value)
        return {"array": [value.dtype.str, value.shape, b64encode(whole.data).decode()]}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {"pairs": [[pack(key), pack(own)] for key, own in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [*map(pack, value)]}
    return [*map(pack, value)] if isinstance(value, list) else value


def unpack(packed: Any) -> Any:
    """Give the value that :func:`pack` was given."""
    if isinstance(packed, list):
        return [*map(unpack, packed)]
    if not isinstance(packed, dict):
        return packed
    ((kind, content),) = packed.items()
    if kind == "array":
        dtype, shape, text = content
        return np.frombuffer(b64decode(text), dtype).reshape(shape).copy()
    if kind == "pairs":
        return {unpack(key): unpack(own) for key, own in content}
    return tuple(map(unpack, content))
