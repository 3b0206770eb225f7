// Vulkan's types, and the functions Pacer calls as fields of a struct: nothing is linked, the loader is opened at run time.
#pragma once

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan.h>

#define PACER_VULKAN_INSTANCE_FUNCTIONS(X) \
  X(vkEnumeratePhysicalDevices) \
  X(vkGetPhysicalDeviceProperties2) \
  X(vkGetPhysicalDeviceFeatures2) \
  X(vkEnumerateDeviceExtensionProperties) \
  X(vkGetPhysicalDeviceMemoryProperties) \
  X(vkGetPhysicalDeviceQueueFamilyProperties) \
  X(vkCreateDevice) \
  X(vkGetDeviceProcAddr)

#define PACER_VULKAN_DEVICE_FUNCTIONS(X) \
  X(vkGetDeviceQueue) \
  X(vkCreateBuffer) \
  X(vkDestroyBuffer) \
  X(vkGetBufferMemoryRequirements) \
  X(vkAllocateMemory) \
  X(vkFreeMemory) \
  X(vkBindBufferMemory) \
  X(vkMapMemory) \
  X(vkCreateBufferView) \
  X(vkDestroyBufferView) \
  X(vkCreateShaderModule) \
  X(vkDestroyShaderModule) \
  X(vkCreateDescriptorSetLayout) \
  X(vkCreatePipelineLayout) \
  X(vkCreatePipelineCache) \
  X(vkGetPipelineCacheData) \
  X(vkCreateComputePipelines) \
  X(vkCreateDescriptorPool) \
  X(vkDestroyDescriptorPool) \
  X(vkAllocateDescriptorSets) \
  X(vkUpdateDescriptorSets) \
  X(vkCreateCommandPool) \
  X(vkDestroyCommandPool) \
  X(vkAllocateCommandBuffers) \
  X(vkBeginCommandBuffer) \
  X(vkEndCommandBuffer) \
  X(vkCmdBindPipeline) \
  X(vkCmdBindDescriptorSets) \
  X(vkCmdPushConstants) \
  X(vkCmdDispatch) \
  X(vkCmdPipelineBarrier) \
  X(vkCmdResetQueryPool) \
  X(vkCmdWriteTimestamp) \
  X(vkCreateQueryPool) \
  X(vkDestroyQueryPool) \
  X(vkGetQueryPoolResults) \
  X(vkCreateFence) \
  X(vkDestroyFence) \
  X(vkWaitForFences) \
  X(vkResetFences) \
  X(vkQueueSubmit)

#define PACER_VULKAN_MEMBER(name) PFN_##name _Nonnull name;

typedef struct {
  PACER_VULKAN_INSTANCE_FUNCTIONS(PACER_VULKAN_MEMBER)
} PacerVulkanInstanceFunctions;

typedef struct {
  PACER_VULKAN_DEVICE_FUNCTIONS(PACER_VULKAN_MEMBER)
} PacerVulkanDeviceFunctions;

/// The loader's entry; null where there is no loader. Opened once, never closed.
PFN_vkGetInstanceProcAddr _Nullable pacer_vulkan_entry(void);

/// The functions, to be freed by the caller; null where one is missing.
PacerVulkanInstanceFunctions *_Nullable pacer_vulkan_load_instance(
    PFN_vkGetInstanceProcAddr _Nonnull entry, VkInstance _Nonnull instance);
PacerVulkanDeviceFunctions *_Nullable pacer_vulkan_load_device(
    PFN_vkGetDeviceProcAddr _Nonnull entry, VkDevice _Nonnull device);

/// A shader in SPIR-V.
typedef struct {
  const char *_Nonnull name;
  const unsigned char *_Nonnull code;
  unsigned long length;
} PacerShader;

extern const PacerShader pacer_shaders[];
extern const unsigned long pacer_shader_count;

/// Null where there is no shader of the name.
const PacerShader *_Nullable pacer_shader(const char *_Nonnull name);
