// How shaders read and write tensors, included by each of them.
//
// A tensor is an array of texels: four channels of one pixel. `TEXELS` reads them through texel buffers, where the
// format converts; without it they are plain storage buffers. `HALF` stores 16-bit floats, but for PARAMETERs, which are
// few and added late, where a rounding would show; sums are 32 bits either way.

#ifdef TEXELS
#define SOURCE(place, name)                                                  \
  layout(set = 0, binding = place) uniform samplerBuffer name##Texels;       \
  vec4 name(int i) { return texelFetch(name##Texels, i); }
#define PARAMETER(place, name) SOURCE(place, name)
#ifdef HALF
#define FORMAT rgba16f
// Drivers may cut what does not fit the format: round to what does, to nearest.
#define STORED(value) vec4(unpackHalf2x16(packHalf2x16(value.xy)), unpackHalf2x16(packHalf2x16(value.zw)))
#else
#define FORMAT rgba32f
#define STORED(value) value
#endif
#define RESULT(place)                                                        \
  layout(set = 0, binding = place, FORMAT) writeonly uniform imageBuffer resultTexels; \
  void store(int i, vec4 value) { imageStore(resultTexels, i, STORED(value)); }
#else
#define PARAMETER(place, name)                                               \
  layout(set = 0, binding = place) readonly buffer name##Block { vec4 name##Texels[]; }; \
  vec4 name(int i) { return name##Texels[i]; }
#ifdef HALF
#define SOURCE(place, name)                                                  \
  layout(set = 0, binding = place) readonly buffer name##Block { uvec2 name##Texels[]; }; \
  vec4 name(int i) { uvec2 t = name##Texels[i]; return vec4(unpackHalf2x16(t.x), unpackHalf2x16(t.y)); }
#define RESULT(place)                                                        \
  layout(set = 0, binding = place) writeonly buffer ResultBlock { uvec2 resultTexels[]; }; \
  void store(int i, vec4 value) { resultTexels[i] = uvec2(packHalf2x16(value.xy), packHalf2x16(value.zw)); }
#else
#define SOURCE(place, name) PARAMETER(place, name)
#define RESULT(place)                                                        \
  layout(set = 0, binding = place) writeonly buffer ResultBlock { vec4 resultTexels[]; }; \
  void store(int i, vec4 value) { resultTexels[i] = value; }
#endif
#endif

// Where the texel of a channel quad and a pixel lies: planes of pixels (NCHW) or pixels of quads (NHWC).
struct Layout {
  int image;  // from one image of the batch to the next
  int quad;   // from one quad of channels to the next
  int pixel;  // from one pixel to the next
};
int texel(Layout l, int image, int quad, int pixel) { return image * l.image + quad * l.quad + pixel * l.pixel; }
