#version 450
#extension GL_GOOGLE_include_directive : require
#include "storage.glsl"

// Winograd's F(4×4, 3×3): weights in panels of 8 outputs become 36 matrices of such panels, G g Gᵀ. Lavin and Gray,
// "Fast algorithms for convolutional neural networks", 2015.
layout(local_size_x_id = 0) in;

layout(push_constant) uniform Shape {
  int perTap;   // texels of one tap in a panel
  int texels;   // of one matrix
};

SOURCE(0, source)
RESULT(5)

void transform(vec4 g0, vec4 g1, vec4 g2, out vec4 u[6]) {
  const vec4 even = g0 + g2;
  const vec4 wide = g0 + 4 * g2;
  u[0] = g0 / 4;
  u[1] = (even + g1) / -6;
  u[2] = (even - g1) / -6;
  u[3] = (wide + 2 * g1) / 24;
  u[4] = (wide - 2 * g1) / 24;
  u[5] = g2;
}

void main() {
  const int i = ELEMENT;
  if (i >= texels) return;
  const int from = i / perTap * perTap * 9 + i % perTap;
  vec4 columns[3][6];
  for (int x = 0; x < 3; x++) {
    transform(
        source(from + x * perTap), source(from + (3 + x) * perTap), source(from + (6 + x) * perTap), columns[x]);
  }
  for (int y = 0; y < 6; y++) {
    vec4 row[6];
    transform(columns[0][y], columns[1][y], columns[2][y], row);
    for (int x = 0; x < 6; x++) store((6 * y + x) * texels + i, row[x]);
  }
}
