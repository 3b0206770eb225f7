// What the kernels of every instruction set share with the code that calls them: parameter blocks, one table of
// function pointers, and what Swift's SIMD types cannot say. Functions are static and always inlined: anything else
// would be compiled into modules of different instruction sets, and the linker would keep any one of the copies.
#pragma once
#include <stdint.h>

// All tensors are float32. Strides and offsets count elements. A kernel does the work items begin..<end; any split
// of the items gives the same bits. Working memory is the thread's own, by its number.
typedef void (*PacerKernel)(const void *parameters, long begin, long end, long thread);

// What is done to each sum before it is stored. Limits that are the same for all outputs are kept to in registers; for the
// other kinds they are infinite, and what was stored is gone over while it is in the first cache.
// Counted as in GraphCore's `Epilogue`.
enum { PacerClamp, PacerClampChannels, PacerHardSwish, PacerHardSigmoid, PacerSigmoid, PacerSiLU };
typedef struct {
  long kind;
  float minimum, maximum;
  const float *minima, *maxima;  // PacerClampChannels: by output
} PacerEpilogue;

// output[pixel, o] = epilogue(bias[o] + Σ input[offset(pixel, tap) + c] · weight[o, tap, c] + residual[pixel, o]), channels
// last.
// Items: pixel tiles × output panels; streamedGEMM: output panels × parts of the pixel tiles.
typedef struct {
  const float *input;
  const float *weights;    // panels, depth = taps × channels
  const float *bias;       // null: zeros
  const float *zeros;      // at least `channels` zeros, read where a tap is outside the image
  const float *residual;   // as the output lies; null: none
  float *output;
  const int32_t *offsets;  // [tile][tap][pixel], -1 outside, the last tile filled up with its last pixel; null: pixel ×
                           // inputStride, one tap
  float *scratch;          // scratchStride floats for each thread: a register tile, and a pointer for each row and tap;
                           // streamedGEMM: as much for each of all tiles
  long scratchStride;
  long pixels, taps, channels, inputStride;
  long outputs, outputStride;
  long panelMajor;         // whether all tiles of a panel come before the next panel
  long parts;              // streamedGEMM: parts that the tiles are cut into
  PacerEpilogue epilogue;
} PacerIndirectGEMM;

// Convolution and matrix product of bytes, channels last, depth in fours. `input` is unsigned and `weights` signed; the zero point
// of the input is in `bias`. Each output's sum, as float32, times `factors`; then, if `divisor` is 0, that is the result, and is
// held within minima…maxima. Otherwise `addend` and the numbers that the residual stands for are added where there are such, limits are applied,
// all is divided by `divisor`, and held within minima…maxima. Rounded, moved by `zeroPoint`, and stored as bytes; or stored as
// float32 before the division. What belongs to outputs lies as the weights do: [panel][width].
// Items: pixel tiles × output panels.
typedef struct {
  const uint8_t *input;
  const int8_t *weights;           // from DotLayout: panels with the sums before each
  const int32_t *bias;
  const float *factors, *minima, *maxima;
  const float *addend;             // null: none
  const uint8_t *zeros;            // zero points of the input, as many as there are channels
  const uint8_t *residual;         // as the output lies; null: none
  void *output;
  const int32_t *offsets;          // as of PacerIndirectGEMM
  uint8_t *scratch;                // scratchStride bytes for each thread: a pointer for each row and tap, and where taps are joined
  long scratchStride;              // a row of `depth` bytes for each pixel of a tile; a panel of 16 bits, where there is wideOffset
  long wideOffset;                 // where in scratch that is, with panelMajor; 0: panels are not widened
  long pixels, taps, channels, inputStride;
  long depth;                      // of all taps together, a multiple of 4
  long isSmall;                    // whether no weight is beyond ±64
  long isJoined;                   // whether taps are copied to one another first: channels are no multiple of 4
  long outputs, outputStride;
  long panelMajor;
  long zeroPoint, isFloat;
  long saturates;                  // whether what bytes can hold is all that limits the result, no number is 2³¹ or more, and divisor is 0
  float divisor, minimum, maximum; // limits before the division
  float residualScale;
  long residualZeroPoint;
} PacerDotGEMM;

// Depthwise convolution of bytes, channels last, like PacerDotGEMM without a residual. Items: output rows, or pairs of them.
typedef struct {
  const uint8_t *input;
  const int8_t *weights;           // from DotLayout: blocks with the sums before each
  const int32_t *bias;             // [block][width], as `factors`, `minima` and `maxima`
  const float *factors, *minima, *maxima;
  const uint8_t *zeros;            // zero points of the input, as many as a block is wide
  uint8_t *output;
  uint8_t *scratch;                // scratchStride bytes for each thread: sums of a few pixels, and a row's columns in fours
  long scratchStride;
  long channels, height, width, outputHeight, outputWidth;
  long kernelHeight, kernelWidth, strideHeight, strideWidth, padHeight, padWidth, padRight, dilationHeight, dilationWidth;
  long zeroPoint, saturates;       // as of PacerDotGEMM
  long isPaired;                   // whether an item is two output rows, whose windows of three rows are in one column of four
} PacerDotColumns;

// 3×3 convolution of stride 1 by Winograd's F(4×4, 3×3), channels last: like indirectGEMM, tiles of 4×4 outputs at a time.
// Items: blocks of tiles × parts of the output panels; streamedWinograd: output panels.
typedef struct {
  const float *input;
  const float *weights;            // [panel][36][channels][gemmWidth]; streamedWinograd: [panel][channels][9][lanes]
  const float *bias;               // null: zeros
  const float *zeros;              // at least as many zeros as channels, and as a panel is wide
  const float *residual;           // as the output lies; null: none
  float *output;
  float *scratch;                  // scratchStride floats for each thread
  long scratchStride;
  long height, width, channels, outputHeight, outputWidth, outputs, padHeight, padWidth;
  long tilesAcross, tiles;         // tiles in a row, and in all
  long blockTiles, parts;
  long channelsAtOnce;             // streamedWinograd: channels whose weights stay in cache meanwhile, whole vectors
  PacerEpilogue epilogue;
} PacerWinograd;

// A plane with its border, taken apart by the remainders of its coordinates divided by the stride: phase (y, x) holds
// the values at (y + strideHeight · i, x + strideWidth · j) of the bordered plane.
typedef struct {
  long height, width, strideHeight, strideWidth, padHeight, padWidth;
  long rows, columns;              // phases that taps fall into
  long phaseHeight, phaseWidth;
  float padding;                   // value of the border
} PacerPhases;

// Items: planes.
typedef struct {
  const float *input;
  float *output;
  long planes, outputStride;       // with room for one vector between the phases of two planes
  PacerPhases phases;
} PacerCopyPhases;

// output[o, position] = epilogue(bias[o] + Σ weight[o, step] · input[position + offsets[step]] + residual[o, position]),
// NCHW.
// Items: blocks of outputs × panels of positions.
typedef struct {
  const float *input;
  const int32_t *offsets;
  const float *weights;            // panels
  const float *bias;               // null: zeros
  const float *residual;           // as the output lies; null: none
  float *output;
  long depth, positions, outputs, planeStride;
  long rowWidth, outputWidth;      // positions and pixels of an output row
  long hasSlack;                   // whether a panel more than all positions may be read; else there is at least one
  long panelMajor;                 // whether all blocks of a panel come before the next panel
  float *scratch;                  // a register tile and a vector for each thread
  PacerEpilogue epilogue;
} PacerPlaneGEMM;

// Rows of an image under one row of windows, copied with zeros around them.
typedef struct {
  long count;              // 0: one row as it is
  long stride, padHeight, padWidth, padRight, height, width, channels;
} PacerRows;

