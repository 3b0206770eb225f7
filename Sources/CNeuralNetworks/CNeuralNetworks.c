#include "CNeuralNetworks.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *text(const char *before, const char *what) {
  size_t length = strlen(before) + strlen(what) + 1;
  char *all = malloc(length);
  if (all) snprintf(all, length, "%s%s", before, what);
  return all;
}

// Those of the interface as a whole begin with an underscore here.
#define SYMBOL(name) ("ANeuralNetworks" #name)
#define LOAD(name, result, parameters) \
  out->name = (result (*) parameters)dlsym(library, SYMBOL(name)); \
  if (!out->name && !missing) missing = SYMBOL(name);
#define LOAD_NEWER(name, result, parameters) out->name = (result (*) parameters)dlsym(library, SYMBOL(name));

const PacerNeuralNetworks *pacer_nn_open(const char *path, char **reason) {
  *reason = NULL;
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char *error = dlerror();
    *reason = text("", error ? error : path);
    return NULL;
  }
  PacerNeuralNetworks *out = calloc(1, sizeof *out);
  if (!out) return NULL;
  const char *missing = NULL;
  PACER_NN_FUNCTIONS(LOAD)
  PACER_NN_NEWER_FUNCTIONS(LOAD_NEWER)
  if (!missing) return out;
  *reason = text("it is older than Android 10 (API level 29): it has no ", missing);
  free(out);
  return NULL;
}
