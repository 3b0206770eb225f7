#version 450
#extension GL_GOOGLE_include_directive : require
#include "storage.glsl"

// Depthwise convolution: an invocation computes one quad of channels at PIXELS neighbours of a row, which share what
// they read of the row. Weights lie as [quad][tap].
layout(local_size_x_id = 0) in;
layout(constant_id = 3) const int PIXELS = 4;
layout(constant_id = 4) const bool HAS_BIAS = false;
layout(constant_id = 5) const int KERNEL = 3;
layout(constant_id = 6) const int STRIDE = 1;
layout(constant_id = 7) const int DILATION = 1;
layout(constant_id = 8) const bool BATCHED = true;
layout(constant_id = 9) const bool HAS_RESIDUAL = false;

layout(push_constant) uniform Shape {
  Layout from;
  Layout to;
  ivec2 inSize;   // width, height
  ivec2 outSize;
  ivec2 padding;
  int rowStride;
  int rowDilation;
  int rows;       // of the kernel
  int blocks;     // groups of PIXELS in a row
  int images;
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
  const int quad = int(gl_WorkGroupID.y);
  const int block = min(int(gl_GlobalInvocationID.x), images * outSize.y * blocks - 1);
  // Divisions are slow.
  const int line0 = block / blocks;
  const int x = (block - line0 * blocks) * PIXELS;
  const int image = BATCHED ? line0 / outSize.y : 0;
  const int y = line0 - image * outSize.y;

  vec4 sums[PIXELS];
  for (int p = 0; p < PIXELS; p++) sums[p] = HAS_BIAS ? bias(quad) : vec4(0);
  const int plane = image * from.image + quad * from.quad;
  const int left = x * STRIDE - padding.x;
  for (int row = 0; row < rows; row++) {
    const int sourceY = y * rowStride - padding.y + row * rowDilation;
    const bool inRow = sourceY >= 0 && sourceY < inSize.y;
    // What the pixels of this row read, from the first's left tap to the last's right one.
    const int span = (PIXELS - 1) * STRIDE + (KERNEL - 1) * DILATION + 1;
    vec4 line[span];
    for (int i = 0; i < span; i++) {
      const int sourceX = left + i;
      const bool inside = inRow && sourceX >= 0 && sourceX < inSize.x;
      const vec4 value = source(inside ? plane + (sourceY * inSize.x + sourceX) * from.pixel : 0);
      line[i] = inside ? value : vec4(0);
    }
    for (int tap = 0; tap < KERNEL; tap++) {
      const vec4 w = weight((quad * rows + row) * KERNEL + tap);
      for (int p = 0; p < PIXELS; p++) sums[p] += line[p * STRIDE + tap * DILATION] * w;
    }
  }
  if (int(gl_GlobalInvocationID.x) >= images * outSize.y * blocks) return;
  for (int p = 0; p < PIXELS; p++) {
    if (x + p >= outSize.x) break;
    const int place = texel(to, image, quad, y * outSize.x + x + p);
    if (HAS_RESIDUAL) sums[p] += residual(place);
    store(place, finish(sums[p], quad));
  }
}