// Depthwise convolution, channels last. Items: output rows.
typedef struct {
  const float *input;
  const float *weights;    // [tap][channelStride]
  const float *bias;       // null: zeros
  const float *zeros;      // a row of the input with its border, and a vector more
  float *output;
  float *scratch;          // scratchStride floats for each thread: as many rows as the window is high, with their borders,
  long scratchStride;      // a vector, an output row, and the image's rows below; one more of both rows if paired
  PacerIndirectGEMM expand;   // gives a row of the input; without weights: it is copied
  PacerRows rows;             // what a row is made of, where it is more than one row of the image
  PacerIndirectGEMM project;  // of an output row; without weights: it is the output
  long channels, channelStride, height, width, outputHeight, outputWidth;
  long kernelHeight, kernelWidth, strideHeight, strideWidth, padHeight, padWidth, padRight;
  long dilationHeight, dilationWidth;
  long isPaired;              // whether two output rows are made at a time: a 3×3 window of stride 1
  PacerEpilogue epilogue;
} PacerDepthwiseNHWC;

// A window over single planes (NCHW): depthwise convolution or maximum. Items: planes.
typedef struct {
  const float *input;
  const float *weights;            // [channel][tap]; null: maximum
  const float *bias;
  float *output;
  float *scratch;                  // scratchStride floats for each thread
  const int32_t *distances;        // of each tap, in the phases
  long scratchStride;
  long channels, taps, positions, outputHeight, outputWidth;
  PacerPhases phases;
  PacerEpilogue epilogue;
} PacerPlaneWindow;

// Largest value under a window, channels last. Items: output rows.
typedef struct {
  const float *input;
  float *output;
  long channels, height, width, outputHeight, outputWidth;
  long kernelHeight, kernelWidth, strideHeight, strideWidth, padHeight, padWidth, dilationHeight, dilationWidth;
  long divisor;  // averagePoolNHWC: of each sum; 0: what lies inside the image
} PacerMaxPoolNHWC;

// output[row] = weights of rows × weights of columns, each two places of the input, or one. Items: output rows of all images.
typedef struct {
  const float *input;
  float *output;
  const int32_t *rowPlaces, *columnPlaces;    // two for each output row and column
  const float *rowWeights, *columnWeights;
  long channels, height, width, outputHeight, outputWidth;
  long isNearest;                             // whether the first place alone counts, whatever its weight
} PacerResize;

// Of each row of `count` elements: softmax along `inner` apart. Items: rows, or blocks of lanes of `inner` neighbours.
typedef struct {
  const float *input;
  float *output;
  long count, inner;
} PacerSoftmax;

// Rows of `count` elements: one number each, or normalised. Items: rows.
enum { PacerRowSum, PacerRowMean, PacerRowMaximum };
typedef struct {
  const float *input;
  const float *scale, *bias;  // layerNorm; null: none
  float *output;
  long count, function;
  float epsilon;
  long isRootMeanSquare;
} PacerRowNumbers;

// output[row] = added[row] + Σ matrix[row, k] · vector[k]. Items: rows.
typedef struct {
  const float *matrix;
  const float *vector;
  const float *added;
  float *output;
  long depth;
} PacerDots;

// output = a · scale + shift per channel, or a · b, or epilogue(a + b), or epilogue(a).
// Items: rows of `channels` (channels last), planes (NCHW), or blocks of 1024 elements.
typedef struct {
  const float *a;
  const float *b;
  const float *scale;
  const float *shift;
  float *output;
  long channels, pixels, count;  // of blocks: elements in all, and neighbours in a row of the same channel
  PacerEpilogue epilogue;
} PacerElementwise;

// output[line][i] = function(a[aPlaces[line] + i · aStride], b[bPlaces[line] + i · bStride]), lines one behind the other.
// Items: lines. Counted as in GraphCore's `Binary.Function`, of which these are the first.
enum { PacerAdd, PacerSubtract, PacerMultiply, PacerDivide, PacerMinimum, PacerMaximum };
typedef struct {
  const float *a;
  const float *b;
  float *output;
  const int32_t *aPlaces, *bPlaces;
  long count, aStride, bStride;  // of a line; strides are 0 or 1
  long function;
} PacerBinary;

// output = function(a). Items: blocks of 1024 elements. alpha and beta are the function's own.
enum {
  PacerAbsolute, PacerNegate, PacerSquareRoot, PacerReciprocal, PacerExp, PacerTanh, PacerErf, PacerGELU, PacerLeakyReLU,
  PacerELU, PacerHardSigmoidOf
};
typedef struct {
  const float *a;
  float *output;
  long count, function;
  float alpha, beta;
} PacerUnary;

// Numbers to bytes that stand for them, saturate(round(x / scale) + zeroPoint), or back, (x − zeroPoint) · scale. Items: blocks of
// 1024 elements.
typedef struct {
  const void *input;
  void *output;
  long count;
  float scale;
  long zeroPoint, isSigned;
} PacerQuantize;

// How far numbers go below and above zero, of each block of 1024; NaN does not count. Items: blocks.
typedef struct {
  const float *input;
  float *below, *above;  // one for each block, 0 or more
  long count;
} PacerRange;

// Mean or maximum of bytes under a window, channels last, as bytes or as float32:
// ((Σ (x − inputZeroPoint)) / count) · inputScale / scale, each rounded as float32. Items: output rows.
typedef struct {
  const uint8_t *input;
  void *output;
  long channels, height, width, outputHeight, outputWidth;
  long kernelHeight, kernelWidth, strideHeight, strideWidth, padHeight, padWidth, dilationHeight, dilationWidth;
  long divisor;                    // of each sum; 0: what lies inside the image
  long isMaximum, isFloat;
  float inputScale, scale;
  long inputZeroPoint, zeroPoint;
} PacerBytePool;

// Mean over the pixels. Items: channels.
typedef struct {
  const float *input;
  float *output;
  long channels, pixels;
} PacerGlobalPool;

// From NCHW to NHWC or back, of float32 or of bytes. Items: pixels (to NHWC) or channels (to NCHW).
typedef struct {
  const void *input;
  void *output;
  long channels, pixels;
} PacerTranspose;

typedef struct __attribute__((swift_attr("@Sendable"))) {
  const char *name;
  long lanes;              // floats per vector
  long widensDots;         // whether dotGEMM multiplies 16 bits, to which it widens a panel for all its tiles
  long addsSmallDots;      // whether dotGEMM is faster where no weight is beyond ±64
  long gemmWidth;          // outputs per weight panel of indirectGEMM
  long gemmRows;           // pixels per tile of indirectGEMM
  long streamWidth;        // the same of streamedGEMM
  long streamRows;
  long filterTiles;        // tiles that streamedWinograd transforms a weight for
  long planePanel;         // positions per panel of planeGEMM
  long planeBlock;         // outputs per weight panel of planeGEMM
  long dotRows;            // pixels per tile of dotGEMM
  PacerKernel indirectGEMM, streamedGEMM, winograd, streamedWinograd;
  PacerKernel copyPhases, planeGEMM, depthwiseNHWC, planeWindow, maxPoolNHWC;
  PacerKernel affineNHWC, affineNCHW, add, multiply, activate, binary, unary, globalPoolNHWC, globalPoolNCHW, toNHWC, toNCHW, bytesToNHWC, bytesToNCHW;
  PacerKernel dotGEMM, dotColumns, range, quantize, dequantize, bytePool;
  PacerKernel averagePoolNHWC, resize, softmax, reduceRows, layerNorm, dots;
  PacerKernel peakMultiplyAdd, peakDot;  // peakDot is null where the set multiplies no bytes
  long peakMultiplyAdds, peakDots;       // multiply-adds of one item
} PacerKernelTable;

