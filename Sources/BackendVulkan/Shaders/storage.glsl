// How shaders read and write tensors, included by each of them.
//
// A tensor is an array of texels: four channels of one pixel, as 32- or 16-bit floats; sums are 32 bits either way. With
// `TEXELS` they are read through texel buffers, where the format converts; otherwise, and for writing, they are plain
// storage buffers.

// Bit b: the tensor at binding b holds 16-bit floats.
layout(constant_id = 1) const int HALVES = 0;
// What is done to results, where the shader ends with an epilogue.
layout(constant_id = 2) const int EPILOGUE = 0;

#ifdef TEXELS
#define SOURCE(place, name)                                              \
  layout(set = 0, binding = place) uniform samplerBuffer name##Texels;   \
  vec4 name(int i) { return texelFetch(name##Texels, i); }
#else
#define SOURCE(place, name)                                                               \
  layout(set = 0, binding = place) readonly buffer name##Block { vec4 name##Texels[]; };  \
  layout(set = 0, binding = place) readonly buffer name##Half { uvec2 name##Halves[]; };  \
  vec4 name(int i) {                                                                      \
    if ((HALVES & 1 << place) == 0) return name##Texels[i];                               \
    const uvec2 t = name##Halves[i];                                                      \
    return vec4(unpackHalf2x16(t.x), unpackHalf2x16(t.y));                                \
  }
#endif

#define RESULT(place)                                                                     \
  layout(set = 0, binding = place) writeonly buffer ResultBlock { vec4 resultTexels[]; }; \
  layout(set = 0, binding = place) writeonly buffer ResultHalf { uvec2 resultHalves[]; }; \
  void store(int i, vec4 value) {                                                         \
    if ((HALVES & 1 << place) == 0) resultTexels[i] = value;                              \
    else resultHalves[i] = uvec2(packHalf2x16(value.xy), packHalf2x16(value.zw));         \
  }

// One of many elements: their groups lie along x, and where there are more than a device takes, along y. A macro, because
// the size of a group is declared behind this file.
#define ELEMENT \
  int((gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x) * gl_WorkGroupSize.x + gl_LocalInvocationID.x)

// Where the texel of a channel quad and a pixel lies: planes of pixels (NCHW) or pixels of quads (NHWC).
struct Layout {
  int image;  // from one image of the batch to the next
  int quad;   // from one quad of channels to the next
  int pixel;  // from one pixel to the next
};
int texel(Layout l, int image, int quad, int pixel) { return image * l.image + quad * l.quad + pixel * l.pixel; }
