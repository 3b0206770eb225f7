"""The cases, by kind of operator. The order of these imports is the order in the file."""

from . import (  # noqa: I001
    convolution, normalisation, products, recurrent, elementwise, activations, reductions, shapes, indexing, resampling,
)  # fmt: skip
from .building import BUILDERS, OLDEST_OPSET, OWN_OPSETS, Case, Version

__all__ = ["BUILDERS", "OLDEST_OPSET", "OWN_OPSETS", "Case", "Version"]
