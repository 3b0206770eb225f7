"""Products of matrices."""

import numpy as np

from .building import Cases, Fixed, FromNode, Version, table


@table("Gemm")
def gemm(v: Version) -> Cases:
    yield v.case("plain", [v.normal(2, 3), Fixed(v.normal(3, 4)), Fixed(v.normal(2, 4))])
    if v.opset in (7, 11):
        yield v.case("transB, bias of a row", [v.normal(2, 3), Fixed(v.normal(4, 3)), Fixed(v.normal(4))], transB=1)
        yield v.case(
            "transA, transB, alpha and beta",
            [v.normal(3, 2), Fixed(v.normal(4, 3)), Fixed(v.normal(1, 4))],
            transA=1, transB=1, alpha=0.5, beta=2.0,
        )  # fmt: skip
        yield v.case(
            "transA, bias of a column", [v.normal(3, 2), Fixed(v.normal(3, 4)), Fixed(v.normal(2, 1))], transA=1
        )
        yield v.case("bias of rank 0", [v.normal(2, 3), Fixed(v.normal(3, 4)), Fixed(v.normal())])
        yield v.case("bias of one", [v.normal(2, 3), Fixed(v.normal(3, 4)), Fixed(v.normal(1))], beta=0.5)
    if v.opset == 7:
        yield v.case("ten by one", [v.normal(1, 10), FromNode(v.normal(10, 3)), FromNode(v.normal(3))])
    if v.opset == 9:
        small = [v.integers(-4, 5, *shape, dtype=np.int32) for shape in [(2, 3), (3, 2), (2, 2)]]
        yield v.case("int32", small)
    if v.opset in (11, 13):
        yield v.case("no bias", [v.normal(2, 3), Fixed(v.normal(3, 4))], alpha=0.25)
    if v.opset == 13:
        yield v.case("all inputs of the graph", [v.normal(2, 3), v.normal(3, 2), v.normal(2)])
        yield v.case("double", [v.normal(*shape, dtype=np.float64) for shape in [(2, 3), (3, 2), (2, 2)]])
        yield v.case("float16", [v.normal(*shape, dtype=np.float16) for shape in [(2, 3), (3, 2), (2, 2)]])


@table("MatMul")
def mat_mul(v: Version) -> Cases:
    yield v.case("2 by 2", [v.normal(2, 3), Fixed(v.normal(3, 4))])
    if v.opset == 7:
        for a, b in [((3,), (3, 2)), ((2, 2, 3), (3, 2)), ((1, 2, 2, 3), (2, 3, 2))]:
            yield v.case(f"ranks {len(a)} and {len(b)}", [v.normal(*a), v.normal(*b)])
    if v.opset == 13:
        shapes = [
            ((3,), (3,)),
            ((3,), (3, 2)),
            ((2, 3), (3,)),
            ((2, 2, 3), (2, 3, 2)),
            ((2, 2, 3), (3, 2)),
            ((2, 3), (2, 3, 2)),
            ((2, 2, 3), (3,)),
            ((3,), (2, 3, 2)),
            ((2, 1, 2, 3), (1, 3, 3, 2)),
            ((2, 3, 2, 2), (3, 2, 2)),
            ((1, 2, 3), (2, 2, 3, 1)),
        ]
        for a, b in shapes:
            name = f"{' '.join(map(str, a))} by {' '.join(map(str, b))}"
            yield v.case(name, [v.normal(*a), v.normal(*b)])
    if v.opset == 9:
        for dtype in [np.int32, np.int64, np.uint32, np.uint64]:
            low = -4 if np.issubdtype(dtype, np.signedinteger) else 0
            pair = [v.integers(low, 9, *shape, dtype=dtype) for shape in [(2, 3), (3, 2)]]
            yield v.case(np.dtype(dtype).name, pair)
    if v.opset == 13:
        yield v.case("double", [v.normal(2, 3, dtype=np.float64), v.normal(3, 2, dtype=np.float64)])
        yield v.case("float16", [v.normal(2, 3, dtype=np.float16), v.normal(3, 2, dtype=np.float16)])
        yield v.case("weights from a node", [v.normal(1, 2, 3), FromNode(v.normal(3, 3))])


@table("Einsum")
def einsum(v: Version) -> Cases:
    yield v.case("ij,jk->ik", [v.normal(2, 3), v.normal(3, 2)], equation="ij,jk->ik")
    if v.opset == 28:
        return
    for equation, shapes in [
        ("bhid,bhjd->bhij", [(1, 2, 2, 3), (1, 2, 3, 3)]),
        ("bij, bjk -> bik", [(2, 2, 3), (2, 3, 2)]),
        ("...ij,...jk->...ik", [(2, 2, 3), (2, 3, 2)]),
        ("ij->ji", [(2, 3)]),
        ("ij->i", [(2, 3)]),
        ("ii->i", [(3, 3)]),
        ("i,i->", [(4,), (4,)]),
        ("bi,bj->bij", [(2, 3), (2, 2)]),
        ("ab,bc", [(2, 3), (3, 2)]),
        ("ij,jk,kl->il", [(2, 3), (3, 2), (2, 2)]),
        ("bnqd,bmd->bnqm", [(1, 2, 2, 3), (1, 2, 3)]),
    ]:
        yield v.case(equation, [v.normal(*shape) for shape in shapes], equation=equation)
