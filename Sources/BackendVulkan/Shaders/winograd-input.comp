#version 450
#extension GL_GOOGLE_include_directive : require
#include "storage.glsl"

// Winograd's F(4×4, 3×3): each 6×6 tile of the image, one quad of channels at a time, becomes 36 texels, Bᵀ d B, one for
// each of 36 matrices [quad][tile].
layout(local_size_x_id = 0) in;

layout(push_constant) uniform Shape {
  Layout from;
  int images;
  ivec2 inSize;   // width, height
  ivec2 tiles;    // of one image
  ivec2 padding;
  int texels;     // of one matrix
};

SOURCE(0, source)
RESULT(5)

void transform(inout vec4 d0, inout vec4 d1, inout vec4 d2, inout vec4 d3, inout vec4 d4, inout vec4 d5) {
  const vec4 a = d4 - 4 * d2;
  const vec4 b = d3 - 4 * d1;
  const vec4 c = d4 - d2;
  const vec4 d = 2 * (d3 - d1);
  d0 = 4 * d0 - 5 * d2 + d4;
  d5 = 4 * d1 - 5 * d3 + d5;
  d1 = a + b;
  d2 = a - b;
  d3 = c + d;
  d4 = c - d;
}

void main() {
  const int i = ELEMENT;
  if (i >= texels) return;
  const int count = images * tiles.x * tiles.y;
  const int tile = i % count;
  const int quad = i / count;
  const int inImage = tile % (tiles.x * tiles.y);
  const int base = tile / (tiles.x * tiles.y) * from.image + quad * from.quad;
  const ivec2 corner = ivec2(inImage % tiles.x, inImage / tiles.x) * 4 - padding;
  vec4 d[6][6];
  for (int y = 0; y < 6; y++) {
    for (int x = 0; x < 6; x++) {
      const ivec2 at = corner + ivec2(x, y);
      const bool inside = all(greaterThanEqual(at, ivec2(0))) && all(lessThan(at, inSize));
      const vec4 value = source(inside ? base + (at.y * inSize.x + at.x) * from.pixel : 0);
      d[y][x] = inside ? value : vec4(0);
    }
    transform(d[y][0], d[y][1], d[y][2], d[y][3], d[y][4], d[y][5]);
  }
  for (int x = 0; x < 6; x++) {
    transform(d[0][x], d[1][x], d[2][x], d[3][x], d[4][x], d[5][x]);
    for (int y = 0; y < 6; y++) store((6 * y + x) * texels + i, d[y][x]);
  }
}
