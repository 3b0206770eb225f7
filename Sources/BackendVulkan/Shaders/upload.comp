#version 450
#extension GL_GOOGLE_include_directive : require
#include "storage.glsl"

// A tensor as the host has it, dense 32-bit floats in NCHW, to texels. Channels behind the last become zeros.
layout(local_size_x_id = 0) in;

layout(push_constant) uniform Shape {
  Layout to;
  int channels;
  int quads;
  int pixels;    // of one image
  int texels;
};

layout(set = 0, binding = 6) readonly buffer Host { float host[]; };
RESULT(5)

void main() {
  const int i = ELEMENT;
  if (i >= texels) return;
  const int pixel = i % pixels;
  const int quad = i / pixels % quads;
  const int image = i / pixels / quads;
  vec4 value = vec4(0);
  for (int k = 0; k < 4; k++) {
    const int channel = 4 * quad + k;
    if (channel < channels) value[k] = host[(image * channels + channel) * pixels + pixel];
  }
  store(texel(to, image, quad, pixel), value);
}
