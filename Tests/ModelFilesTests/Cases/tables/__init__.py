"""The cases, by kind of operator. The order of these imports is the order in the file."""

from . import convolution  # noqa: I001
from . import normalisation
from . import products
from . import recurrent
from . import elementwise
from . import activations
from . import reductions
from . import shapes
from . import indexing
from . import resampling
from . import quantisation
from . import control
from . import pieces
from .building import BUILDERS, OLDEST_OPSET, OWN_OPSETS, Case, Version

__all__ = ["BUILDERS", "OLDEST_OPSET", "OWN_OPSETS", "Case", "Version"]