// Sums of products of bytes, ten sums at a time. Items: rounds of ten instructions' worth. The parameter is one int32
// that depends on all of them. In C: Swift's SIMD types have no such product. Named after the module they are compiled in.
#define PACER_PEAK_DOT(name, vector, step)                                                \
  static inline void name(const void *parameters, long begin, long end, long thread) {    \
    int32_t *output = (int32_t *)parameters;                                              \
    vector a = (vector){*output}, b = a + 1, c = a + 2, d = a + 3, e = a + 4;             \
    vector f = a + 5, g = a + 6, h = a + 7, i = a + 8, j = a + 9, x = a + 3, y = a + 5;   \
    for (long round = begin; round < end; round++) {                                      \
      a = step(a, x, y); b = step(b, x, y); c = step(c, x, y); d = step(d, x, y);         \
      e = step(e, x, y); f = step(f, x, y); g = step(g, x, y); h = step(h, x, y);         \
      i = step(i, x, y); j = step(j, x, y);                                               \
    }                                                                                     \
    vector sum = a + b + c + d + e + f + g + h + i + j;                                   \
    *output = sum[0];                                                                     \
  }
#if defined(__AVX512VNNI__)
typedef int32_t pacer_int16 __attribute__((ext_vector_type(16)));
#define PACER_DOT(sum, x, y) ((pacer_int16)__builtin_ia32_vpdpbusd512(sum, x, y))
PACER_PEAK_DOT(pacer_peak_dot_x86AVX512, pacer_int16, PACER_DOT)
#elif defined(__AVX2__)
typedef int32_t pacer_int8 __attribute__((ext_vector_type(8)));
typedef int16_t pacer_short16 __attribute__((ext_vector_type(16)));
typedef char pacer_char32 __attribute__((ext_vector_type(32)));
static inline __attribute__((always_inline)) pacer_int8 pacer_dot(pacer_int8 sum, pacer_int8 x, pacer_int8 y) {
  // Whoever computes y anew must multiply anew: equal products would be computed once.
  __asm__ volatile("" : "+x"(y));
  const pacer_short16 pairs = (pacer_short16)__builtin_ia32_pmaddubsw256((pacer_char32)x, (pacer_char32)y);
  return sum + (pacer_int8)__builtin_ia32_pmaddwd256(pairs, (pacer_short16)1);
}
PACER_PEAK_DOT(pacer_peak_dot_x86AVX2, pacer_int8, pacer_dot)
#endif

// Brings a line to the first cache. Any address will do.
static inline __attribute__((always_inline)) void pacer_prefetch(const void *p) { __builtin_prefetch(p); }
// The same, to a core's second cache.
static inline __attribute__((always_inline)) void pacer_prefetch_outer(const void *p) { __builtin_prefetch(p, 0, 2); }

// The floats at even places of the 2 × lanes that begin at `p`.
#define PACER_EVEN(lanes, ...)                                                                        \
  typedef float pacer_float##lanes __attribute__((ext_vector_type(lanes)));                           \
  static inline __attribute__((always_inline)) pacer_float##lanes pacer_even##lanes(const float *p) { \
    pacer_float##lanes low, high;                                                                     \
    __builtin_memcpy(&low, p, sizeof low);                                                            \
    __builtin_memcpy(&high, p + lanes, sizeof high);                                                  \
    return __builtin_shufflevector(low, high, __VA_ARGS__);                                           \
  }
// Swift's own operators are done lane by lane where the compiler does not put them together again, and it often tears a
// vector into pieces for that.
#define PACER_OPERATOR(name, lanes, operator)                                                \
  static inline __attribute__((always_inline)) pacer_float##lanes pacer_##name##lanes(       \
      pacer_float##lanes a, pacer_float##lanes b) {                                          \
    return a operator b;                                                                     \
  }
#ifdef __FMA__
#define PACER_FMA(lanes)                                                                     \
  static inline __attribute__((always_inline)) pacer_float##lanes pacer_fma##lanes(          \
      pacer_float##lanes sum, pacer_float##lanes a, pacer_float##lanes b) {                  \
    return __builtin_elementwise_fma(a, b, sum);                                             \
  }
#else
#define PACER_FMA(lanes)
#endif
#define PACER_OPERATORS(lanes)         \
  PACER_OPERATOR(sum, lanes, +)        \
  PACER_OPERATOR(difference, lanes, -) \
  PACER_OPERATOR(product, lanes, *)    \
  PACER_FMA(lanes)
PACER_EVEN(4, 0, 2, 4, 6)
PACER_OPERATORS(4)
#ifdef __AVX__
PACER_EVEN(8, 0, 2, 4, 6, 8, 10, 12, 14)
PACER_OPERATORS(8)
#endif
#ifdef __AVX512F__
PACER_EVEN(16, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
PACER_OPERATORS(16)
#endif

// e to the power of each lane, within −87…88: 2 to the power of the nearest whole number of halvings, which goes into the
// exponent's bits, times a polynomial of the rest (Cephes' expf). At most 2 units in the last place off.
#ifdef __FMA__
#define PACER_ADD_PRODUCT(a, b, sum) __builtin_elementwise_fma(a, b, sum)
#else
#define PACER_ADD_PRODUCT(a, b, sum) ((a) * (b) + (sum))
#endif
#define PACER_EXP(lanes)                                                                              \
  typedef uint32_t pacer_bits##lanes __attribute__((ext_vector_type(lanes)));                         \
  static inline __attribute__((always_inline)) pacer_float##lanes pacer_exp##lanes(                   \
      pacer_float##lanes x) {                                                                         \
    typedef pacer_float##lanes vector;                                                                \
    const vector shift = (vector)12582912.0f;                                                         \
    const vector shifted = PACER_ADD_PRODUCT(x, (vector)1.44269504f, shift), n = shifted - shift;     \
    vector r = PACER_ADD_PRODUCT(n, (vector)-0.693359375f, x);                                        \
    r = PACER_ADD_PRODUCT(n, (vector)2.12194440e-4f, r);                                              \
    vector y = PACER_ADD_PRODUCT(r, (vector)1.9875691500e-4f, (vector)1.3981999507e-3f);              \
    y = PACER_ADD_PRODUCT(y, r, (vector)8.3334519073e-3f);                                            \
    y = PACER_ADD_PRODUCT(y, r, (vector)4.1665795894e-2f);                                            \
    y = PACER_ADD_PRODUCT(y, r, (vector)1.6666665459e-1f);                                            \
    y = PACER_ADD_PRODUCT(y, r, (vector)5.0000001201e-1f);                                            \
    y = PACER_ADD_PRODUCT(y, r * r, r) + 1;                                                           \
    return y * (vector)(((pacer_bits##lanes)shifted << 23) + 0x3f800000);                             \
  }
PACER_EXP(4)
PACER_OPERATOR(quotient, 4, /)
#ifdef __AVX__
PACER_EXP(8)
PACER_OPERATOR(quotient, 8, /)
#endif
#ifdef __AVX512F__
PACER_EXP(16)
PACER_OPERATOR(quotient, 16, /)
#endif

// The hyperbolic tangent and the error function as quotients of polynomials, within a few units in the last place
// (coefficients: Eigen's generic_fast_tanh_float and generic_fast_erf_float, https://gitlab.com/libeigen/eigen).
#define PACER_RATIONAL(lanes)                                                                               \
  static inline __attribute__((always_inline)) pacer_float##lanes pacer_tanh##lanes(pacer_float##lanes x) { \
    typedef pacer_float##lanes vector;                                                                      \
    const vector s = x * x;                                                                                 \
    vector p = PACER_ADD_PRODUCT(s, (vector)-2.76076847742355e-16f, (vector)2.00018790482477e-13f);         \
    p = PACER_ADD_PRODUCT(p, s, (vector)-8.60467152213735e-11f);                                            \
    p = PACER_ADD_PRODUCT(p, s, (vector)5.12229709037114e-08f);                                             \
    p = PACER_ADD_PRODUCT(p, s, (vector)1.48572235717979e-05f);                                             \
    p = PACER_ADD_PRODUCT(p, s, (vector)6.37261928875436e-04f);                                             \
    p = PACER_ADD_PRODUCT(p, s, (vector)4.89352455891786e-03f);                                             \
    vector q = PACER_ADD_PRODUCT(s, (vector)1.19825839466702e-06f, (vector)1.18534705686654e-04f);          \
    q = PACER_ADD_PRODUCT(q, s, (vector)2.26843463243900e-03f);                                             \
    q = PACER_ADD_PRODUCT(q, s, (vector)4.89352518554385e-03f);                                             \
    return x * p / q;                                                                                       \
  }                                                                                                         \
  static inline __attribute__((always_inline)) pacer_float##lanes pacer_erf##lanes(pacer_float##lanes x) {  \
    typedef pacer_float##lanes vector;                                                                      \
    const vector s = x * x;                                                                                 \
    vector p = PACER_ADD_PRODUCT(s, (vector)-2.72614225801306e-10f, (vector)2.77068142495902e-08f);         \
    p = PACER_ADD_PRODUCT(p, s, (vector)-2.10102402082508e-06f);                                            \
    p = PACER_ADD_PRODUCT(p, s, (vector)-5.69250639462346e-05f);                                            \
    p = PACER_ADD_PRODUCT(p, s, (vector)-7.34990630326855e-04f);                                            \
    p = PACER_ADD_PRODUCT(p, s, (vector)-2.95459980854025e-03f);                                            \
    p = PACER_ADD_PRODUCT(p, s, (vector)-1.60960333262415e-02f);                                            \
    vector q = PACER_ADD_PRODUCT(s, (vector)-1.45660718464996e-05f, (vector)-2.13374055278905e-04f);        \
    q = PACER_ADD_PRODUCT(q, s, (vector)-1.68282697438203e-03f);                                            \
    q = PACER_ADD_PRODUCT(q, s, (vector)-7.37332916720468e-03f);                                            \
    q = PACER_ADD_PRODUCT(q, s, (vector)-1.42647390514189e-02f);                                            \
    return x * p / q;                                                                                       \
  }                                                                                                         \
  static inline __attribute__((always_inline)) pacer_float##lanes pacer_root##lanes(pacer_float##lanes x) { \
    return __builtin_elementwise_sqrt(x);                                                                   \
  }                                                                                                         \
  /* value, but where x is above a limit, or no number. */                                                  \
  static inline __attribute__((always_inline)) pacer_float##lanes pacer_unless_above##lanes(                \
      pacer_float##lanes x, pacer_float##lanes limit, pacer_float##lanes above, pacer_float##lanes value) { \
    const pacer_bits##lanes mask = (pacer_bits##lanes)(x > limit);                                          \
    return (pacer_float##lanes)(((pacer_bits##lanes)above & mask) | ((pacer_bits##lanes)value & ~mask));    \
  }                                                                                                         \
  static inline __attribute__((always_inline)) pacer_float##lanes pacer_unless_nan##lanes(                  \
      pacer_float##lanes x, pacer_float##lanes value) {                                                     \
    const pacer_bits##lanes mask = (pacer_bits##lanes)(x != x);                                             \
    return (pacer_float##lanes)(((pacer_bits##lanes)x & mask) | ((pacer_bits##lanes)value & ~mask));        \
  }
