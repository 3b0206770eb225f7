#version 450
#extension GL_GOOGLE_include_directive : require
#include "storage.glsl"

// Texel by texel: an activation, a sum or product of two tensors, batch normalisation, or a product with a number for each
// channel.
layout(local_size_x_id = 0) in;
layout(constant_id = 3) const int OPERATION = 0;  // 0 none, 1 add, 2 batch norm, 3 multiply, 4 multiply by channel

layout(push_constant) uniform Shape {
  int texels;
  int quads;      // of channels
  int quadTexels; // texels from one quad to the next
  int channels;
  int imageTexels; // from one image to the next; 0 where the numbers for the channels are the same for all
  float low;
  float high;
  float epsilon;
};

SOURCE(0, source)
// Of a sum or product the second tensor, of a batch norm its weight.
SOURCE(1, other)
SOURCE(2, bias)
SOURCE(3, mean)
// Of an activation by channel, its limits.
SOURCE(4, variance)
RESULT(5)
#define LIMITS variance
#include "epilogue.glsl"

void main() {
  const int i = ELEMENT;
  if (i >= texels) return;
  vec4 value = source(i);
  if (OPERATION == 1) value += other(i);
  if (OPERATION == 3) value *= other(i);
  if (OPERATION == 4) {
    const int image = imageTexels > 0 ? i / imageTexels : 0;
    value *= other(image * quads + i / quadTexels % quads);
  }
  if (OPERATION == 2) {
    const int quad = i / quadTexels % quads;
    value = (value - mean(quad)) * (other(quad) / sqrt(variance(quad) + epsilon)) + bias(quad);
    // Behind the last channel the variance may be zero too.
    for (int k = 0; k < 4; k++) if (4 * quad + k >= channels) value[k] = 0;
  }
  store(i, finish(value, i / quadTexels % quads));
}
