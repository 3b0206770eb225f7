#version 450
#extension GL_GOOGLE_include_directive : require
#include "storage.glsl"

// The same elements in another order of texels, or, where pixels become channels, in other texels.
layout(local_size_x_id = 0) in;
layout(constant_id = 3) const bool FLATTENS = false;

layout(push_constant) uniform Shape {
  Layout from;
  Layout to;
  int pixels;     // of one image of the source
  int quads;      // of the result
  int resultPixels;
  int channels;   // of the result
  int texels;     // of the result
};

SOURCE(0, source)
RESULT(5)

void main() {
  const int i = ELEMENT;
  if (i >= texels) return;
  const int pixel = i % resultPixels;
  const int quad = i / resultPixels % quads;
  const int image = i / resultPixels / quads;
  vec4 value = vec4(0);
  if (FLATTENS) {
    for (int k = 0; k < 4; k++) {
      const int element = 4 * quad + k;
      const int channel = element / pixels;
      if (element < channels) value[k] = source(texel(from, image, channel / 4, element % pixels))[channel % 4];
    }
  } else {
    value = source(texel(from, image, quad, pixel));
  }
  store(texel(to, image, quad, pixel), value);
}
