#version 450
#extension GL_GOOGLE_include_directive : require
#include "storage.glsl"

// A vector times a matrix: PARTS invocations side by side compute one quad of outputs of one row of the batch, each from every
// PARTS-th quad of inputs. Weights lie in panels of 4 outputs, inputs padded to quads: [output quad][input], a texel being one
// input's weights for the quad.
layout(local_size_x_id = 0) in;
layout(constant_id = 3) const bool HAS_BIAS = false;
layout(constant_id = 4) const int PARTS = 1;

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

shared vec4 partials[PARTS > 1 ? int(gl_WorkGroupSize.x) : 1];

void main() {
  const int quad = int(gl_GlobalInvocationID.x) / PARTS;
  const int part = int(gl_GlobalInvocationID.x) % PARTS;
  const int row = int(gl_WorkGroupID.y);
  vec4 sum = HAS_BIAS && part == 0 && quad < outQuads ? bias(quad) : vec4(0);
  if (quad < outQuads) {
    for (int i = part; i < inQuads; i += PARTS) {
      const vec4 x = source(row * inQuads + i);
      const int place = (quad * inQuads + i) * 4;
      sum += x.x * weight(place) + x.y * weight(place + 1) + x.z * weight(place + 2) + x.w * weight(place + 3);
    }
  }
  if (PARTS > 1) {
    partials[gl_LocalInvocationID.x] = sum;
    barrier();
    if (part > 0) return;
    for (int other = 1; other < PARTS; other++) sum += partials[gl_LocalInvocationID.x + other];
  }
  if (quad < outQuads) store(row * outQuads + quad, finish(sum, quad));
}