PACER_RATIONAL(4)
#ifdef __AVX__
PACER_RATIONAL(8)
#endif
#ifdef __AVX512F__
PACER_RATIONAL(16)
#endif
#undef PACER_RATIONAL
#undef PACER_ADD_PRODUCT
#undef PACER_EXP
#undef PACER_EVEN
#undef PACER_OPERATOR
#undef PACER_OPERATORS
#undef PACER_FMA

// Four pixels of three channels, from a plane each to one behind the other.
static inline __attribute__((always_inline)) void pacer_interleave3(
    const float *red, const float *green, const float *blue, float *output) {
  pacer_float4 r, g, b;
  __builtin_memcpy(&r, red, sizeof r);
  __builtin_memcpy(&g, green, sizeof g);
  __builtin_memcpy(&b, blue, sizeof b);
  const pacer_float4 low = __builtin_shufflevector(r, g, 0, 4, 1, 5), high = __builtin_shufflevector(r, g, 2, 6, 3, 7);
  const pacer_float4 second = __builtin_shufflevector(low, b, 3, 5, 3, 5);
  const pacer_float4 lines[3] = {
      __builtin_shufflevector(low, b, 0, 1, 4, 2), __builtin_shufflevector(second, high, 0, 1, 4, 5),
      __builtin_shufflevector(b, high, 2, 6, 7, 3)};
  __builtin_memcpy(output, lines, sizeof lines);
}

// Sixteen pixels of three channels of a byte. Of each 16 of 48 bytes those of red and green first, then with blue.
static inline __attribute__((always_inline)) void pacer_interleave3_bytes(
    const uint8_t *red, const uint8_t *green, const uint8_t *blue, uint8_t *output) {
  typedef uint8_t bytes __attribute__((ext_vector_type(16)));
  bytes r, g, b;
  __builtin_memcpy(&r, red, sizeof r);
  __builtin_memcpy(&g, green, sizeof g);
  __builtin_memcpy(&b, blue, sizeof b);
  const bytes first = __builtin_shufflevector(r, g, 0, 16, 0, 1, 17, 0, 2, 18, 0, 3, 19, 0, 4, 20, 0, 5);
  const bytes second = __builtin_shufflevector(r, g, 21, 0, 6, 22, 0, 7, 23, 0, 8, 24, 0, 9, 25, 0, 10, 26);
  const bytes third = __builtin_shufflevector(r, g, 0, 11, 27, 0, 12, 28, 0, 13, 29, 0, 14, 30, 0, 15, 31, 0);
  const bytes lines[3] = {
      __builtin_shufflevector(first, b, 0, 1, 16, 3, 4, 17, 6, 7, 18, 9, 10, 19, 12, 13, 20, 15),
      __builtin_shufflevector(second, b, 0, 21, 2, 3, 22, 5, 6, 23, 8, 9, 24, 11, 12, 25, 14, 15),
      __builtin_shufflevector(third, b, 26, 1, 2, 27, 4, 5, 28, 7, 8, 29, 10, 11, 30, 13, 14, 31)};
  __builtin_memcpy(output, lines, sizeof lines);
}

// The first `count` lanes, 0 to all of them; the others are 0, or left as they are in memory.
#ifdef __AVX2__
typedef int32_t pacer_mask8 __attribute__((ext_vector_type(8)));
static inline __attribute__((always_inline)) pacer_mask8 pacer_first8(long count) {
  return (pacer_mask8){0, 1, 2, 3, 4, 5, 6, 7} < (pacer_mask8)(int32_t)count;
}
static inline __attribute__((always_inline)) pacer_float8 pacer_read_part8(const float *p, long count) {
  return (pacer_float8)__builtin_ia32_maskloadps256((const __attribute__((vector_size(32))) float *)p, pacer_first8(count));
}
static inline __attribute__((always_inline)) void pacer_write_part8(pacer_float8 x, float *p, long count) {
  __builtin_ia32_maskstoreps256((__attribute__((vector_size(32))) float *)p, pacer_first8(count), x);
}
#endif
#ifdef __AVX512F__
static inline __attribute__((always_inline)) pacer_float16 pacer_read_part16(const float *p, long count) {
  return (pacer_float16)__builtin_ia32_loadups512_mask(p, (pacer_float16)0.0f, (1 << count) - 1);
}
static inline __attribute__((always_inline)) void pacer_write_part16(pacer_float16 x, float *p, long count) {
  __builtin_ia32_storeups512_mask(p, x, (1 << count) - 1);
}
#endif

