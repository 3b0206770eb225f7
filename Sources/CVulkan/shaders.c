// Written by .ci/shaders: the SPIR-V of every shader.
#include "CVulkan.h"

static const unsigned char shader0[] = {
#embed "../BackendVulkan/Shaders/spirv/convolution.texels.fp32.spv"
};
static const unsigned char shader1[] = {
#embed "../BackendVulkan/Shaders/spirv/convolution.texels.fp16.spv"
};
static const unsigned char shader2[] = {
#embed "../BackendVulkan/Shaders/spirv/convolution.buffers.fp32.spv"
};
static const unsigned char shader3[] = {
#embed "../BackendVulkan/Shaders/spirv/convolution.buffers.fp16.spv"
};
static const unsigned char shader4[] = {
#embed "../BackendVulkan/Shaders/spirv/depthwise.texels.fp32.spv"
};
static const unsigned char shader5[] = {
#embed "../BackendVulkan/Shaders/spirv/depthwise.texels.fp16.spv"
};
static const unsigned char shader6[] = {
#embed "../BackendVulkan/Shaders/spirv/depthwise.buffers.fp32.spv"
};
static const unsigned char shader7[] = {
#embed "../BackendVulkan/Shaders/spirv/depthwise.buffers.fp16.spv"
};
static const unsigned char shader8[] = {
#embed "../BackendVulkan/Shaders/spirv/download.texels.fp32.spv"
};
static const unsigned char shader9[] = {
#embed "../BackendVulkan/Shaders/spirv/download.texels.fp16.spv"
};
static const unsigned char shader10[] = {
#embed "../BackendVulkan/Shaders/spirv/download.buffers.fp32.spv"
};
static const unsigned char shader11[] = {
#embed "../BackendVulkan/Shaders/spirv/download.buffers.fp16.spv"
};
static const unsigned char shader12[] = {
#embed "../BackendVulkan/Shaders/spirv/elementwise.texels.fp32.spv"
};
static const unsigned char shader13[] = {
#embed "../BackendVulkan/Shaders/spirv/elementwise.texels.fp16.spv"
};
static const unsigned char shader14[] = {
#embed "../BackendVulkan/Shaders/spirv/elementwise.buffers.fp32.spv"
};
static const unsigned char shader15[] = {
#embed "../BackendVulkan/Shaders/spirv/elementwise.buffers.fp16.spv"
};
static const unsigned char shader16[] = {
#embed "../BackendVulkan/Shaders/spirv/grouped.texels.fp32.spv"
};
static const unsigned char shader17[] = {
#embed "../BackendVulkan/Shaders/spirv/grouped.texels.fp16.spv"
};
static const unsigned char shader18[] = {
#embed "../BackendVulkan/Shaders/spirv/grouped.buffers.fp32.spv"
};
static const unsigned char shader19[] = {
#embed "../BackendVulkan/Shaders/spirv/grouped.buffers.fp16.spv"
};
static const unsigned char shader20[] = {
#embed "../BackendVulkan/Shaders/spirv/linear.texels.fp32.spv"
};
static const unsigned char shader21[] = {
#embed "../BackendVulkan/Shaders/spirv/linear.texels.fp16.spv"
};
static const unsigned char shader22[] = {
#embed "../BackendVulkan/Shaders/spirv/linear.buffers.fp32.spv"
};
static const unsigned char shader23[] = {
#embed "../BackendVulkan/Shaders/spirv/linear.buffers.fp16.spv"
};
static const unsigned char shader24[] = {
#embed "../BackendVulkan/Shaders/spirv/panels.texels.fp32.spv"
};
static const unsigned char shader25[] = {
#embed "../BackendVulkan/Shaders/spirv/panels.texels.fp16.spv"
};
static const unsigned char shader26[] = {
#embed "../BackendVulkan/Shaders/spirv/panels.buffers.fp32.spv"
};
static const unsigned char shader27[] = {
#embed "../BackendVulkan/Shaders/spirv/panels.buffers.fp16.spv"
};
static const unsigned char shader28[] = {
#embed "../BackendVulkan/Shaders/spirv/pool.texels.fp32.spv"
};
static const unsigned char shader29[] = {
#embed "../BackendVulkan/Shaders/spirv/pool.texels.fp16.spv"
};
static const unsigned char shader30[] = {
#embed "../BackendVulkan/Shaders/spirv/pool.buffers.fp32.spv"
};
static const unsigned char shader31[] = {
#embed "../BackendVulkan/Shaders/spirv/pool.buffers.fp16.spv"
};
static const unsigned char shader32[] = {
#embed "../BackendVulkan/Shaders/spirv/rearrange.texels.fp32.spv"
};
static const unsigned char shader33[] = {
#embed "../BackendVulkan/Shaders/spirv/rearrange.texels.fp16.spv"
};
static const unsigned char shader34[] = {
#embed "../BackendVulkan/Shaders/spirv/rearrange.buffers.fp32.spv"
};
static const unsigned char shader35[] = {
#embed "../BackendVulkan/Shaders/spirv/rearrange.buffers.fp16.spv"
};
static const unsigned char shader36[] = {
#embed "../BackendVulkan/Shaders/spirv/upload.texels.fp32.spv"
};
static const unsigned char shader37[] = {
#embed "../BackendVulkan/Shaders/spirv/upload.texels.fp16.spv"
};
static const unsigned char shader38[] = {
#embed "../BackendVulkan/Shaders/spirv/upload.buffers.fp32.spv"
};
static const unsigned char shader39[] = {
#embed "../BackendVulkan/Shaders/spirv/upload.buffers.fp16.spv"
};
static const unsigned char shader40[] = {
#embed "../BackendVulkan/Shaders/spirv/convolution-lanes.texels.fp32.spv"
};
static const unsigned char shader41[] = {
#embed "../BackendVulkan/Shaders/spirv/convolution-lanes.texels.fp16.spv"
};

