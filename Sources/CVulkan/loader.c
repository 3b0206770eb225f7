#include "CVulkan.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

PFN_vkGetInstanceProcAddr pacer_vulkan_entry(void) {
  void *library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
  return library ? (PFN_vkGetInstanceProcAddr)dlsym(library, "vkGetInstanceProcAddr") : NULL;
}

#define LOAD(name) \
  out->name = (PFN_##name)entry(owner, #name); \
  complete = complete && out->name;

PacerVulkanInstanceFunctions *pacer_vulkan_load_instance(PFN_vkGetInstanceProcAddr entry, VkInstance owner) {
  PacerVulkanInstanceFunctions *out = malloc(sizeof *out);
  int complete = out != NULL;
  if (!complete) return NULL;
  PACER_VULKAN_INSTANCE_FUNCTIONS(LOAD)
  if (complete) return out;
  free(out);
  return NULL;
}

PacerVulkanDeviceFunctions *pacer_vulkan_load_device(PFN_vkGetDeviceProcAddr entry, VkDevice owner) {
  PacerVulkanDeviceFunctions *out = malloc(sizeof *out);
  int complete = out != NULL;
  if (!complete) return NULL;
  PACER_VULKAN_DEVICE_FUNCTIONS(LOAD)
  if (complete) return out;
  free(out);
  return NULL;
}

const PacerShader *pacer_shader(const char *name) {
  for (unsigned long i = 0; i < pacer_shader_count; i++) {
    if (strcmp(pacer_shaders[i].name, name) == 0) return &pacer_shaders[i];
  }
  return NULL;
}