// The larger of each two lanes; one that is no number is passed over if it is the first.
#if defined(__SSE__)
static inline __attribute__((always_inline)) pacer_float4 pacer_max4(pacer_float4 x, pacer_float4 best) {
  return (pacer_float4)__builtin_ia32_maxps(x, best);
}
#else
static inline __attribute__((always_inline)) pacer_float4 pacer_max4(pacer_float4 x, pacer_float4 best) {
  for (int i = 0; i < 4; i++) best[i] = x[i] > best[i] ? x[i] : best[i];
  return best;
}
#endif
#ifdef __AVX__
static inline __attribute__((always_inline)) pacer_float8 pacer_max8(pacer_float8 x, pacer_float8 best) {
  return (pacer_float8)__builtin_ia32_maxps256(x, best);
}
#endif
#ifdef __AVX512F__
static inline __attribute__((always_inline)) pacer_float16 pacer_max16(pacer_float16 x, pacer_float16 best) {
  return (pacer_float16)__builtin_ia32_maxps512(x, best, 4);
}
#endif

// The lanes within two limits. One instruction each; what Swift's `replacing` gives is three. A lane that is no number
// stays so: it is the second operand.
#if defined(__SSE__)
static inline __attribute__((always_inline)) pacer_float4 pacer_clamp4(pacer_float4 x, pacer_float4 low, pacer_float4 high) {
  return (pacer_float4)__builtin_ia32_minps(high, __builtin_ia32_maxps(low, x));
}
#else
static inline __attribute__((always_inline)) pacer_float4 pacer_clamp4(pacer_float4 x, pacer_float4 low, pacer_float4 high) {
  for (int i = 0; i < 4; i++) x[i] = x[i] < low[i] ? low[i] : x[i] > high[i] ? high[i] : x[i];
  return x;
}
#endif
#ifdef __AVX__
static inline __attribute__((always_inline)) pacer_float8 pacer_clamp8(pacer_float8 x, pacer_float8 low, pacer_float8 high) {
  return (pacer_float8)__builtin_ia32_minps256(high, __builtin_ia32_maxps256(low, x));
}
#endif
#ifdef __AVX512F__
static inline __attribute__((always_inline)) pacer_float16 pacer_clamp16(
    pacer_float16 x, pacer_float16 low, pacer_float16 high) {
  return (pacer_float16)__builtin_ia32_minps512(high, __builtin_ia32_maxps512(low, x, 4), 4);
}
#endif

// Bytes and the sums of their products, by lanes of 32 bits. What pacer_interleave gives is in the order of instructions that work
// on 16 bytes each, which pacer_pack and pacer_write_bytes undo.
#define PACER_LANES(lanes)                                                                                            \
  typedef int32_t pacer_ints##lanes __attribute__((ext_vector_type(lanes)));                                           \
  typedef int16_t pacer_shorts##lanes __attribute__((ext_vector_type(2 * lanes)));                                     \
  typedef uint8_t pacer_halves##lanes __attribute__((ext_vector_type(2 * lanes)));                                     \
  static inline __attribute__((always_inline)) pacer_float##lanes pacer_floats##lanes(pacer_ints##lanes x) {           \
    return __builtin_convertvector(x, pacer_float##lanes);                                                             \
  }                                                                                                                    \
  static inline __attribute__((always_inline)) pacer_ints##lanes pacer_all##lanes(const uint8_t *p) {                  \
    int32_t four;                                                                                                      \
    __builtin_memcpy(&four, p, 4);                                                                                     \
    return (pacer_ints##lanes)four;                                                                                    \
  }                                                                                                                    \
  /* Two vectors of numbers rounded to integers, moved, and held within what 16 bits can be. */                        \
  static inline __attribute__((always_inline)) pacer_shorts##lanes pacer_pack##lanes(                                  \
      pacer_float##lanes a, pacer_float##lanes b, int16_t zero) {                                                      \
    const pacer_shorts##lanes both = pacer_saturate##lanes(pacer_round##lanes(a), pacer_round##lanes(b));              \
    return __builtin_elementwise_add_sat(both, (pacer_shorts##lanes)zero);                                             \
  }                                                                                                                    \
  static inline __attribute__((always_inline)) void pacer_write_halves##lanes(pacer_shorts##lanes x, uint8_t *p) {     \
    const pacer_halves##lanes bytes = __builtin_convertvector(x, pacer_halves##lanes);                                 \
    __builtin_memcpy(p, &bytes, sizeof bytes);                                                                         \
  }                                                                                                                    \
  /* Each lane's bytes moved to the next place. */                                                                     \
  static inline __attribute__((always_inline)) pacer_ints##lanes pacer_moved_bytes##lanes(const int8_t *p) {           \
    typedef uint32_t words __attribute__((ext_vector_type(lanes)));                                                    \
    words x;                                                                                                           \
    __builtin_memcpy(&x, p, sizeof x);                                                                                 \
    return (pacer_ints##lanes)(x << 8);                                                                                \
  }                                                                                                                    \
  /* The numbers of one vector, rounded, moved and stored as bytes; they are within what those can be. */               \
  static inline __attribute__((always_inline)) void pacer_write_rounded##lanes(                                        \
      pacer_float##lanes x, int32_t zero, uint8_t *p) {                                                                \
    typedef uint8_t bytes __attribute__((ext_vector_type(lanes)));                                                     \
    const bytes narrow = __builtin_convertvector(pacer_round##lanes(x) + zero, bytes);                                 \
    __builtin_memcpy(p, &narrow, sizeof narrow);                                                                       \
  }                                                                                                                    \
  static inline __attribute__((always_inline)) pacer_ints##lanes pacer_widened_signed##lanes(const uint8_t *p) {       \
    typedef int8_t bytes __attribute__((ext_vector_type(lanes)));                                                      \
    bytes narrow;                                                                                                      \
    __builtin_memcpy(&narrow, p, sizeof narrow);                                                                       \
    return __builtin_convertvector(narrow, pacer_ints##lanes);                                                         \
  }                                                                                                                    \
  /* As many bytes as there are lanes, each as an integer. */                                                          \
  static inline __attribute__((always_inline)) pacer_ints##lanes pacer_widened##lanes(const uint8_t *p) {              \
    typedef uint8_t bytes __attribute__((ext_vector_type(lanes)));                                                     \
    bytes narrow;                                                                                                      \
    __builtin_memcpy(&narrow, p, sizeof narrow);                                                                       \
    return __builtin_convertvector(narrow, pacer_ints##lanes);                                                         \
  }                                                                                                                    \
  /* Bytes as two vectors of integers that pacer_pack would put together again. */                                     \
  static inline __attribute__((always_inline)) pacer_ints##lanes pacer_low##lanes(const uint8_t *p) {                  \
    pacer_halves##lanes bytes;                                                                                         \
    __builtin_memcpy(&bytes, p, sizeof bytes);                                                                         \
    return pacer_low_words##lanes(__builtin_convertvector(bytes, pacer_shorts##lanes));                                \
  }                                                                                                                    \
  static inline __attribute__((always_inline)) pacer_ints##lanes pacer_high##lanes(const uint8_t *p) {                 \
    pacer_halves##lanes bytes;                                                                                         \
    __builtin_memcpy(&bytes, p, sizeof bytes);                                                                         \
    return pacer_high_words##lanes(__builtin_convertvector(bytes, pacer_shorts##lanes));                               \
  }

#define PACER_FROM(lanes, name, type, result, value) \
  static inline __attribute__((always_inline)) result##lanes name##lanes(type##lanes x) { return (result##lanes)(value); }

