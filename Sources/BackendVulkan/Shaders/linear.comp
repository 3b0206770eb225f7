#version 450
#extension GL_GOOGLE_include_directive : require
#include "storage.glsl"

// A vector times a matrix: an invocation computes one quad of outputs of one row of the batch. Weights lie in panels of
// 4 outputs, inputs padded to quads: [output quad][input], a texel being one input's weights for the quad.
layout(local_size_x_id = 0) in;
layout(constant_id = 3) const bool HAS_BIAS = false;

layout(push_constant) uniform Shape {
  int inQuads;
  int outQuads;
  float low;
  float high;
};

SOURCE(0, source)
SOURCE(1, weight)
SOURCE(2, bias)
RESULT(5)
#include "epilogue.glsl"

void main() {
  const int quad = int(gl_GlobalInvocationID.x);
  const int row = int(gl_WorkGroupID.y);
  if (quad >= outQuads) return;
  vec4 sum = HAS_BIAS ? bias(quad) : vec4(0);
  int place = quad * inQuads * 4;
  for (int i = 0; i < inQuads; i++) {
    const vec4 x = source(row * inQuads + i);
    sum += x.x * weight(place) + x.y * weight(place + 1) + x.z * weight(place + 2) + x.w * weight(place + 3);
    place += 4;
  }
  store(row * outQuads + quad, finish(sum, quad));
}
