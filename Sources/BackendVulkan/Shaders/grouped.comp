#version 450
#extension GL_GOOGLE_include_directive : require
#include "storage.glsl"

// Convolution of any groups, one quad of outputs at one pixel at a time: for shapes that no other shader takes.
// Weights lie as they come: [output][channel of the group][tap], dense.
layout(local_size_x_id = 0) in;
layout(constant_id = 3) const bool HAS_BIAS = false;
layout(constant_id = 4) const bool HAS_RESIDUAL = false;

layout(push_constant) uniform Shape {
  Layout from;
  Layout to;
  ivec2 inSize;
  ivec2 outSize;
  ivec2 kernel;
  ivec2 stride;
  ivec2 padding;
  ivec2 dilation;
  int pixels;
  int depth;           // channels of a group
  int outputsPerGroup;
  int outputs;
  float low;
  float high;
};

SOURCE(0, source)
SOURCE(1, weight)
SOURCE(2, bias)
SOURCE(3, residual)
RESULT(5)
#include "epilogue.glsl"

void main() {
  const int pixel = int(gl_GlobalInvocationID.x);
  const int quad = int(gl_WorkGroupID.y);
  if (pixel >= pixels) return;
  const int inImage = pixel % (outSize.x * outSize.y);
  const int image = pixel / (outSize.x * outSize.y);
  const ivec2 corner = ivec2(inImage % outSize.x, inImage / outSize.x) * stride - padding;
  const int taps = kernel.x * kernel.y;

  vec4 sums = HAS_BIAS ? bias(quad) : vec4(0);
  for (int k = 0; k < 4; k++) {
    const int o = quad * 4 + k;
    if (o >= outputs) break;
    float sum = 0;
    for (int c = 0; c < depth; c++) {
      const int channel = o / outputsPerGroup * depth + c;
      for (int tap = 0; tap < taps; tap++) {
        const ivec2 at = corner + ivec2(tap % kernel.x, tap / kernel.x) * dilation;
        if (any(lessThan(at, ivec2(0))) || any(greaterThanEqual(at, inSize))) continue;
        const int w = (o * depth + c) * taps + tap;
        sum += source(texel(from, image, channel / 4, at.y * inSize.x + at.x))[channel % 4] * weight(w / 4)[w % 4];
      }
    }
    sums[k] += sum;
  }
  const int place = texel(to, image, quad, inImage);
  if (HAS_RESIDUAL) sums += residual(place);
  store(place, finish(sums, quad));
}