#if defined(__SSE2__)
#include <immintrin.h>
typedef int32_t pacer_ints4 __attribute__((ext_vector_type(4)));
typedef int16_t pacer_shorts4 __attribute__((ext_vector_type(8)));
PACER_FROM(4, pacer_round, pacer_float, pacer_ints, _mm_cvtps_epi32((__m128)x))
PACER_FROM(4, pacer_low_words, pacer_shorts, pacer_ints, _mm_unpacklo_epi16((__m128i)x, _mm_setzero_si128()))
PACER_FROM(4, pacer_high_words, pacer_shorts, pacer_ints, _mm_unpackhi_epi16((__m128i)x, _mm_setzero_si128()))
static inline __attribute__((always_inline)) pacer_shorts4 pacer_saturate4(pacer_ints4 a, pacer_ints4 b) {
  return (pacer_shorts4)_mm_packs_epi32((__m128i)a, (__m128i)b);
}
PACER_LANES(4)
// Bytes that are no less than 0 of two vectors that pacer_pack gave.
static inline __attribute__((always_inline)) void pacer_write_bytes4(pacer_shorts4 a, pacer_shorts4 b, uint8_t *p) {
  _mm_storeu_si128((__m128i *)p, _mm_packus_epi16((__m128i)a, (__m128i)b));
}
// The same to two rows of bytes.
static inline __attribute__((always_inline)) void pacer_write_rows4(pacer_shorts4 a, pacer_shorts4 b, uint8_t *p, uint8_t *q) {
  const __m128i both = _mm_packus_epi16((__m128i)a, (__m128i)b);
  _mm_storel_epi64((__m128i *)p, both);
  _mm_storel_epi64((__m128i *)q, _mm_unpackhi_epi64(both, both));
}
static inline __attribute__((always_inline)) void pacer_interleave4(
    const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d, uint8_t *p) {
  const __m128i w = _mm_loadu_si128((const __m128i *)a), x = _mm_loadu_si128((const __m128i *)b);
  const __m128i y = _mm_loadu_si128((const __m128i *)c), z = _mm_loadu_si128((const __m128i *)d);
  const __m128i low = _mm_unpacklo_epi8(w, x), high = _mm_unpackhi_epi8(w, x);
  const __m128i lower = _mm_unpacklo_epi8(y, z), higher = _mm_unpackhi_epi8(y, z);
  _mm_storeu_si128((__m128i *)p, _mm_unpacklo_epi16(low, lower));
  _mm_storeu_si128((__m128i *)p + 1, _mm_unpackhi_epi16(low, lower));
  _mm_storeu_si128((__m128i *)p + 2, _mm_unpacklo_epi16(high, higher));
  _mm_storeu_si128((__m128i *)p + 3, _mm_unpackhi_epi16(high, higher));
}
// The same of half as many, in the order that pacer_pack undoes.
static inline __attribute__((always_inline)) void pacer_interleave_half4(
    const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d, uint8_t *p) {
  const __m128i low = _mm_unpacklo_epi8(_mm_loadl_epi64((const __m128i *)a), _mm_loadl_epi64((const __m128i *)b));
  const __m128i high = _mm_unpacklo_epi8(_mm_loadl_epi64((const __m128i *)c), _mm_loadl_epi64((const __m128i *)d));
  _mm_storeu_si128((__m128i *)p, _mm_unpacklo_epi16(low, high));
  _mm_storeu_si128((__m128i *)p + 1, _mm_unpackhi_epi16(low, high));
}
// Without an instruction for four products, pairs of products of 16 bits: of the bytes of the lower and of the upper half of each 16.
PACER_FROM(4, pacer_unsigned_low, pacer_ints, pacer_ints, _mm_unpacklo_epi8((__m128i)x, _mm_setzero_si128()))
PACER_FROM(4, pacer_unsigned_high, pacer_ints, pacer_ints, _mm_unpackhi_epi8((__m128i)x, _mm_setzero_si128()))
PACER_FROM(4, pacer_signed_low, pacer_ints, pacer_ints, _mm_srai_epi16(_mm_unpacklo_epi8((__m128i)x, (__m128i)x), 8))
PACER_FROM(4, pacer_signed_high, pacer_ints, pacer_ints, _mm_srai_epi16(_mm_unpackhi_epi8((__m128i)x, (__m128i)x), 8))
PACER_FROM(4, pacer_spread_low, pacer_ints, pacer_ints, _mm_unpacklo_epi32((__m128i)x, _mm_setzero_si128()))
PACER_FROM(4, pacer_spread_high, pacer_ints, pacer_ints, _mm_unpackhi_epi32((__m128i)x, _mm_setzero_si128()))
static inline __attribute__((always_inline)) pacer_ints4 pacer_add_pairs4(pacer_ints4 sum, pacer_ints4 x, pacer_ints4 y) {
  return (pacer_ints4)_mm_add_epi32((__m128i)sum, _mm_madd_epi16((__m128i)x, (__m128i)y));
}
static inline __attribute__((always_inline)) pacer_ints4 pacer_sum_pairs4(pacer_ints4 low, pacer_ints4 high) {
  return __builtin_shufflevector(low, high, 0, 2, 4, 6) + __builtin_shufflevector(low, high, 1, 3, 5, 7);
}
#else
typedef int32_t pacer_ints4 __attribute__((ext_vector_type(4)));
typedef int16_t pacer_shorts4 __attribute__((ext_vector_type(8)));
static inline __attribute__((always_inline)) pacer_ints4 pacer_round4(pacer_float4 x) {
  return __builtin_convertvector(__builtin_elementwise_roundeven(x), pacer_ints4);
}
static inline __attribute__((always_inline)) pacer_ints4 pacer_low_words4(pacer_shorts4 x) {
  return __builtin_convertvector(x.lo, pacer_ints4);
}
static inline __attribute__((always_inline)) pacer_ints4 pacer_high_words4(pacer_shorts4 x) {
  return __builtin_convertvector(x.hi, pacer_ints4);
}
static inline __attribute__((always_inline)) pacer_shorts4 pacer_saturate4(pacer_ints4 a, pacer_ints4 b) {
  const pacer_ints4 low = (pacer_ints4)-32768, high = (pacer_ints4)32767;
  a = __builtin_elementwise_min(__builtin_elementwise_max(a, low), high);
  b = __builtin_elementwise_min(__builtin_elementwise_max(b, low), high);
  pacer_shorts4 both;
  for (int i = 0; i < 4; i++) { both[i] = (int16_t)a[i]; both[i + 4] = (int16_t)b[i]; }
  return both;
}
PACER_LANES(4)
static inline __attribute__((always_inline)) void pacer_write_rows4(pacer_shorts4 a, pacer_shorts4 b, uint8_t *p, uint8_t *q) {
  const pacer_shorts4 low = (pacer_shorts4)0, high = (pacer_shorts4)255;
  pacer_write_halves4(__builtin_elementwise_min(__builtin_elementwise_max(a, low), high), p);
  pacer_write_halves4(__builtin_elementwise_min(__builtin_elementwise_max(b, low), high), q);
}
static inline __attribute__((always_inline)) void pacer_write_bytes4(pacer_shorts4 a, pacer_shorts4 b, uint8_t *p) {
  pacer_write_rows4(a, b, p, p + 8);
}
static inline __attribute__((always_inline)) void pacer_interleave4(
    const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d, uint8_t *p) {
  for (int i = 0; i < 16; i++) { p[4 * i] = a[i]; p[4 * i + 1] = b[i]; p[4 * i + 2] = c[i]; p[4 * i + 3] = d[i]; }
}
static inline __attribute__((always_inline)) void pacer_interleave_half4(
    const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d, uint8_t *p) {
  for (int i = 0; i < 8; i++) { p[4 * i] = a[i]; p[4 * i + 1] = b[i]; p[4 * i + 2] = c[i]; p[4 * i + 3] = d[i]; }
}
typedef uint8_t pacer_bytes4 __attribute__((ext_vector_type(16)));
typedef int8_t pacer_chars4 __attribute__((ext_vector_type(16)));
PACER_FROM(4, pacer_unsigned_low, pacer_ints, pacer_ints, __builtin_convertvector(((pacer_bytes4)x).lo, pacer_shorts4))
PACER_FROM(4, pacer_unsigned_high, pacer_ints, pacer_ints, __builtin_convertvector(((pacer_bytes4)x).hi, pacer_shorts4))
PACER_FROM(4, pacer_signed_low, pacer_ints, pacer_ints, __builtin_convertvector(((pacer_chars4)x).lo, pacer_shorts4))
PACER_FROM(4, pacer_signed_high, pacer_ints, pacer_ints, __builtin_convertvector(((pacer_chars4)x).hi, pacer_shorts4))
PACER_FROM(4, pacer_spread_low, pacer_ints, pacer_ints, ((pacer_ints4){x[0], 0, x[1], 0}))
PACER_FROM(4, pacer_spread_high, pacer_ints, pacer_ints, ((pacer_ints4){x[2], 0, x[3], 0}))
static inline __attribute__((always_inline)) pacer_ints4 pacer_add_pairs4(pacer_ints4 sum, pacer_ints4 x, pacer_ints4 y) {
  const pacer_shorts4 a = (pacer_shorts4)x, b = (pacer_shorts4)y;
  return sum + __builtin_convertvector(a.even, pacer_ints4) * __builtin_convertvector(b.even, pacer_ints4)
      + __builtin_convertvector(a.odd, pacer_ints4) * __builtin_convertvector(b.odd, pacer_ints4);
}
static inline __attribute__((always_inline)) pacer_ints4 pacer_sum_pairs4(pacer_ints4 low, pacer_ints4 high) {
  return __builtin_shufflevector(low, high, 0, 2, 4, 6) + __builtin_shufflevector(low, high, 1, 3, 5, 7);
}
#endif

