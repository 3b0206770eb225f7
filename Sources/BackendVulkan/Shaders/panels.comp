#version 450
#extension GL_GOOGLE_include_directive : require
#include "storage.glsl"

// A weight as it comes, [output][channel][tap] dense, into panels of WIDTH outputs, taps before channels, channels
// padded to quads. What the pass prepack-weights does once, this does at each inference.
layout(local_size_x_id = 0) in;
layout(constant_id = 3) const int WIDTH = 8;

layout(push_constant) uniform Shape {
  int outputs;
  int channels;
  int paddedChannels;
  int taps;
  int texels;
};

SOURCE(0, source)
RESULT(5)

void main() {
  const int i = ELEMENT;
  if (i >= texels) return;
  const int depth = taps * paddedChannels;
  const int step = i * 4 / WIDTH % depth;
  const int panel = i * 4 / WIDTH / depth;
  const int channel = step % paddedChannels;
  vec4 value = vec4(0);
  for (int k = 0; k < 4; k++) {
    const int o = panel * WIDTH + i * 4 % WIDTH + k;
    const int from = (o * channels + channel) * taps + step / paddedChannels;
    if (o < outputs && channel < channels) value[k] = source(from / 4)[from % 4];
  }
  store(i, value);
}
