#version 450
#extension GL_GOOGLE_include_directive : require
#include "storage.glsl"

// Texels to a tensor as the host has it, dense 32-bit floats in NCHW.
layout(local_size_x_id = 0) in;

layout(push_constant) uniform Shape {
  Layout from;
  int channels;
  int quads;
  int pixels;    // of one image
  int texels;
};

SOURCE(0, source)
layout(set = 0, binding = 6) writeonly buffer Host { float host[]; };

void main() {
  const int i = ELEMENT;
  if (i >= texels) return;
  const int pixel = i % pixels;
  const int quad = i / pixels % quads;
  const int image = i / pixels / quads;
  const vec4 value = source(texel(from, image, quad, pixel));
  for (int k = 0; k < 4; k++) {
    const int channel = 4 * quad + k;
    if (channel < channels) host[(image * channels + channel) * pixels + pixel] = value[k];
  }
}
