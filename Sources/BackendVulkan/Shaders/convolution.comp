#version 450
#extension GL_GOOGLE_include_directive : require
#ifdef LANES
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#ifdef HALF_ARITHMETIC
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#define numbers f16vec4
#else
#define numbers vec4
#endif
#include "storage.glsl"

// Convolution as a product of matrices whose left one is never built: an invocation sums PIXELS pixels × 8 outputs, the
// taps outside and the channel quads inside. Weights lie in panels of 8 outputs, taps before channels, channels padded
// to quads: the 8 texels of one tap and quad are adjacent. With `LANES`, each lane of a subgroup fetches one of the 8
// and gets the others from its neighbours, for devices where a fetch costs more than that.
// With `HALF_ARITHMETIC`, products are 16-bit floats, and sums of 16 of them; what those add up to is not.
// Few pixels do not fill a GPU: PARTS invocations then share the channels of one sum.
layout(local_size_x_id = 0, local_size_y_id = 10) in;
layout(constant_id = 3) const int PIXELS = 4;
layout(constant_id = 4) const bool HAS_BIAS = false;
// Whether a tap may fall outside the image.
layout(constant_id = 5) const bool PADDED = false;
// Divisions are slow: what needs none is told so. More than one image; and one tap at each pixel of one image.
layout(constant_id = 6) const bool BATCHED = true;
layout(constant_id = 7) const bool POINTWISE = false;

// Channels of an input of one quad; 0 where there are more quads.
layout(constant_id = 8) const int CHANNELS = 0;
layout(constant_id = 9) const bool HAS_RESIDUAL = false;
layout(constant_id = 10) const int PARTS = 1;

layout(push_constant) uniform Shape {
  Layout from;
  Layout to;
  ivec2 inSize;   // width, height
  ivec2 outSize;
  ivec2 kernel;
  ivec2 stride;
  ivec2 padding;
  ivec2 dilation;
  int pixels;     // of all images of the batch
  int inQuads;
  int outQuads;
  float low;
  float high;
};

SOURCE(0, source)
SOURCE(1, weight)
SOURCE(2, bias)
SOURCE(3, residual)
RESULT(5)
#include "epilogue.glsl"

// What the parts behind the first have summed.
shared vec4 partials[PARTS > 1 ? (PARTS - 1) * PIXELS * 2 * int(gl_WorkGroupSize.x) : 1];

void main() {
  const int first = int(gl_WorkGroupID.x * gl_WorkGroupSize.x) * PIXELS + int(gl_LocalInvocationID.x);
  const int panel = int(gl_WorkGroupID.y);
  // One of several products of the same shape: an image of its own, with weights of its own.
  const int product = int(gl_WorkGroupID.z);

  vec4 sums[PIXELS][2];
  int image[PIXELS];
  ivec2 corner[PIXELS];
  const int part = PARTS > 1 ? int(gl_LocalInvocationID.y) : 0;
  const int quads = CHANNELS > 0 ? 1 : inQuads;
  const int start = part * quads / PARTS;
  const int end = (part + 1) * quads / PARTS;
  const bool addsBias = HAS_BIAS && part == 0;
  const vec4 start0 = addsBias ? bias(2 * panel) : vec4(0);
  const vec4 start1 = addsBias ? bias(2 * panel + 1) : vec4(0);
  for (int p = 0; p < PIXELS; p++) {
    sums[p][0] = start0;
    sums[p][1] = start1;
    // Pixels behind the last one repeat it, and are not stored.
    const int pixel = min(first + p * int(gl_WorkGroupSize.x), pixels - 1);
    const int n = BATCHED ? pixel / (outSize.x * outSize.y) : 0;
    const int inImage = pixel - n * outSize.x * outSize.y;
    const int y = POINTWISE ? 0 : inImage / outSize.x;
    image[p] = (n + product) * from.image;
    corner[p] = ivec2(inImage - y * outSize.x, y) * stride - padding;
  }

  int place = ((product * ((outQuads + 1) / 2) + panel) * kernel.x * kernel.y * inQuads + start) * 8;
  ivec2 shift = ivec2(0);
  for (int ky = 0; ky < kernel.y; ky++, shift = ivec2(0, shift.y + dilation.y))
  for (int kx = 0; kx < kernel.x; kx++, shift.x += dilation.x) {
    int at[PIXELS];
    bool inside[PIXELS];
    for (int p = 0; p < PIXELS; p++) {
      const ivec2 position = corner[p] + shift;
      inside[p] = !PADDED || all(greaterThanEqual(position, ivec2(0))) && all(lessThan(position, inSize));
      at[p] =
        inside[p] ? image[p] + (position.y * inSize.x + position.x) * from.pixel + start * from.quad : 0;
    }
#ifdef HALF_ARITHMETIC
#define SUMS products
    numbers products[PIXELS][2];
    for (int p = 0; p < PIXELS; p++) products[p] = numbers[2](numbers(0), numbers(0));
#else
#define SUMS sums
#endif
    for (int quad = start; quad < end; quad++) {
      numbers x[PIXELS];
      for (int p = 0; p < PIXELS; p++) {
        x[p] = numbers(source(at[p]));
        if (PADDED) x[p] = inside[p] ? x[p] : numbers(0);
        at[p] += inside[p] ? from.quad : 0;
      }
#ifdef LANES
      const vec4 mine = weight(place + int(gl_SubgroupInvocationID & 7));
#define WEIGHT(i) numbers(subgroupShuffle(mine, i))
#else
#define WEIGHT(i) numbers(weight(place + i))
#endif
#define STEP(channel, half)                                                \
  if (CHANNELS == 0 || channel < CHANNELS) {                               \
    const numbers w = WEIGHT(2 * channel + half);                          \
    for (int p = 0; p < PIXELS; p++) SUMS[p][half] += x[p][channel] * w;   \
  }
      STEP(0, 0) STEP(0, 1) STEP(1, 0) STEP(1, 1) STEP(2, 0) STEP(2, 1) STEP(3, 0) STEP(3, 1)
      place += 8;
#ifdef HALF_ARITHMETIC
      if ((quad & 3) != 3 && quad != end - 1) continue;
      for (int p = 0; p < PIXELS; p++) {
        for (int side = 0; side < 2; side++) sums[p][side] += vec4(products[p][side]);
        products[p] = numbers[2](numbers(0), numbers(0));
      }
#endif
    }
    place += (quads - (end - start)) * 8;
  }

  if (PARTS > 1) {
    const int size = int(gl_WorkGroupSize.x);
    const int mine = int(gl_LocalInvocationID.x);
    for (int i = 0; i < 2 * PIXELS && part > 0; i++)
      partials[((part - 1) * 2 * PIXELS + i) * size + mine] = sums[i / 2][i % 2];
    barrier();
    if (part > 0) return;
    for (int other = 0; other < PARTS - 1; other++)
      for (int i = 0; i < 2 * PIXELS; i++) sums[i / 2][i % 2] += partials[(other * 2 * PIXELS + i) * size + mine];
  }
  for (int p = 0; p < PIXELS; p++) {
    const int pixel = first + p * int(gl_WorkGroupSize.x);
    if (pixel >= pixels) break;
    const int n = BATCHED ? pixel / (outSize.x * outSize.y) : 0;
    const int inImage = pixel - n * outSize.x * outSize.y;
    for (int side = 0; side < 2; side++) {
      if (2 * panel + side >= outQuads) break;
      const int place = texel(to, n + product, 2 * panel + side, inImage);
      if (HAS_RESIDUAL) sums[p][side] += residual(place);
      store(place, finish(sums[p][side], 2 * panel + side));
    }
  }
}
