"""The cases, by kind of operator. The order of these imports is the order in the file."""

from . import convolution, normalisation, products, recurrent, elementwise, activations, reductions  # noqa: I001
from .building import BUILDERS, OLDEST_OPSET, OWN_OPSETS, Case, Version

__all__ = ["BUILDERS", "OLDEST_OPSET", "OWN_OPSETS", "Case", "Version"]
