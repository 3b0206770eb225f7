#version 450
#extension GL_GOOGLE_include_directive : require
#include "storage.glsl"

// The largest value or the mean under a window, one quad of channels at one pixel. Padding takes no part.
layout(local_size_x_id = 0) in;
layout(constant_id = 3) const bool TAKES_MEAN = false;

layout(push_constant) uniform Shape {
  Layout from;
  Layout to;
  ivec2 inSize;
  ivec2 outSize;
  ivec2 kernel;
  ivec2 stride;
  ivec2 padding;
  ivec2 dilation;
  int quads;
  int outputs;  // texels
};

SOURCE(0, source)
RESULT(5)

void main() {
  const int i = ELEMENT;
  if (i >= outputs) return;
  const int pixel = i % (outSize.x * outSize.y);
  const int quad = i / (outSize.x * outSize.y) % quads;
  const int image = i / (outSize.x * outSize.y) / quads;
  const ivec2 corner = ivec2(pixel % outSize.x, pixel / outSize.x) * stride - padding;
  vec4 result = TAKES_MEAN ? vec4(0) : vec4(-1.0 / 0.0);
  for (int ky = 0; ky < kernel.y; ky++) {
    const int y = corner.y + ky * dilation.y;
    if (y < 0 || y >= inSize.y) continue;
    for (int kx = 0; kx < kernel.x; kx++) {
      const int x = corner.x + kx * dilation.x;
      if (x < 0 || x >= inSize.x) continue;
      const vec4 value = source(texel(from, image, quad, y * inSize.x + x));
      result = TAKES_MEAN ? result + value : max(result, value);
    }
  }
  if (TAKES_MEAN) result /= float(kernel.x * kernel.y);
  store(texel(to, image, quad, pixel), result);
}
