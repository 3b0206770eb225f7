// What is done to sums before they are stored, included behind the push constants of shaders that do so: these end with
// `float low; float high;` and may go on. For one clamp by channel, binding 4 holds for each quad its lower and its upper
// limits.
#ifndef LIMITS
SOURCE(4, limits)
#define LIMITS limits
#endif

vec4 finish(vec4 value, int quad) {
  switch (EPILOGUE) {
    case 1: return clamp(value, LIMITS(2 * quad), LIMITS(2 * quad + 1));
    case 2: return value * clamp(value + 3, 0, 6) / 6;    // hard-swish
    case 3: return clamp(value + 3, 0, 6) / 6;            // hard-sigmoid
    case 4: return 1 / (1 + exp(-clamp(value, -87, 87)));  // sigmoid
    case 5: return value / (1 + exp(-clamp(value, -87, 87)));  // silu
    default: return clamp(value, low, high);
  }
}
