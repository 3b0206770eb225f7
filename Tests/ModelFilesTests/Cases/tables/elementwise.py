"""Operators that go element by element, with broadcasting, and casts."""

from collections.abc import Callable

import numpy as np
from ml_dtypes import bfloat16
from onnx import TensorProto, helper

from .building import Cases, Fixed, Version, array, constant, fixed, node, table

SIGNED = [np.int8, np.int16, np.int32, np.int64]
UNSIGNED = [np.uint8, np.uint16, np.uint32, np.uint64]


def broadcast_pairs(v: Version, make: Callable[..., np.ndarray]) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Pairs of tensors that broadcast each in its own way."""
    shapes = [((2, 3, 4), (3, 1)), ((2, 3), (2, 3)), ((4,), (2, 1, 4)), ((2, 1, 3), (4, 1)), ((2, 3), ())]
    return [(f"{list(a)} and {list(b)}", make(*a), make(*b)) for a, b in shapes]


# Arithmetic


@table("Add", "Sub", "Mul", "Div")
def arithmetic(v: Version) -> Cases:
    yield v.case("float", [v.normal(2, 3, 4), v.uniform(0.5, 2, 3, 1)])
    if v.opset == 7:
        for name, a, b in broadcast_pairs(v, lambda *shape: v.uniform(0.5, 2, *shape))[2:]:
            yield v.case(name, [a, b])
        yield v.case("an initialiser of rank 0", [v.normal(2, 3), fixed(0.75)])
        yield v.case("double", [v.normal(2, 3, dtype=np.float64), v.uniform(1, 2, 3, dtype=np.float64)])
        for dtype in [np.int32, np.int64]:
            divisors = array([3, -2, 5], dtype)
            yield v.case(np.dtype(dtype).name, [array([[7, -7, 9], [-8, 5, -11]], dtype), divisors])
    if v.opset == 13:
        yield v.case("float16", [v.normal(2, 3, dtype=np.float16), v.uniform(1, 2, 3, dtype=np.float16)])
    if v.opset == 14:
        for dtype in [np.uint8, np.int8]:
            yield v.case(np.dtype(dtype).name, [array([40, 60, 100], dtype), array([3, 2, 1], dtype)])


@table("Pow")
def power(v: Version) -> Cases:
    base = v.uniform(0.2, 3, 2, 3)
    yield v.case("float", [base, v.normal(3)])
    if v.opset == 7:
        yield v.case("square of negative numbers", [v.normal(2, 3), fixed(2.0)])
        yield v.case("cube, and double", [v.normal(4, dtype=np.float64), fixed(3.0, np.float64)])
    if v.opset in (12, 13):
        yield v.case("float to int64", [v.normal(2, 3), Fixed(array([2, 3, 0], np.int64))])
        yield v.case("int32 to float", [v.integers(1, 6, 2, 3, dtype=np.int32), fixed(2.0)])
        yield v.case("int64 to int64", [v.integers(-3, 6, 2, 3), array([2, 0, 3], np.int64)])
        yield v.case("float to int32", [v.uniform(0.5, 2, 2, 3), array([[-1], [2]], np.int32)])


@table("Mod")
def modulo(v: Version) -> Cases:
    a = array([-7, 7, -7, 7, 0, 9])
    b = array([3, -3, -3, 3, 5, 4])
    yield v.case("int64", [a.astype(np.int64), b.astype(np.int64)])
    yield v.case("float, fmod = 1", [a + array(0.5), b], fmod=1)
    if v.opset == 10:
        yield v.case("int32, fmod = 1", [a.astype(np.int32), b.astype(np.int32)], fmod=1)
        yield v.case("int8, fmod = 0", [a.astype(np.int8), b.astype(np.int8)], fmod=0)
    if v.opset == 13:
        yield v.case("broadcasting", [v.integers(-9, 9, 2, 3), Fixed(array([4], np.int64))])
        yield v.case("uint8", [v.integers(0, 200, 2, 3, dtype=np.uint8), array([7, 50, 3], np.uint8)])
        yield v.case("double, fmod = 1", [a.astype(np.float64) * 1.25, b.astype(np.float64)], fmod=1)


# One input

DOMAINS: dict[str, tuple[float, float]] = {
    "Sqrt": (0, 4), "Log": (0.1, 4), "Exp": (-2, 2), "Reciprocal": (0.5, 3), "Asin": (-1, 1), "Acos": (-1, 1),
    "Atanh": (-0.9, 0.9), "Acosh": (1, 4), "Tan": (-1.4, 1.4),
}  # fmt: skip


@table(
    "Abs", "Neg", "Ceil", "Floor", "Round", "Sqrt", "Exp", "Log", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan",
    "Sinh", "Cosh", "Asinh", "Acosh", "Atanh", "Reciprocal", "Sign", "Erf",
)  # fmt: skip
def unary(v: Version) -> Cases:
    low, high = DOMAINS.get(v.op, (-3, 3))
    yield v.case("float", [v.uniform(low, high, 2, 3)])
    if v.opset not in (7, 9, 11):
        return
    if v.op in ("Abs", "Exp"):
        yield v.case("rank 0", [v.uniform(low, high)])
    if v.op in ("Ceil", "Floor", "Round"):
        halves = array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.0, -3.0, 0.4999, 1e9])
        yield v.case("halves", [halves])
    if v.op in ("Abs", "Neg"):
        for dtype in SIGNED:
            yield v.case(np.dtype(dtype).name, [array([3, 0, -5, 100], dtype)])
    if v.op == "Sign":
        yield v.case("zeros", [array([0.0, -0.0, -2.5, 3.0])])
        yield v.case("int32", [array([3, 0, -5], np.int32)])
    if v.op in ("Sqrt", "Exp", "Abs", "Neg"):
        yield v.case("double", [v.uniform(low, high, 4, dtype=np.float64)])
    if v.op in ("Sqrt", "Exp", "Abs"):
        yield v.case("float16", [v.uniform(low, high, 4, dtype=np.float16)])


@table("IsNaN")
def is_nan(v: Version) -> Cases:
    yield v.case("float", [array([[1.0, np.nan, -np.inf], [0.0, np.inf, np.nan]])])
    if v.opset == 20:
        yield v.case("double", [array([np.nan, 1.5], np.float64)])


@table("IsInf")
def is_inf(v: Version) -> Cases:
    x = array([[1.0, np.nan, -np.inf], [0.0, np.inf, -2.0]])
    yield v.case("both", [x])
    yield v.case("negative alone", [x], detect_positive=0)
    yield v.case("positive alone", [x], detect_negative=0)
    if v.opset == 20:
        yield v.case("none", [x], detect_positive=0, detect_negative=0)


# Bits and logic


@table("BitShift")
def bit_shift(v: Version) -> Cases:
    for dtype in [np.uint8, np.uint32, np.uint64] if v.opset == 11 else [np.uint8]:
        for direction in ["LEFT", "RIGHT"]:
            pair = [array([16, 4, 201, 1], dtype), array([1, 2, 3, 4], dtype)]
            yield v.case(f"{np.dtype(dtype).name}, {direction}", pair, direction=direction)
    if v.opset == 11:
        yield v.case(
            "broadcasting", [v.integers(0, 99, 2, 3, dtype=np.uint32), fixed([2], np.uint32)], direction="LEFT"
        )


@table("BitwiseAnd", "BitwiseOr", "BitwiseXor")
def bitwise(v: Version) -> Cases:
    yield v.case(
        "int32, broadcasting", [v.integers(-99, 99, 2, 3, dtype=np.int32), v.integers(-99, 99, 3, dtype=np.int32)]
    )
    yield v.case("uint8", [v.integers(0, 256, 4, dtype=np.uint8), v.integers(0, 256, 4, dtype=np.uint8)])
    yield v.case("int64 and an initialiser", [v.integers(-99, 99, 4), fixed(13, np.int64)])


@table("BitwiseNot")
def bitwise_not(v: Version) -> Cases:
    yield v.case("int32", [v.integers(-99, 99, 2, 3, dtype=np.int32)])
    yield v.case("uint8", [v.integers(0, 256, 4, dtype=np.uint8)])


@table("Not")
def logical_not(v: Version) -> Cases:
    yield v.case("rank 2", [v.booleans(2, 3)])


@table("And", "Or", "Xor")
def logic(v: Version) -> Cases:
    yield v.case("same shape", [v.booleans(2, 3), v.booleans(2, 3)])
    yield v.case("broadcasting", [v.booleans(2, 3, 2), v.booleans(3, 1)])


@table("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual")
def comparison(v: Version) -> Cases:
    equal = v.op == "Equal"
    if not equal or v.opset >= 11:
        yield v.case("float, broadcasting", [array([[1.0, 2.0, np.nan], [0.0, -1.0, 3.0]]), array([1.0, 2.0, 3.0])])
    if v.opset in (7, 9, 12, 13) and (equal or v.opset > 7):
        for dtype in [np.int32, np.int64]:
            yield v.case(np.dtype(dtype).name, [v.integers(0, 3, 2, 3, dtype=dtype), v.integers(0, 3, 3, dtype=dtype)])
    if equal and v.opset in (7, 19):
        yield v.case("bool", [v.booleans(2, 3), v.booleans(3)])
    if v.opset == 13:
        yield v.case("double", [array([1.0, 2.0], np.float64), array([1.0, 3.0], np.float64)])
        yield v.case("uint8", [array([1, 200, 7], np.uint8), array([1, 100, 9], np.uint8)])


@table("Min", "Max", "Sum", "Mean")
def n_ary(v: Version) -> Cases:
    yield v.case("two", [v.normal(2, 3), v.normal(2, 3)])
    if v.opset == 7:
        yield v.case("one", [v.normal(2, 3)])
        yield v.case("three", [v.normal(2, 3) for _ in range(3)])
        return
    if v.opset in (8, 13):
        yield v.case("three, broadcasting", [v.normal(2, 1, 4), v.normal(3, 1), v.normal(4)])
    if v.opset == 13:
        yield v.case("one", [v.normal(2, 3)])
        yield v.case("an initialiser of rank 0", [v.normal(2, 3), fixed(0.25)])
        if v.op != "Mean":
            # Neither engine has Mean of double.
            yield v.case("double", [v.normal(3, dtype=np.float64), v.normal(2, 1, dtype=np.float64)])
    if v.op in ("Min", "Max") and v.opset >= 12:
        for dtype in [np.int32, np.int64, np.uint32, np.uint64] if v.opset == 12 else [np.int8, np.uint8, np.float16]:
            pair = [v.integers(0, 9, 2, 3, dtype=dtype), v.integers(0, 9, 3, dtype=dtype)]
            yield v.case(np.dtype(dtype).name, pair)
        yield v.case("NaN", [array([np.nan, 1.0, 2.0]), array([0.0, np.nan, 3.0])])


@table("Where")
def where(v: Version) -> Cases:
    yield v.case("float, broadcasting", [v.booleans(2, 3), v.normal(3), v.normal(2, 1)])
    if v.opset == 9:
        yield v.case("int64", [v.booleans(4), v.integers(0, 9, 4), fixed(-1, np.int64)])
        yield v.case("condition broadcasts", [v.booleans(3, 1), v.normal(2, 1, 4), fixed(0.0)])
    if v.opset == 16:
        yield v.case("uint8", [v.booleans(4), v.integers(0, 9, 4, dtype=np.uint8), v.integers(0, 9, 4, dtype=np.uint8)])
        yield v.case(
            "an initialiser as condition", [Fixed(array([True, False, True], np.bool_)), v.normal(3), v.normal(3)]
        )


# Casts

OLD_TYPES = [np.float32, np.float64, np.float16, np.bool_, *SIGNED, *UNSIGNED]


@table("Cast")
def cast(v: Version) -> Cases:
    """From some types to all, all exact. 9 adds strings, 13 bfloat16, later ones small floats and integers."""
    types = OLD_TYPES if v.opset < 13 else [*OLD_TYPES, bfloat16]
    some = [np.float32, np.float16, np.bool_, np.int64]
    sources = {7: some, 13: [*some, np.float64, np.int8, np.int32, np.uint8, np.uint64, bfloat16]}
    for dtype in sources.get(v.opset, [np.float32]):
        values = array([0, 1, 1, 0] if dtype == np.bool_ else [0, 1, 2, 7, 100], dtype)
        nodes, outputs = [], []
        targets = types if v.opset <= 13 else [np.float16, np.int32, np.bool_, bfloat16]
        for index, target in enumerate(targets):
            outputs.append(f"y{index}")
            nodes.append(node("Cast", "x", outputs[-1], to=helper.np_dtype_to_tensor_dtype(np.dtype(target))))
        yield v.graph(f"from {np.dtype(dtype).name}", nodes, {"x": values}, outputs, rtol=0.0)
    if v.opset in (7, 13, 19):
        fractions = array([-2.75, -1.5, -0.5, 0.0, 0.5, 1.5, 2.75])
        yield v.case("fractions to int32", [fractions], to=TensorProto.INT32)
        yield v.case("fractions to bool", [fractions], to=TensorProto.BOOL)
        yield v.case("float to float16, rounding", [v.normal(8)], rtol=0.0, to=TensorProto.FLOAT16)
    if v.opset in (13, 19):
        yield v.case("float to bfloat16, rounding", [v.normal(8)], rtol=0.0, to=TensorProto.BFLOAT16)
    if v.opset == 13:
        yield v.case("negative to int8", [array([-128, -1, 0, 127], np.int32)], to=TensorProto.INT8)
        yield v.case("of a large int64", [array([2**40, -(2**40)], np.int64)], to=TensorProto.FLOAT)
    if v.opset == 21:
        # What goes through Add has an input.
        nodes = [node("Cast", "w", "f", to=TensorProto.FLOAT), node("Add", "x f", "y")]
        for name, values in [("int4", [-8, -1, 0, 7, 3]), ("uint4", [0, 15, 7, 1, 8])]:
            dtype = helper.tensor_dtype_to_np_dtype(TensorProto.DataType.Value(name.upper()))
            yield v.graph(f"from {name}", nodes, {"x": v.normal(5)}, ["y"], {"w": array(values, dtype)})


@table("CastLike")
def cast_like(v: Version) -> Cases:
    yield v.case("float to int32", [array([-1.5, 0.0, 2.75]), fixed([0], np.int32)])
    if v.opset == 15:
        yield v.case("like an input", [array([3, -2, 0], np.int64), v.normal(2)])
        yield v.case("bool to float16", [v.booleans(4), fixed(0, np.float16)])
        nodes = [constant("t", array([1], np.uint8)), node("CastLike", "x t", "y")]
        yield v.graph("like a constant", nodes, {"x": array([1.0, 200.0])}, ["y"])