#ifdef __AVX2__
typedef int32_t pacer_ints8 __attribute__((ext_vector_type(8)));
typedef int16_t pacer_shorts8 __attribute__((ext_vector_type(16)));
PACER_FROM(8, pacer_round, pacer_float, pacer_ints, _mm256_cvtps_epi32((__m256)x))
PACER_FROM(8, pacer_low_words, pacer_shorts, pacer_ints, _mm256_unpacklo_epi16((__m256i)x, _mm256_setzero_si256()))
PACER_FROM(8, pacer_high_words, pacer_shorts, pacer_ints, _mm256_unpackhi_epi16((__m256i)x, _mm256_setzero_si256()))
static inline __attribute__((always_inline)) pacer_shorts8 pacer_saturate8(pacer_ints8 a, pacer_ints8 b) {
  return (pacer_shorts8)_mm256_packs_epi32((__m256i)a, (__m256i)b);
}
PACER_LANES(8)
static inline __attribute__((always_inline)) void pacer_write_bytes8(pacer_shorts8 a, pacer_shorts8 b, uint8_t *p) {
  _mm256_storeu_si256((__m256i *)p, _mm256_packus_epi16((__m256i)a, (__m256i)b));
}
static inline __attribute__((always_inline)) void pacer_write_rows8(pacer_shorts8 a, pacer_shorts8 b, uint8_t *p, uint8_t *q) {
  const __m256i both = _mm256_permute4x64_epi64(_mm256_packus_epi16((__m256i)a, (__m256i)b), 0xd8);
  _mm_storeu_si128((__m128i *)p, _mm256_castsi256_si128(both));
  _mm_storeu_si128((__m128i *)q, _mm256_extracti128_si256(both, 1));
}
static inline __attribute__((always_inline)) void pacer_interleave8(
    const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d, uint8_t *p) {
  const __m256i w = _mm256_loadu_si256((const __m256i *)a), x = _mm256_loadu_si256((const __m256i *)b);
  const __m256i y = _mm256_loadu_si256((const __m256i *)c), z = _mm256_loadu_si256((const __m256i *)d);
  const __m256i low = _mm256_unpacklo_epi8(w, x), high = _mm256_unpackhi_epi8(w, x);
  const __m256i lower = _mm256_unpacklo_epi8(y, z), higher = _mm256_unpackhi_epi8(y, z);
  _mm256_storeu_si256((__m256i *)p, _mm256_unpacklo_epi16(low, lower));
  _mm256_storeu_si256((__m256i *)p + 1, _mm256_unpackhi_epi16(low, lower));
  _mm256_storeu_si256((__m256i *)p + 2, _mm256_unpacklo_epi16(high, higher));
  _mm256_storeu_si256((__m256i *)p + 3, _mm256_unpackhi_epi16(high, higher));
}
// Of 16 bytes each half in a lane of its own.
static inline __attribute__((always_inline)) __m256i pacer_spread_halves8(const uint8_t *p) {
  return _mm256_permute4x64_epi64(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)p)), 0x10);
}
static inline __attribute__((always_inline)) void pacer_interleave_half8(
    const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d, uint8_t *p) {
  const __m256i low = _mm256_unpacklo_epi8(pacer_spread_halves8(a), pacer_spread_halves8(b));
  const __m256i high = _mm256_unpacklo_epi8(pacer_spread_halves8(c), pacer_spread_halves8(d));
  _mm256_storeu_si256((__m256i *)p, _mm256_unpacklo_epi16(low, high));
  _mm256_storeu_si256((__m256i *)p + 1, _mm256_unpackhi_epi16(low, high));
}
PACER_FROM(8, pacer_unsigned_low, pacer_ints, pacer_ints, _mm256_unpacklo_epi8((__m256i)x, _mm256_setzero_si256()))
PACER_FROM(8, pacer_unsigned_high, pacer_ints, pacer_ints, _mm256_unpackhi_epi8((__m256i)x, _mm256_setzero_si256()))
PACER_FROM(8, pacer_signed_low, pacer_ints, pacer_ints, _mm256_srai_epi16(_mm256_unpacklo_epi8((__m256i)x, (__m256i)x), 8))
PACER_FROM(8, pacer_signed_high, pacer_ints, pacer_ints, _mm256_srai_epi16(_mm256_unpackhi_epi8((__m256i)x, (__m256i)x), 8))
PACER_FROM(8, pacer_spread_low, pacer_ints, pacer_ints, _mm256_unpacklo_epi32((__m256i)x, _mm256_setzero_si256()))
PACER_FROM(8, pacer_spread_high, pacer_ints, pacer_ints, _mm256_unpackhi_epi32((__m256i)x, _mm256_setzero_si256()))
// Four products of bytes and bytes within ±64: two of them are no more than 16 bits hold.
static inline __attribute__((always_inline)) pacer_ints8 pacer_add_small_dots8(pacer_ints8 sum, pacer_ints8 x, pacer_ints8 y) {
  const __m256i pairs = _mm256_maddubs_epi16((__m256i)x, (__m256i)y);
  return (pacer_ints8)_mm256_add_epi32((__m256i)sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
static inline __attribute__((always_inline)) pacer_ints8 pacer_add_pairs8(pacer_ints8 sum, pacer_ints8 x, pacer_ints8 y) {
  return (pacer_ints8)_mm256_add_epi32((__m256i)sum, _mm256_madd_epi16((__m256i)x, (__m256i)y));
}
static inline __attribute__((always_inline)) pacer_ints8 pacer_sum_pairs8(pacer_ints8 low, pacer_ints8 high) {
  return (pacer_ints8)_mm256_hadd_epi32((__m256i)low, (__m256i)high);
}
#endif
#if defined(__AVX512VNNI__) && defined(__AVX512BW__)
typedef int32_t pacer_ints16 __attribute__((ext_vector_type(16)));
typedef int16_t pacer_shorts16 __attribute__((ext_vector_type(32)));
PACER_FROM(16, pacer_round, pacer_float, pacer_ints, _mm512_cvtps_epi32((__m512)x))
PACER_FROM(16, pacer_low_words, pacer_shorts, pacer_ints, _mm512_unpacklo_epi16((__m512i)x, _mm512_setzero_si512()))
PACER_FROM(16, pacer_high_words, pacer_shorts, pacer_ints, _mm512_unpackhi_epi16((__m512i)x, _mm512_setzero_si512()))
static inline __attribute__((always_inline)) pacer_shorts16 pacer_saturate16(pacer_ints16 a, pacer_ints16 b) {
  return (pacer_shorts16)_mm512_packs_epi32((__m512i)a, (__m512i)b);
}
PACER_LANES(16)
static inline __attribute__((always_inline)) void pacer_write_bytes16(pacer_shorts16 a, pacer_shorts16 b, uint8_t *p) {
  _mm512_storeu_si512((__m512i *)p, _mm512_packus_epi16((__m512i)a, (__m512i)b));
}
static inline __attribute__((always_inline)) void pacer_write_rows16(
    pacer_shorts16 a, pacer_shorts16 b, uint8_t *p, uint8_t *q) {
  const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
  const __m512i both = _mm512_permutexvar_epi64(order, _mm512_packus_epi16((__m512i)a, (__m512i)b));
  _mm256_storeu_si256((__m256i *)p, _mm512_castsi512_si256(both));
  _mm256_storeu_si256((__m256i *)q, _mm512_extracti64x4_epi64(both, 1));
}
static inline __attribute__((always_inline)) void pacer_interleave16(
    const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d, uint8_t *p) {
  const __m512i w = _mm512_loadu_si512(a), x = _mm512_loadu_si512(b), y = _mm512_loadu_si512(c), z = _mm512_loadu_si512(d);
  const __m512i low = _mm512_unpacklo_epi8(w, x), high = _mm512_unpackhi_epi8(w, x);
  const __m512i lower = _mm512_unpacklo_epi8(y, z), higher = _mm512_unpackhi_epi8(y, z);
  _mm512_storeu_si512((__m512i *)p, _mm512_unpacklo_epi16(low, lower));
  _mm512_storeu_si512((__m512i *)p + 1, _mm512_unpackhi_epi16(low, lower));
  _mm512_storeu_si512((__m512i *)p + 2, _mm512_unpacklo_epi16(high, higher));
  _mm512_storeu_si512((__m512i *)p + 3, _mm512_unpackhi_epi16(high, higher));
}
// Of 32 bytes each quarter in a lane of its own.
static inline __attribute__((always_inline)) __m512i pacer_spread_halves16(const uint8_t *p) {
  const __m512i order = _mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3);
  return _mm512_permutexvar_epi64(order, _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)p)));
}
static inline __attribute__((always_inline)) void pacer_interleave_half16(
    const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d, uint8_t *p) {
  const __m512i low = _mm512_unpacklo_epi8(pacer_spread_halves16(a), pacer_spread_halves16(b));
  const __m512i high = _mm512_unpacklo_epi8(pacer_spread_halves16(c), pacer_spread_halves16(d));
  _mm512_storeu_si512((__m512i *)p, _mm512_unpacklo_epi16(low, high));
  _mm512_storeu_si512((__m512i *)p + 1, _mm512_unpackhi_epi16(low, high));
}
// Four products of each lane at a time: unsigned times signed bytes.
static inline __attribute__((always_inline)) pacer_ints16 pacer_add_dots16(pacer_ints16 sum, pacer_ints16 x, pacer_ints16 y) {
  return (pacer_ints16)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)x, (__m512i)y);
}
#endif

