// Written by .ci/shaders: the SPIR-V of every shader.
#include "CVulkan.h"

static const unsigned char shader0[] = {
#embed "../BackendVulkan/Shaders/spirv/convolution.texels.spv"
};
static const unsigned char shader1[] = {
#embed "../BackendVulkan/Shaders/spirv/convolution.buffers.spv"
};
static const unsigned char shader2[] = {
#embed "../BackendVulkan/Shaders/spirv/depthwise.texels.spv"
};
static const unsigned char shader3[] = {
#embed "../BackendVulkan/Shaders/spirv/depthwise.buffers.spv"
};
static const unsigned char shader4[] = {
#embed "../BackendVulkan/Shaders/spirv/download.texels.spv"
};
static const unsigned char shader5[] = {
#embed "../BackendVulkan/Shaders/spirv/download.buffers.spv"
};
static const unsigned char shader6[] = {
#embed "../BackendVulkan/Shaders/spirv/elementwise.texels.spv"
};
static const unsigned char shader7[] = {
#embed "../BackendVulkan/Shaders/spirv/elementwise.buffers.spv"
};
static const unsigned char shader8[] = {
#embed "../BackendVulkan/Shaders/spirv/grouped.texels.spv"
};
static const unsigned char shader9[] = {
#embed "../BackendVulkan/Shaders/spirv/grouped.buffers.spv"
};
static const unsigned char shader10[] = {
#embed "../BackendVulkan/Shaders/spirv/linear.texels.spv"
};
static const unsigned char shader11[] = {
#embed "../BackendVulkan/Shaders/spirv/linear.buffers.spv"
};
static const unsigned char shader12[] = {
#embed "../BackendVulkan/Shaders/spirv/panels.texels.spv"
};
static const unsigned char shader13[] = {
#embed "../BackendVulkan/Shaders/spirv/panels.buffers.spv"
};
static const unsigned char shader14[] = {
#embed "../BackendVulkan/Shaders/spirv/pool.texels.spv"
};
static const unsigned char shader15[] = {
#embed "../BackendVulkan/Shaders/spirv/pool.buffers.spv"
};
static const unsigned char shader16[] = {
#embed "../BackendVulkan/Shaders/spirv/rearrange.texels.spv"
};
static const unsigned char shader17[] = {
#embed "../BackendVulkan/Shaders/spirv/rearrange.buffers.spv"
};
static const unsigned char shader18[] = {
#embed "../BackendVulkan/Shaders/spirv/upload.texels.spv"
};
static const unsigned char shader19[] = {
#embed "../BackendVulkan/Shaders/spirv/upload.buffers.spv"
};
static const unsigned char shader20[] = {
#embed "../BackendVulkan/Shaders/spirv/winograd-input.texels.spv"
};
static const unsigned char shader21[] = {
#embed "../BackendVulkan/Shaders/spirv/winograd-input.buffers.spv"
};
static const unsigned char shader22[] = {
#embed "../BackendVulkan/Shaders/spirv/winograd-output.texels.spv"
};
static const unsigned char shader23[] = {
#embed "../BackendVulkan/Shaders/spirv/winograd-output.buffers.spv"
};
static const unsigned char shader24[] = {
#embed "../BackendVulkan/Shaders/spirv/winograd-weights.texels.spv"
};
static const unsigned char shader25[] = {
#embed "../BackendVulkan/Shaders/spirv/winograd-weights.buffers.spv"
};
static const unsigned char shader26[] = {
#embed "../BackendVulkan/Shaders/spirv/convolution-lanes.texels.spv"
};
static const unsigned char shader27[] = {
#embed "../BackendVulkan/Shaders/spirv/convolution-halves.texels.spv"
};
static const unsigned char shader28[] = {
#embed "../BackendVulkan/Shaders/spirv/convolution-halves.buffers.spv"
};
static const unsigned char shader29[] = {
#embed "../BackendVulkan/Shaders/spirv/convolution-lanes-halves.texels.spv"
};

const PacerShader pacer_shaders[] = {
    {"convolution.texels", shader0, sizeof shader0},
    {"convolution.buffers", shader1, sizeof shader1},
    {"depthwise.texels", shader2, sizeof shader2},
    {"depthwise.buffers", shader3, sizeof shader3},
    {"download.texels", shader4, sizeof shader4},
    {"download.buffers", shader5, sizeof shader5},
    {"elementwise.texels", shader6, sizeof shader6},
    {"elementwise.buffers", shader7, sizeof shader7},
    {"grouped.texels", shader8, sizeof shader8},
    {"grouped.buffers", shader9, sizeof shader9},
    {"linear.texels", shader10, sizeof shader10},
    {"linear.buffers", shader11, sizeof shader11},
    {"panels.texels", shader12, sizeof shader12},
    {"panels.buffers", shader13, sizeof shader13},
    {"pool.texels", shader14, sizeof shader14},
    {"pool.buffers", shader15, sizeof shader15},
    {"rearrange.texels", shader16, sizeof shader16},
    {"rearrange.buffers", shader17, sizeof shader17},
    {"upload.texels", shader18, sizeof shader18},
    {"upload.buffers", shader19, sizeof shader19},
    {"winograd-input.texels", shader20, sizeof shader20},
    {"winograd-input.buffers", shader21, sizeof shader21},
    {"winograd-output.texels", shader22, sizeof shader22},
    {"winograd-output.buffers", shader23, sizeof shader23},
    {"winograd-weights.texels", shader24, sizeof shader24},
    {"winograd-weights.buffers", shader25, sizeof shader25},
    {"convolution-lanes.texels", shader26, sizeof shader26},
    {"convolution-halves.texels", shader27, sizeof shader27},
    {"convolution-halves.buffers", shader28, sizeof shader28},
    {"convolution-lanes-halves.texels", shader29, sizeof shader29},
};
const unsigned long pacer_shader_count = sizeof pacer_shaders / sizeof *pacer_shaders;
