"""Normalisations."""

import numpy as np

from .building import Cases, Fixed, Version, table


def statistics(v: Version, channels: int, dtype: type = np.float32) -> list[Fixed]:
    """Scale, bias, mean and variance."""
    vectors = [v.normal(channels), v.normal(channels), v.normal(channels), v.uniform(0.5, 2, channels)]
    return [Fixed(vector.astype(dtype)) for vector in vectors]


@table("BatchNormalization")
def batch_normalization(v: Version) -> Cases:
    yield v.case("rank 4", [v.normal(2, 3, 2, 3), *statistics(v, 3)])
    if v.opset == 7:
        yield v.case("spatial = 1", [v.normal(1, 2, 3, 3), *statistics(v, 2)], spatial=1, epsilon=0.01)
        one = [Fixed(v.uniform(0.5, 2, 2, 2, 2)) for _ in range(4)]
        yield v.case("spatial = 0", [v.normal(2, 2, 2, 2), *one], spatial=0)
    if v.opset in (7, 15):
        yield v.case("rank 2", [v.normal(3, 4), *statistics(v, 4)])
        yield v.case("rank 3", [v.normal(2, 3, 4), *statistics(v, 3)], epsilon=0.1)
        yield v.case("rank 5", [v.normal(1, 2, 2, 2, 3), *statistics(v, 2)], momentum=0.5)
    if v.opset == 15:
        yield v.case("double", [v.normal(1, 2, 3, dtype=np.float64), *statistics(v, 2, np.float64)])
        yield v.case("float16", [v.normal(1, 2, 2, 2, dtype=np.float16), *statistics(v, 2, np.float16)])
    if v.opset in (14, 15):
        yield v.case("training_mode", [v.normal(2, 2, 2, 3), *statistics(v, 2)], 3, training_mode=1, momentum=0.75)


@table("InstanceNormalization")
def instance_normalization(v: Version) -> Cases:
    yield v.case("2-D", [v.normal(2, 3, 3, 3), Fixed(v.normal(3)), Fixed(v.normal(3))])
    if v.opset == 7:
        yield v.case("1-D, epsilon", [v.normal(1, 2, 6), Fixed(v.normal(2)), Fixed(v.normal(2))], epsilon=0.1)
        yield v.case("3-D", [v.normal(1, 2, 2, 3, 2), Fixed(v.normal(2)), Fixed(v.normal(2))])


@table("LayerNormalization")
def layer_normalization(v: Version) -> Cases:
    x = v.normal(2, 3, 4)
    yield v.case("default axis", [x, Fixed(v.normal(4)), Fixed(v.normal(4))])
    yield v.case("no bias, epsilon", [x, Fixed(v.normal(4))], epsilon=0.1)
    yield v.case("axis = 1", [x, Fixed(v.normal(3, 4)), Fixed(v.normal(3, 4))], axis=1)
    yield v.case("axis = -2", [x, Fixed(v.normal(3, 4)), Fixed(v.normal(3, 4))], axis=-2)
    yield v.case("axis = 0", [x, Fixed(v.normal(2, 3, 4)), Fixed(v.normal(2, 3, 4))], axis=0)
    yield v.case("Mean and InvStdDev", [x, Fixed(v.normal(4)), Fixed(v.normal(4))], 3)
    yield v.case("broadcast scale", [x, Fixed(v.normal(1, 4)), Fixed(v.normal(1))], axis=1)
    yield v.case("rank 2", [v.normal(3, 5), Fixed(v.normal(5)), Fixed(v.normal(5))], axis=1, stash_type=1)
    half = [
        v.normal(2, 4, dtype=np.float16),
        Fixed(v.normal(4, dtype=np.float16)),
        Fixed(v.normal(4, dtype=np.float16)),
    ]
    yield v.case("float16", half)


@table("GroupNormalization")
def group_normalization(v: Version) -> Cases:
    # Scale and bias go by group at 18, by channel from 21 on.
    count = 2 if v.opset == 18 else 4
    x = v.normal(2, 4, 2, 3)
    yield v.case("2-D", [x, Fixed(v.normal(count)), Fixed(v.normal(count))], num_groups=2)
    yield v.case(
        "1-D, epsilon", [v.normal(1, 4, 3), Fixed(v.normal(count)), Fixed(v.normal(count))], num_groups=2, epsilon=0.1
    )
    if v.opset == 21:
        yield v.case("as many groups as channels", [x, Fixed(v.normal(4)), Fixed(v.normal(4))], num_groups=4)
        yield v.case("one group", [x, Fixed(v.normal(4)), Fixed(v.normal(4))], num_groups=1)


@table("RMSNormalization")
def rms_normalization(v: Version) -> Cases:
    x = v.normal(2, 3, 4)
    yield v.case("default axis", [x, Fixed(v.normal(4))])
    yield v.case("axis = 1, epsilon", [x, Fixed(v.normal(3, 4))], axis=1, epsilon=0.1)
    yield v.case("axis = -2, broadcast scale", [x, Fixed(v.normal(1, 4))], axis=-2)


@table("LRN")
def lrn(v: Version) -> Cases:
    yield v.case("size 3", [v.normal(1, 5, 2, 2)], size=3)
    if v.opset == 13:
        yield v.case("all attributes", [v.normal(2, 6, 2, 2)], size=5, alpha=0.5, beta=0.6, bias=2.0)
        yield v.case("wider than the channels", [v.normal(1, 3, 2, 2)], size=7, alpha=1.0)


@table("LpNormalization")
def lp_normalization(v: Version) -> Cases:
    yield v.case("defaults", [v.normal(2, 3, 4)])
    if v.opset == 7:
        yield v.case("p = 1, axis = 1", [v.normal(2, 3, 4)], p=1, axis=1)
        yield v.case("p = 2, axis = 0", [v.normal(3, 2)], p=2, axis=0)


@table("MeanVarianceNormalization")
def mean_variance_normalization(v: Version) -> Cases:
    yield v.case("default axes", [v.normal(2, 3, 2, 2)])
    yield v.case("axes", [v.normal(2, 2, 3, 2)], axes=[2, 3])