// The same for the widest vectors that this is compiled for, under one name.
#if defined(__AVX512VNNI__) && defined(__AVX512BW__)
#define PACER_OWN(name) name##16
#elif defined(__AVX2__)
#define PACER_OWN(name) name##8
#else
#define PACER_OWN(name) name##4
#endif
typedef PACER_OWN(pacer_ints) pacer_own_ints;
typedef PACER_OWN(pacer_shorts) pacer_own_shorts;
typedef PACER_OWN(pacer_float) pacer_own_float;
#define PACER_ALIAS(result, name, declared, given)                                \
  static inline __attribute__((always_inline)) result pacer_own_##name declared { \
    return PACER_OWN(pacer_##name) given;                                         \
  }
PACER_ALIAS(pacer_own_ints, all, (const uint8_t *p), (p))
PACER_ALIAS(pacer_own_ints, moved_bytes, (const int8_t *p), (p))
PACER_ALIAS(pacer_own_float, floats, (pacer_own_ints x), (x))
PACER_ALIAS(pacer_own_shorts, pack, (pacer_own_float a, pacer_own_float b, int16_t zero), (a, b, zero))
PACER_ALIAS(void, write_rounded, (pacer_own_float x, int32_t zero, uint8_t *p), (x, zero, p))
PACER_ALIAS(void, write_halves, (pacer_own_shorts x, uint8_t *p), (x, p))
PACER_ALIAS(void, write_bytes, (pacer_own_shorts a, pacer_own_shorts b, uint8_t *p), (a, b, p))
PACER_ALIAS(void, write_rows, (pacer_own_shorts a, pacer_own_shorts b, uint8_t *p, uint8_t *q), (a, b, p, q))
PACER_ALIAS(pacer_own_ints, low, (const uint8_t *p), (p))
PACER_ALIAS(pacer_own_ints, high, (const uint8_t *p), (p))
PACER_ALIAS(pacer_own_ints, widened, (const uint8_t *p), (p))
PACER_ALIAS(pacer_own_ints, widened_signed, (const uint8_t *p), (p))
PACER_ALIAS(void, interleave, (const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d, uint8_t *p),
            (a, b, c, d, p))
PACER_ALIAS(void, interleave_half, (const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d, uint8_t *p),
            (a, b, c, d, p))
#if !(defined(__AVX512VNNI__) && defined(__AVX512BW__))
PACER_ALIAS(pacer_own_ints, unsigned_low, (pacer_own_ints x), (x))
PACER_ALIAS(pacer_own_ints, unsigned_high, (pacer_own_ints x), (x))
PACER_ALIAS(pacer_own_ints, signed_low, (pacer_own_ints x), (x))
PACER_ALIAS(pacer_own_ints, signed_high, (pacer_own_ints x), (x))
PACER_ALIAS(pacer_own_ints, spread_low, (pacer_own_ints x), (x))
PACER_ALIAS(pacer_own_ints, spread_high, (pacer_own_ints x), (x))
PACER_ALIAS(pacer_own_ints, add_pairs, (pacer_own_ints sum, pacer_own_ints x, pacer_own_ints y), (sum, x, y))
// The same with y in memory, at a multiple of a vector. A compiler would keep y in a register for all who multiply it, and have none
// left for the sums.
static inline __attribute__((always_inline)) pacer_own_ints pacer_own_add_pairs_from(
    pacer_own_ints sum, pacer_own_ints x, const void *y) {
#if defined(__AVX2__)
  __m256i pairs;
  __asm__("vpmaddwd %2, %1, %0" : "=x"(pairs) : "x"((__m256i)x), "m"(*(const __m256i *)y));
  return sum + (pacer_own_ints)pairs;
#elif defined(__SSE2__)
  __m128i pairs = (__m128i)x;
  __asm__("pmaddwd %1, %0" : "+x"(pairs) : "m"(*(const __m128i *)y));
  return sum + (pacer_own_ints)pairs;
#else
  return pacer_own_add_pairs(sum, x, *(const pacer_own_ints *)y);
#endif
}
PACER_ALIAS(pacer_own_ints, sum_pairs, (pacer_own_ints low, pacer_own_ints high), (low, high))
#endif
#undef PACER_ALIAS
#undef PACER_OWN
#undef PACER_LANES
#undef PACER_FROM
