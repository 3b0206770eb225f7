#version 450
#extension GL_GOOGLE_include_directive : require
#include "storage.glsl"

// Winograd's F(4×4, 3×3): 36 products of matrices become 4×4 pixels of one quad of outputs, Aᵀ m A.
layout(local_size_x_id = 0) in;
layout(constant_id = 3) const bool HAS_BIAS = false;
layout(constant_id = 4) const bool HAS_RESIDUAL = false;

layout(push_constant) uniform Shape {
  Layout to;
  int images;
  ivec2 outSize;  // width, height
  ivec2 tiles;    // of one image
  int texels;     // of one matrix
  float low;
  float high;
};

SOURCE(0, source)
SOURCE(1, bias)
SOURCE(2, residual)
RESULT(5)
#include "epilogue.glsl"

void transform(vec4 m0, vec4 m1, vec4 m2, vec4 m3, vec4 m4, vec4 m5, out vec4 y[4]) {
  const vec4 a = m1 + m2;
  const vec4 b = m1 - m2;
  const vec4 c = m3 + m4;
  const vec4 d = m3 - m4;
  y[0] = m0 + a + c;
  y[1] = b + 2 * d;
  y[2] = a + 4 * c;
  y[3] = b + 8 * d + m5;
}

void main() {
  const int i = ELEMENT;
  if (i >= texels) return;
  const int count = images * tiles.x * tiles.y;
  const int tile = i % count;
  const int quad = i / count;
  const int inImage = tile % (tiles.x * tiles.y);
  const int image = tile / (tiles.x * tiles.y);
  const ivec2 corner = ivec2(inImage % tiles.x, inImage / tiles.x) * 4;
  vec4 columns[6][4];
  for (int x = 0; x < 6; x++) {
    transform(
        source(x * texels + i), source((6 + x) * texels + i), source((12 + x) * texels + i),
        source((18 + x) * texels + i), source((24 + x) * texels + i), source((30 + x) * texels + i), columns[x]);
  }
  const vec4 start = HAS_BIAS ? bias(quad) : vec4(0);
  for (int y = 0; y < 4; y++) {
    if (corner.y + y >= outSize.y) break;
    vec4 row[4];
    transform(columns[0][y], columns[1][y], columns[2][y], columns[3][y], columns[4][y], columns[5][y], row);
    for (int x = 0; x < 4; x++) {
      if (corner.x + x >= outSize.x) break;
      const int pixel = (corner.y + y) * outSize.x + corner.x + x;
      const int place = texel(to, image, quad, pixel);
      const vec4 added = HAS_RESIDUAL ? start + residual(place) : start;
      store(place, finish(row[x] + added, quad));
    }
  }
}
