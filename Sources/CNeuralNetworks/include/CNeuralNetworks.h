// Android's neural networks interface (API level 30) as functions that are fields of a struct: nothing is linked, the library is opened
// at run time. Numbers and signatures are those of the NDK's reference.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ANeuralNetworksModel ANeuralNetworksModel;
typedef struct ANeuralNetworksCompilation ANeuralNetworksCompilation;
typedef struct ANeuralNetworksExecution ANeuralNetworksExecution;
typedef struct ANeuralNetworksBurst ANeuralNetworksBurst;
typedef struct ANeuralNetworksDevice ANeuralNetworksDevice;
typedef struct ANeuralNetworksEvent ANeuralNetworksEvent;

typedef struct {
  int32_t type;
  uint32_t dimensionCount;
  const uint32_t *_Nullable dimensions;
  float scale;
  int32_t zeroPoint;
} ANeuralNetworksOperandType;

typedef struct {
  uint32_t channelDim;
  uint32_t scaleCount;
  const float *_Nullable scales;
} ANeuralNetworksSymmPerChannelQuantParams;

#define NN_MODEL ANeuralNetworksModel *_Nonnull
#define NN_COMPILATION ANeuralNetworksCompilation *_Nonnull
#define NN_EXECUTION ANeuralNetworksExecution *_Nonnull
#define NN_DEVICE const ANeuralNetworksDevice *_Nonnull
#define NN_LIST(type) type _Nullable *_Nonnull
#define NN_NUMBERS const uint32_t *_Nullable
#define NN_DEVICES const ANeuralNetworksDevice *_Nonnull const *_Nonnull
#define NN_BYTES const void *_Nullable

// Function, result, parameters. All are there since level 29.
#define PACER_NN_FUNCTIONS(X) \
  X(_getDeviceCount, int, (uint32_t *_Nonnull)) \
  X(_getDevice, int, (uint32_t, ANeuralNetworksDevice *_Nullable *_Nonnull)) \
  X(Device_getName, int, (NN_DEVICE, const char *_Nullable *_Nonnull)) \
  X(Device_getType, int, (NN_DEVICE, int32_t *_Nonnull)) \
  X(Device_getVersion, int, (NN_DEVICE, const char *_Nullable *_Nonnull)) \
  X(Device_getFeatureLevel, int, (NN_DEVICE, int64_t *_Nonnull)) \
  X(Model_create, int, (ANeuralNetworksModel *_Nullable *_Nonnull)) \
  X(Model_free, void, (ANeuralNetworksModel *_Nullable)) \
  X(Model_addOperand, int, (NN_MODEL, const ANeuralNetworksOperandType *_Nonnull)) \
  X(Model_setOperandValue, int, (NN_MODEL, int32_t, NN_BYTES, size_t)) \
  X(Model_setOperandSymmPerChannelQuantParams, int, \
    (NN_MODEL, int32_t, const ANeuralNetworksSymmPerChannelQuantParams *_Nonnull)) \
  X(Model_addOperation, int, (NN_MODEL, int32_t, uint32_t, NN_NUMBERS, uint32_t, NN_NUMBERS)) \
  X(Model_identifyInputsAndOutputs, int, (NN_MODEL, uint32_t, NN_NUMBERS, uint32_t, NN_NUMBERS)) \
  X(Model_relaxComputationFloat32toFloat16, int, (NN_MODEL, bool)) \
  X(Model_finish, int, (NN_MODEL)) \
  X(Model_getSupportedOperationsForDevices, int, (const ANeuralNetworksModel *_Nonnull, NN_DEVICES, uint32_t, bool *_Nonnull)) \
  X(Compilation_create, int, (NN_MODEL, ANeuralNetworksCompilation *_Nullable *_Nonnull)) \
  X(Compilation_createForDevices, int, (NN_MODEL, NN_DEVICES, uint32_t, ANeuralNetworksCompilation *_Nullable *_Nonnull)) \
  X(Compilation_free, void, (ANeuralNetworksCompilation *_Nullable)) \
  X(Compilation_setPreference, int, (NN_COMPILATION, int32_t)) \
  X(Compilation_finish, int, (NN_COMPILATION)) \
  X(Execution_create, int, (NN_COMPILATION, ANeuralNetworksExecution *_Nullable *_Nonnull)) \
  X(Execution_free, void, (ANeuralNetworksExecution *_Nullable)) \
  X(Execution_setInput, int, (NN_EXECUTION, int32_t, const ANeuralNetworksOperandType *_Nullable, NN_BYTES, size_t)) \
  X(Execution_setOutput, int, (NN_EXECUTION, int32_t, const ANeuralNetworksOperandType *_Nullable, void *_Nullable, size_t)) \
  X(Execution_compute, int, (NN_EXECUTION)) \
  X(Execution_burstCompute, int, (NN_EXECUTION, ANeuralNetworksBurst *_Nonnull)) \
  X(Execution_setMeasureTiming, int, (NN_EXECUTION, bool)) \
  X(Execution_getDuration, int, (const ANeuralNetworksExecution *_Nonnull, int32_t, uint64_t *_Nonnull)) \
  X(Burst_create, int, (NN_COMPILATION, ANeuralNetworksBurst *_Nullable *_Nonnull)) \
  X(Burst_free, void, (ANeuralNetworksBurst *_Nullable))

// Since level 30: null before.
#define PACER_NN_NEWER_FUNCTIONS(X) \
  X(Compilation_setPriority, int, (NN_COMPILATION, int)) \
  X(Execution_setTimeout, int, (NN_EXECUTION, uint64_t)) \
  X(Execution_startComputeWithDependencies, int, \
    (NN_EXECUTION, const ANeuralNetworksEvent *_Nonnull const *_Nullable, uint32_t, uint64_t, \
     ANeuralNetworksEvent *_Nullable *_Nonnull)) \
  X(Event_wait, int, (ANeuralNetworksEvent *_Nonnull)) \
  X(Event_free, void, (ANeuralNetworksEvent *_Nullable))

#define PACER_NN_MEMBER(name, result, parameters) result (*_Nonnull name) parameters;
#define PACER_NN_NEWER_MEMBER(name, result, parameters) result (*_Nullable name) parameters;

typedef struct {
  PACER_NN_FUNCTIONS(PACER_NN_MEMBER)
  PACER_NN_NEWER_FUNCTIONS(PACER_NN_NEWER_MEMBER)
} PacerNeuralNetworks;

// Opens the library, once and for all. Returns its functions, which are never freed; null where it is not there or has not all of level
// 29, with the reason in `reason`, which the caller frees.
const PacerNeuralNetworks *_Nullable pacer_nn_open(const char *_Nonnull path, char *_Nullable *_Nonnull reason);