const PacerShader pacer_shaders[] = {
    {"convolution.texels.fp32", shader0, sizeof shader0},
    {"convolution.texels.fp16", shader1, sizeof shader1},
    {"convolution.buffers.fp32", shader2, sizeof shader2},
    {"convolution.buffers.fp16", shader3, sizeof shader3},
    {"depthwise.texels.fp32", shader4, sizeof shader4},
    {"depthwise.texels.fp16", shader5, sizeof shader5},
    {"depthwise.buffers.fp32", shader6, sizeof shader6},
    {"depthwise.buffers.fp16", shader7, sizeof shader7},
    {"download.texels.fp32", shader8, sizeof shader8},
    {"download.texels.fp16", shader9, sizeof shader9},
    {"download.buffers.fp32", shader10, sizeof shader10},
    {"download.buffers.fp16", shader11, sizeof shader11},
    {"elementwise.texels.fp32", shader12, sizeof shader12},
    {"elementwise.texels.fp16", shader13, sizeof shader13},
    {"elementwise.buffers.fp32", shader14, sizeof shader14},
    {"elementwise.buffers.fp16", shader15, sizeof shader15},
    {"grouped.texels.fp32", shader16, sizeof shader16},
    {"grouped.texels.fp16", shader17, sizeof shader17},
    {"grouped.buffers.fp32", shader18, sizeof shader18},
    {"grouped.buffers.fp16", shader19, sizeof shader19},
    {"linear.texels.fp32", shader20, sizeof shader20},
    {"linear.texels.fp16", shader21, sizeof shader21},
    {"linear.buffers.fp32", shader22, sizeof shader22},
    {"linear.buffers.fp16", shader23, sizeof shader23},
    {"panels.texels.fp32", shader24, sizeof shader24},
    {"panels.texels.fp16", shader25, sizeof shader25},
    {"panels.buffers.fp32", shader26, sizeof shader26},
    {"panels.buffers.fp16", shader27, sizeof shader27},
    {"pool.texels.fp32", shader28, sizeof shader28},
    {"pool.texels.fp16", shader29, sizeof shader29},
    {"pool.buffers.fp32", shader30, sizeof shader30},
    {"pool.buffers.fp16", shader31, sizeof shader31},
    {"rearrange.texels.fp32", shader32, sizeof shader32},
    {"rearrange.texels.fp16", shader33, sizeof shader33},
    {"rearrange.buffers.fp32", shader34, sizeof shader34},
    {"rearrange.buffers.fp16", shader35, sizeof shader35},
    {"upload.texels.fp32", shader36, sizeof shader36},
    {"upload.texels.fp16", shader37, sizeof shader37},
    {"upload.buffers.fp32", shader38, sizeof shader38},
    {"upload.buffers.fp16", shader39, sizeof shader39},
    {"convolution-lanes.texels.fp32", shader40, sizeof shader40},
    {"convolution-lanes.texels.fp16", shader41, sizeof shader41},
};
const unsigned long pacer_shader_count = sizeof pacer_shaders / sizeof *pacer_shaders;
