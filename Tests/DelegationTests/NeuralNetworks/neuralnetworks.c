// A small stand-in for Android's libneuralnetworks.so (NNAPI C API, level 30), for tests.
//
// It is written from the public NDK reference alone, so that it is a second opinion on a client's conversion: it
// checks a model strictly and computes it with plain loops. Every refusal with BAD_DATA prints one line on stderr.
//
// Environment, read at each call:
//   PACER_NN_DEVICES           names, comma-separated (default "sample-npu,nnapi-reference"); the last is the CPU,
//                              which supports everything, the others are accelerators.
//   PACER_NN_LEVEL             the feature level that every device answers (default 30).
//   PACER_NN_REFUSED           operation numbers, comma-separated, that every device but the last refuses.
//   PACER_NN_PREPARE_CODE      result code that Compilation_finish answers.
//   PACER_NN_EXECUTE_CODE      result code that every compute answers; nothing is written then.
//   PACER_NN_EXECUTE_DELAY_MS  slept in each compute, before the code above; an execution whose timeout is shorter
//                              sleeps only that long and answers MISSED_DEADLINE_PERSISTENT.
//
// pacer_nn_count(what) tells how many "models", "compilations", "executions", "bursts" and "events" are alive, how
// many computes succeeded ("computed"), and how many times an object was freed that another still used ("misused";
// such an object is leaked on purpose, so that the test goes on and can look at the count).
//
// pacer_nn_set(name, value) sets one of the variables above for one process, before the environment.
//
// Longer values (over 128 bytes) are referenced, never copied, until the model is freed: as on a device, a client
// that frees or changes its buffer early computes with rubbish.

#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NO_ERROR = 0, UNEXPECTED_NULL = 3, BAD_DATA = 4, OP_FAILED = 5, BAD_STATE = 6, MISSED_DEADLINE = 11 };

enum {
  FLOAT32 = 0, INT32 = 1, UINT32 = 2, T_FLOAT32 = 3, T_INT32 = 4, T_QUANT8 = 5, BOOL = 6, T_QUANT16_SYMM = 7,
  T_FLOAT16 = 8, T_BOOL8 = 9, FLOAT16 = 10, T_PER_CHANNEL = 11, T_QUANT16 = 12, T_QUANT8_SYMM = 13, T_SIGNED8 = 14
};

enum {
  ADD = 0, AVERAGE_POOL = 1, CONCATENATION = 2, CONV = 3, DEPTHWISE = 4, DEPTH_TO_SPACE = 5, DEQUANTIZE = 6,
  FLOOR = 8, FULLY_CONNECTED = 9, LRN = 13, LOGISTIC = 14, MAX_POOL = 17, MUL = 18, RELU = 19, RELU1 = 20,
  RELU6 = 21, RESHAPE = 22, RESIZE_BILINEAR = 23, SOFTMAX = 25, TANH = 28, DIV = 30, MEAN = 31, PAD = 32,
  STRIDED_SLICE = 35, SUB = 36, TRANSPOSE = 37, ABS = 38, ARGMAX = 39, ARGMIN = 40, BI_LSTM = 42, BI_RNN = 43,
  CAST = 45, EQUAL = 48, EXP = 49, GATHER = 51, GREATER = 53, GREATER_EQUAL = 54, GROUPED_CONV = 55,
  INSTANCE_NORM = 57, LESS = 58, LESS_EQUAL = 59, LOG = 60, LOGICAL_AND = 61, LOGICAL_NOT = 62, LOGICAL_OR = 63,
  LOG_SOFTMAX = 64, MAXIMUM = 65, MINIMUM = 66, NEG = 67, PAD_V2 = 69, POW = 70, PRELU = 71, QUANTIZE = 72,
  REDUCE_MAX = 77, REDUCE_MIN = 78, REDUCE_PROD = 79, REDUCE_SUM = 80, RSQRT = 83, SELECT = 84, SIN = 85,
  SLICE = 86, SQRT = 88, TILE = 89, TOPK = 90, TRANSPOSE_CONV = 91, UNI_LSTM = 92, UNI_RNN = 93,
  RESIZE_NEAREST = 94, ELU = 98, HARD_SWISH = 99
};

enum { MOST_COPIED = 128, MOST_DIMENSIONS = 8, MOST_RANK = 4, MOST_OPERANDS = 64 };

typedef struct {
  int32_t type;
  uint32_t dimensionCount;
  const uint32_t *dimensions;
  float scale;
  int32_t zeroPoint;
} ANeuralNetworksOperandType;

typedef struct {
  uint32_t channelDim;
  uint32_t scaleCount;
  const float *scales;
} ANeuralNetworksSymmPerChannelQuantParams;

typedef struct {
  int type, rank, zero;
  int d[MOST_DIMENSIONS];
  float scale;
  float *scales;  // per channel, or null
  int channel_dim;
  bool constant, omitted, input, output, copied, computed;
  uint8_t copy[MOST_COPIED];
  const void *value;
  size_t length;
} Operand;

typedef struct {
  int op, nin, nout, form;  // form: which of the documented lists of inputs it follows
  uint32_t *in, *out;
  const struct Row *row;
} Operation;

typedef struct ANeuralNetworksModel {
  Operand *operands;
  Operation *operations;
  uint32_t operand_count, operation_count, nin, nout;
  uint32_t *in, *out;
  bool identified, finished, valid;
  atomic_int users;
} ANeuralNetworksModel;

typedef struct ANeuralNetworksDevice {
  char name[64];
  bool cpu;
  struct ANeuralNetworksDevice *next;
} ANeuralNetworksDevice;

typedef struct ANeuralNetworksCompilation {
  ANeuralNetworksModel *model;
  const ANeuralNetworksDevice **devices;  // none where the runtime chooses
  uint32_t device_count;
  bool finished, ready;
  atomic_int users;
} ANeuralNetworksCompilation;

typedef struct ANeuralNetworksBurst {
  ANeuralNetworksCompilation *compilation;
  atomic_int busy;
} ANeuralNetworksBurst;

enum { PREPARED, RUNNING, COMPLETED };

typedef struct ANeuralNetworksExecution {
  ANeuralNetworksCompilation *compilation;
  uint8_t **in, **out;
  uint64_t timeout, duration;
  bool measure;
  atomic_int state;
} ANeuralNetworksExecution;

typedef struct ANeuralNetworksEvent {
  pthread_mutex_t lock;
  pthread_cond_t signal;
  bool done;
  int code;
  atomic_int holders;  // the owner, the thread, and each execution that waits for it
  ANeuralNetworksExecution *execution;
  struct ANeuralNetworksEvent **dependencies;
  uint32_t dependency_count;
  uint64_t timeout;
} ANeuralNetworksEvent;

static atomic_int models, compilations, executions, bursts, events, computed, misused;

int pacer_nn_count(const char *what) {
  static const struct { const char *name; atomic_int *count; } counts[] = {
    {"models", &models}, {"compilations", &compilations}, {"executions", &executions}, {"bursts", &bursts},
    {"events", &events}, {"computed", &computed}, {"misused", &misused},
  };
  for (size_t i = 0; what && i < sizeof counts / sizeof *counts; i++)
    if (!strcmp(what, counts[i].name)) return atomic_load(counts[i].count);
  return -1;
}

__attribute__((format(printf, 1, 2))) static int bad(const char *format, ...) {
  char text[400];
  va_list list;
  va_start(list, format);
  vsnprintf(text, sizeof text, format, list);
  va_end(list);
  fprintf(stderr, "neuralnetworks: %s\n", text);  // one call, so that lines of several threads do not mix
  return BAD_DATA;
}

static void *zeroed(size_t count, size_t size) {
  void *p = calloc(count ? count : 1, size);
  if (!p) abort();
  return p;
}

static void *duplicate(const void *p, size_t bytes) {
  void *copy = zeroed(bytes, 1);
  if (bytes) memcpy(copy, p, bytes);
  return copy;
}

// What pacer_nn_set has set: changing the environment is not safe while other threads read it.
static struct {
  const char *name;
  _Atomic(const char *) value;
} settings[] = {
  {"PACER_NN_DEVICES", NULL}, {"PACER_NN_LEVEL", NULL}, {"PACER_NN_REFUSED", NULL}, {"PACER_NN_PREPARE_CODE", NULL},
  {"PACER_NN_EXECUTE_CODE", NULL}, {"PACER_NN_EXECUTE_DELAY_MS", NULL}
};

static const char *setting(const char *name) {
  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
    if (!strcmp(settings[i].name, name)) {
      const char *value = atomic_load(&settings[i].value);
      if (value) return value;
    }
  return getenv(name);
}

// Sets one of the above for this process, or takes it back (null). Earlier values are leaked: somebody may read them.
void pacer_nn_set(const char *name, const char *value) {
  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
    if (!strcmp(settings[i].name, name))
      atomic_store(&settings[i].value, value ? duplicate(value, strlen(value) + 1) : NULL);
}

static int env_int(const char *name, int otherwise) {
  const char *text = setting(name);
  return text && *text ? atoi(text) : otherwise;
}

// ---- Operands ----

static bool is_scalar(int type) {
  return type == FLOAT32 || type == INT32 || type == UINT32 || type == BOOL || type == FLOAT16;
}

static bool is_quant(int type) { return type == T_QUANT8 || type == T_SIGNED8; }

static size_t element_size(int type) {
  switch (type) {
    case FLOAT32: case INT32: case UINT32: case T_FLOAT32: case T_INT32: return 4;
    case T_QUANT16_SYMM: case T_FLOAT16: case FLOAT16: case T_QUANT16: return 2;
    default: return 1;
  }
}

static size_t elements(const Operand *o) {
  size_t n = 1;
  for (int i = 0; i < o->rank; i++) n *= (size_t)o->d[i];
  return n;
}

static size_t bytes_of(const Operand *o) { return elements(o) * element_size(o->type); }

static bool is_specified(const Operand *o) {
  if (is_scalar(o->type)) return true;
  for (int i = 0; i < o->rank; i++)
    if (!o->d[i]) return false;
  return o->rank > 0;
}

static const uint8_t *constant_of(const Operand *o) { return o->copied ? o->copy : o->value; }

static bool same_quant(const Operand *a, const Operand *b) { return a->scale == b->scale && a->zero == b->zero; }

// ---- The context of one operation, checked (run false) or computed (run true) ----

typedef struct Block {
  struct Block *next;
  double values[];
} Block;

typedef struct {
  const ANeuralNetworksModel *m;
  Operation *op;
  uint8_t **memory;  // per operand, while computing
  Block *blocks;     // scratch, freed after the operation
  int main;          // the input whose type the operation follows
  bool run;
  char wanted;       // the letter that an operand did not fit
  char why[240];
} Ctx;

typedef struct Row {
  int op;
  const char *name;
  int types;            // of the main input, as bits
  const char *in, *out;  // see fits
  char rule;             // of a quantised output
  bool (*run)(Ctx *c);
} Row;

__attribute__((format(printf, 2, 3))) static bool fail(Ctx *c, const char *format, ...) {
  va_list list;
  va_start(list, format);
  vsnprintf(c->why, sizeof c->why, format, list);
  va_end(list);
  return false;
}

static Operand *in(const Ctx *c, int i) { return &c->m->operands[c->op->in[i]]; }
static Operand *out(const Ctx *c, int i) { return &c->m->operands[c->op->out[i]]; }
static bool has(const Ctx *c, int i) { return i < c->op->nin && !in(c, i)->omitted; }

// Constants are read at each use, so that a referenced value is read where the client keeps it.
static int element_i32(const Ctx *c, int i, size_t at) {
  int32_t v;
  memcpy(&v, constant_of(in(c, i)) + at * 4, 4);
  return v;
}
static int i32(const Ctx *c, int i) { return element_i32(c, i, 0); }
static int i32_or(const Ctx *c, int i, int otherwise) { return has(c, i) ? i32(c, i) : otherwise; }
static bool flag(const Ctx *c, int i) { return has(c, i) && constant_of(in(c, i))[0] != 0; }
static double f32(const Ctx *c, int i) {
  float v;
  memcpy(&v, constant_of(in(c, i)), 4);
  return (double)v;
}

static double *scratch(Ctx *c, size_t count) {
  Block *b = zeroed(1, sizeof *b + (count ? count : 1) * sizeof(double));
  b->next = c->blocks;
  c->blocks = b;
  return b->values;
}

static double raw(int type, const uint8_t *p, size_t i) {
  switch (type) {
    case T_FLOAT32: { float v; memcpy(&v, p + 4 * i, 4); return (double)v; }
    case T_INT32: { int32_t v; memcpy(&v, p + 4 * i, 4); return v; }
    case T_BOOL8: return p[i] != 0;
    case T_QUANT8: return p[i];
    default: return (int8_t)p[i];
  }
}

static const uint8_t *memory_of(const Ctx *c, int i) {
  return in(c, i)->constant ? constant_of(in(c, i)) : c->memory[c->op->in[i]];
}

static double *get_raw(Ctx *c, int i) {
  const Operand *o = in(c, i);
  const uint8_t *p = memory_of(c, i);
  size_t n = elements(o);
  double *v = scratch(c, n);
  for (size_t k = 0; k < n; k++) v[k] = raw(o->type, p, k);
  return v;
}

// The real values of an input. A bias stays in its integers: only its operation knows the scale.
static double *get(Ctx *c, int i) {
  const Operand *o = in(c, i);
  double *v = get_raw(c, i);
  size_t n = elements(o), inner = 1;
  if (o->type == T_PER_CHANNEL) {
    for (int k = o->channel_dim + 1; k < o->rank; k++) inner *= (size_t)o->d[k];
    for (size_t k = 0; k < n; k++) v[k] *= (double)o->scales[k / inner % (size_t)o->d[o->channel_dim]];
  } else if (is_quant(o->type) || o->type == T_QUANT8_SYMM) {
    for (size_t k = 0; k < n; k++) v[k] = (v[k] - o->zero) * (double)o->scale;
  }
  return v;
}

static double clamp(double v, double low, double high) { return v < low ? low : v > high ? high : v; }

static bool put_raw(Ctx *c, int i, const double *v) {
  const Operand *o = out(c, i);
  uint8_t *p = c->memory[c->op->out[i]];
  size_t n = elements(o);
  for (size_t k = 0; k < n; k++) {
    double x = v[k];
    if (o->type == T_FLOAT32) {
      float f = (float)x;
      memcpy(p + 4 * k, &f, 4);
    } else if (o->type == T_INT32) {
      int32_t n32 = isnan(x) ? 0 : (int32_t)clamp(trunc(x), INT32_MIN, INT32_MAX);
      memcpy(p + 4 * k, &n32, 4);
    } else if (o->type == T_BOOL8) {
      p[k] = x != 0;
    } else if (o->type == T_QUANT8) {
      p[k] = isnan(x) ? 0 : (uint8_t)clamp(trunc(x), 0, 255);
    } else {
      p[k] = isnan(x) ? 0 : (uint8_t)(int8_t)clamp(trunc(x), -128, 127);
    }
  }
  return true;
}

// Real values into an output; round is half away from zero. It changes v.
static bool put(Ctx *c, int i, double *v) {
  const Operand *o = out(c, i);
  if (is_quant(o->type)) {
    size_t n = elements(o);
    for (size_t k = 0; k < n; k++) v[k] = isnan(v[k]) ? o->zero : round(v[k] / (double)o->scale) + o->zero;
  }
  return put_raw(c, i, v);
}

static void shape_text(char *text, size_t size, int rank, const int *d) {
  int used = snprintf(text, size, "[");
  for (int i = 0; i < rank && used < (int)size; i++)
    used += snprintf(text + used, size - (size_t)used, i ? ", %d" : "%d", d[i]);
  if (used < (int)size) snprintf(text + used, size - (size_t)used, "]");
}

static bool dims_are(const Operand *o, int rank, const int *d) {
  return o->rank == rank && !memcmp(o->d, d, (size_t)rank * sizeof *d);
}

// Whether an output is declared with the dimensions that follow from the inputs.
static bool shaped(Ctx *c, int i, int rank, const int *d) {
  char declared[60], inferred[60];
  if (dims_are(out(c, i), rank, d)) return true;
  shape_text(declared, sizeof declared, out(c, i)->rank, out(c, i)->d);
  shape_text(inferred, sizeof inferred, rank, d);
  return fail(c, "output %d is declared %s but comes to %s", i, declared, inferred);
}

static bool input_is(Ctx *c, int i, int rank, int d0, int d1, int d2) {
  char declared[60], wanted[60];
  int d[3] = {d0, d1, d2};
  if (!has(c, i) || dims_are(in(c, i), rank, d)) return true;
  shape_text(declared, sizeof declared, in(c, i)->rank, in(c, i)->d);
  shape_text(wanted, sizeof wanted, rank, d);
  return fail(c, "input %d is %s and must be %s", i, declared, wanted);
}

static bool axis_of(Ctx *c, int value, int rank, int *axis) {
  if (value < -rank || value >= rank) return fail(c, "axis %d is outside rank %d", value, rank);
  *axis = value < 0 ? value + rank : value;
  return true;
}

static bool fuse_ok(Ctx *c, int code) { return (code >= 0 && code <= 3) || fail(c, "%d is no fuse code", code); }

static double fused(int code, double v) {
  switch (code) {
    case 1: return v < 0 ? 0 : v;
    case 2: return clamp(v, -1, 1);
    case 3: return clamp(v, 0, 6);
    default: return v;
  }
}

// Product of the dimensions [from, to).
static size_t span(const Operand *o, int from, int to) {
  size_t n = 1;
  for (int i = from; i < to; i++) n *= (size_t)o->d[i];
  return n;
}

// The coordinates of element `at` in row-major order.
static void unravel(size_t at, int rank, const int *d, int *coord) {
  for (int i = rank - 1; i >= 0; i--) {
    coord[i] = (int)(at % (size_t)d[i]);
    at /= (size_t)d[i];
  }
}

static void strides_of(const Operand *o, long *s) {
  long n = 1;
  for (int i = o->rank - 1; i >= 0; i--) {
    s[i] = n;
    n *= o->d[i];
  }
}

// ---- Element-wise ----

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

static bool op_unary(Ctx *c) {
  const Operand *a = in(c, 0), *o = out(c, 0);
  int code = c->op->op;
  if (!c->run) {
    int pairs = 1 << T_FLOAT32 | 1 << T_INT32 | 1 << T_QUANT8;
    if (code == CAST && a->type != o->type && !(pairs >> a->type & 1 && pairs >> o->type & 1))
      return fail(c, "cannot cast type %d to %d", a->type, o->type);
    return shaped(c, 0, a->rank, a->d);
  }
  double *v = code == CAST ? get_raw(c, 0) : get(c, 0), alpha = code == ELU ? f32(c, 1) : 0;
  size_t n = elements(a);
  for (size_t i = 0; i < n; i++) {
    double x = v[i];
    switch (code) {
      case FLOOR: x = floor(x); break;
      case LOGISTIC: x = sigmoid(x); break;
      case RELU: x = fused(1, x); break;
      case RELU1: x = fused(2, x); break;
      case RELU6: x = fused(3, x); break;
      case TANH: x = tanh(x); break;
      case ABS: x = fabs(x); break;
      case EXP: x = exp(x); break;
      case LOG: x = log(x); break;
      case LOGICAL_NOT: x = x == 0; break;
      case NEG: x = -x; break;
      case SIN: x = sin(x); break;
      case SQRT: x = sqrt(x); break;
      case RSQRT: x = 1 / sqrt(x); break;
      case ELU: x = x < 0 ? alpha * expm1(x) : x; break;
      case HARD_SWISH: x = x * clamp(x + 3, 0, 6) / 6; break;
      default: break;  // CAST, QUANTIZE and DEQUANTIZE only change the type
    }
    v[i] = x;
  }
  return code == CAST ? put_raw(c, 0, v) : put(c, 0, v);
}

static bool broadcast(Ctx *c, const Operand *a, const Operand *b, int *rank, int *d) {
  *rank = a->rank > b->rank ? a->rank : b->rank;
  for (int i = 1; i <= *rank; i++) {
    int x = i <= a->rank ? a->d[a->rank - i] : 1, y = i <= b->rank ? b->d[b->rank - i] : 1;
    if (x != y && x != 1 && y != 1) return fail(c, "dimensions %d and %d do not broadcast", x, y);
    d[*rank - i] = x > y ? x : y;
  }
  return true;
}

static void broadcast_strides(const Operand *o, int rank, long *s) {
  long own[MOST_RANK];
  strides_of(o, own);
  for (int i = 0; i < rank; i++) {
    int k = i - (rank - o->rank);
    s[i] = k < 0 || o->d[k] == 1 ? 0 : own[k];
  }
}

static bool op_binary(Ctx *c) {
  const Operand *a = in(c, 0), *b = in(c, 1);
  int code = c->op->op, rank, d[MOST_RANK], coord[MOST_RANK], fuse = i32_or(c, 2, 0);
  long sa[MOST_RANK], sb[MOST_RANK];
  if (!broadcast(c, a, b, &rank, d) || !fuse_ok(c, fuse)) return false;
  if (fuse && a->type == T_INT32) return fail(c, "int32 takes no fused activation");
  if (!c->run) return shaped(c, 0, rank, d);
  broadcast_strides(a, rank, sa);
  broadcast_strides(b, rank, sb);
  double *va = get(c, 0), *vb = get(c, 1);
  size_t n = elements(out(c, 0));
  double *v = scratch(c, n);
  for (size_t i = 0; i < n; i++) {
    long ia = 0, ib = 0;
    unravel(i, rank, d, coord);
    for (int k = 0; k < rank; k++) ia += coord[k] * sa[k], ib += coord[k] * sb[k];
    double x = va[ia], y = vb[ib], r = 0;
    switch (code) {
      case ADD: r = x + y; break;
      case SUB: r = x - y; break;
      case MUL: r = x * y; break;
      case DIV:
        if (a->type == T_INT32 && y == 0) return fail(c, "division by zero");
        r = a->type == T_INT32 ? floor(x / y) : x / y;
        break;
      case MAXIMUM: r = x > y ? x : y; break;
      case MINIMUM: r = x < y ? x : y; break;
      case POW: r = pow(x, y); break;
      case PRELU: r = x < 0 ? x * y : x; break;
      case EQUAL: r = x == y; break;
      case GREATER: r = x > y; break;
      case GREATER_EQUAL: r = x >= y; break;
      case LESS: r = x < y; break;
      case LESS_EQUAL: r = x <= y; break;
      case LOGICAL_AND: r = x && y; break;
      default: r = x || y; break;
    }
    v[i] = fused(fuse, r);
  }
  return put(c, 0, v);
}

static bool op_select(Ctx *c) {
  const Operand *a = in(c, 0);
  if (!c->run) {
    if (!dims_are(in(c, 1), a->rank, a->d) || !dims_are(in(c, 2), a->rank, a->d))
      return fail(c, "the three inputs must have one shape");
    return shaped(c, 0, a->rank, a->d);
  }
  double *choose = get(c, 0), *v = get(c, 1), *other = get(c, 2);
  size_t n = elements(a);
  for (size_t i = 0; i < n; i++)
    if (!choose[i]) v[i] = other[i];
  return put(c, 0, v);
}

// ---- Images: convolutions, pools, resizes ----

typedef struct {
  int n, h, w, c;
  size_t sn, sh, sw, sc;
} Image;

static Image image_of(const Operand *o, bool nchw) {
  Image m = {o->d[0], o->d[nchw ? 2 : 1], o->d[nchw ? 3 : 2], o->d[nchw ? 1 : 3], 0, 0, 0, 0};
  m.sn = (size_t)m.h * (size_t)m.w * (size_t)m.c;
  m.sc = nchw ? (size_t)m.h * (size_t)m.w : 1;
  m.sw = nchw ? 1 : (size_t)m.c;
  m.sh = m.sw * (size_t)m.w;
  return m;
}

static size_t pixel(const Image *m, int n, int y, int x, int ch) {
  return (size_t)n * m->sn + (size_t)y * m->sh + (size_t)x * m->sw + (size_t)ch * m->sc;
}

static bool shaped_image(Ctx *c, bool nchw, int n, int h, int w, int ch) {
  int nhwc_d[4] = {n, h, w, ch}, nchw_d[4] = {n, ch, h, w};
  return shaped(c, 0, 4, nchw ? nchw_d : nhwc_d);
}

static bool four(Ctx *c, int i) { return in(c, i)->rank == 4 || fail(c, "input %d must have rank 4", i); }

// One axis of a sliding window: its stride, dilation, padding before and output size.
typedef struct {
  int size, stride, dilation, before, out;
} Window;

// `at` is the operand of the two pads where they are explicit, or of the padding code.
static bool window(Ctx *c, Window *w, int in_size, bool explicit, int at) {
  if (w->size < 1 || w->stride < 1 || w->dilation < 1) return fail(c, "filter, stride and dilation must be positive");
  int effective = (w->size - 1) * w->dilation + 1, after;
  if (explicit) {
    w->before = i32(c, at), after = i32(c, at + 1);
    if (w->before < 0 || after < 0) return fail(c, "pads must not be negative");
  } else if (i32(c, at) == 1) {
    int total = ((in_size + w->stride - 1) / w->stride - 1) * w->stride + effective - in_size;
    if (total < 0) total = 0;
    w->before = total / 2, after = total - total / 2;
  } else if (i32(c, at) == 2) {
    w->before = after = 0;
  } else {
    return fail(c, "%d is no padding code", i32(c, at));
  }
  if (in_size + w->before + after < effective) return fail(c, "the filter is larger than the padded input");
  w->out = (in_size + w->before + after - effective) / w->stride + 1;
  return true;
}

static bool per_channel_at(Ctx *c, int i, int dim) {
  return in(c, i)->type != T_PER_CHANNEL || in(c, i)->channel_dim == dim ||
         fail(c, "input %d must have its scales along dimension %d", i, dim);
}

// Bias in real values: its scale is the product of those of the input and of the filter.
static double *bias_of(Ctx *c) {
  double *b = get(c, 2);
  const Operand *a = in(c, 0), *f = in(c, 1);
  size_t n = elements(in(c, 2));
  if (!is_quant(a->type)) return b;
  for (size_t i = 0; i < n; i++) b[i] *= (double)a->scale * (double)(f->scales ? f->scales[i] : f->scale);
  return b;
}

// CONV_2D, DEPTHWISE_CONV_2D and GROUPED_CONV_2D.
static bool op_conv(Ctx *c) {
  bool explicit = c->op->form == 0, depthwise = c->op->op == DEPTHWISE;
  const Operand *f = in(c, 1);
  int at = explicit ? 7 : 4;
  if (!four(c, 0) || !four(c, 1)) return false;
  Window wide = {f->d[2], i32(c, at), 1, 0, 0}, high = {f->d[1], i32(c, at + 1), 1, 0, 0};
  at += 2;
  int number = c->op->op == CONV ? 1 : i32(c, at++);  // groups, or the depth multiplier
  int fuse = i32(c, at++);
  bool nchw = flag(c, at++);
  wide.dilation = i32_or(c, at, 1), high.dilation = i32_or(c, at + 1, 1);
  Image a = image_of(in(c, 0), nchw);
  if (!fuse_ok(c, fuse) || !window(c, &wide, a.w, explicit, 3) || !window(c, &high, a.h, explicit, explicit ? 5 : 3))
    return false;
  int depth = f->d[depthwise ? 3 : 0];
  if (!c->run) {
    if (number < 1) return fail(c, "groups or multiplier must be positive");
    if (depthwise ? f->d[0] != 1 || depth != a.c * number : depth % number || f->d[3] * number != a.c)
      return fail(c, "the filter does not fit a depth of %d", a.c);
    return per_channel_at(c, 1, depthwise ? 3 : 0) && input_is(c, 2, 1, depth, 0, 0) &&
           shaped_image(c, nchw, a.n, high.out, wide.out, depth);
  }
  Image o = image_of(out(c, 0), nchw);
  double *va = get(c, 0), *vf = get(c, 1), *vb = bias_of(c), *v = scratch(c, elements(out(c, 0)));
  int taken = depthwise ? 1 : f->d[3];  // input channels that each output channel sees
  for (int n = 0; n < o.n; n++)
    for (int y = 0; y < o.h; y++)
      for (int x = 0; x < o.w; x++)
        for (int k = 0; k < depth; k++) {
          int first = depthwise ? k / number : k / (depth / number) * taken;
          double sum = vb[k];
          for (int fy = 0; fy < high.size; fy++)
            for (int fx = 0; fx < wide.size; fx++) {
              int iy = y * high.stride - high.before + fy * high.dilation;
              int ix = x * wide.stride - wide.before + fx * wide.dilation;
              if (iy < 0 || iy >= a.h || ix < 0 || ix >= a.w) continue;
              const double *p = va + pixel(&a, n, iy, ix, first);
              size_t spot = (size_t)fy * (size_t)wide.size + (size_t)fx;
              const double *q = depthwise ? vf + spot * (size_t)depth + k
                                          : vf + ((size_t)k * (size_t)(high.size * wide.size) + spot) * (size_t)taken;
              for (int ch = 0; ch < taken; ch++) sum += p[(size_t)ch * a.sc] * q[ch];
            }
          v[pixel(&o, n, y, x, k)] = fused(fuse, sum);
        }
  return put(c, 0, v);
}

static bool op_transpose_conv(Ctx *c) {
  bool explicit = c->op->form == 0, nchw = flag(c, explicit ? 10 : 8);
  const Operand *f = in(c, 1);
  int at = explicit ? 7 : 5, sw = i32(c, at), sh = i32(c, at + 1), fuse = i32(c, at + 2), left = 0, top = 0;
  if (!four(c, 0) || !four(c, 1) || !fuse_ok(c, fuse)) return false;
  Image a = image_of(in(c, 0), nchw);
  int depth = f->d[0], fh = f->d[1], fw = f->d[2], d[4];
  int full_w = (a.w - 1) * sw + fw, full_h = (a.h - 1) * sh + fh;
  if (explicit) {
    left = i32(c, 3), top = i32(c, 5);
    if (left < 0 || top < 0 || i32(c, 4) < 0 || i32(c, 6) < 0) return fail(c, "pads must not be negative");
    int h = full_h - top - i32(c, 6), w = full_w - left - i32(c, 4);
    int nhwc_d[4] = {a.n, h, w, depth}, nchw_d[4] = {a.n, depth, h, w};
    memcpy(d, nchw ? nchw_d : nhwc_d, sizeof d);
  } else {
    if (in(c, 3)->d[0] != 4) return fail(c, "the output shape must have 4 elements");
    for (int i = 0; i < 4; i++) d[i] = element_i32(c, 3, (size_t)i);
    int w = d[nchw ? 3 : 2], h = d[nchw ? 2 : 1];
    if (i32(c, 4) == 1) {
      left = full_w > w ? (full_w - w) / 2 : 0;
      top = full_h > h ? (full_h - h) / 2 : 0;
    } else if (i32(c, 4) != 2) {
      return fail(c, "%d is no padding code", i32(c, 4));
    }
    if (d[0] != a.n || d[nchw ? 1 : 3] != depth) return fail(c, "the output shape has another batch or depth");
  }
  if (!c->run) {
    if (sw < 1 || sh < 1) return fail(c, "strides must be positive");
    if (f->d[3] != a.c) return fail(c, "the filter does not fit a depth of %d", a.c);
    return per_channel_at(c, 1, 0) && input_is(c, 2, 1, depth, 0, 0) && shaped(c, 0, 4, d);
  }
  Image o = image_of(out(c, 0), nchw);
  size_t count = elements(out(c, 0));
  double *va = get(c, 0), *vf = get(c, 1), *vb = bias_of(c), *v = scratch(c, count);
  for (size_t i = 0; i < count; i++) v[i] = vb[i / o.sc % (size_t)depth];
  for (int n = 0; n < a.n; n++)
    for (int iy = 0; iy < a.h; iy++)
      for (int ix = 0; ix < a.w; ix++)
        for (int k = 0; k < depth; k++)
          for (int fy = 0; fy < fh; fy++)
            for (int fx = 0; fx < fw; fx++) {
              int y = iy * sh + fy - top, x = ix * sw + fx - left;
              if (y < 0 || y >= o.h || x < 0 || x >= o.w) continue;
              const double *q = vf + (((size_t)k * (size_t)fh + (size_t)fy) * (size_t)fw + (size_t)fx) * (size_t)a.c;
              double sum = 0;
              for (int ch = 0; ch < a.c; ch++) sum += va[pixel(&a, n, iy, ix, ch)] * q[ch];
              v[pixel(&o, n, y, x, k)] += sum;
            }
  for (size_t i = 0; i < count; i++) v[i] = fused(fuse, v[i]);
  return put(c, 0, v);
}

static bool op_pool(Ctx *c) {
  bool explicit = c->op->form == 0, nchw = flag(c, explicit ? 10 : 7), most = c->op->op == MAX_POOL;
  int at = explicit ? 5 : 2, fuse = i32(c, at + 4);
  if (!four(c, 0)) return false;
  Image a = image_of(in(c, 0), nchw);
  Window wide = {i32(c, at + 2), i32(c, at), 1, 0, 0}, high = {i32(c, at + 3), i32(c, at + 1), 1, 0, 0};
  if (!fuse_ok(c, fuse) || !window(c, &wide, a.w, explicit, 1) || !window(c, &high, a.h, explicit, explicit ? 3 : 1))
    return false;
  if (!c->run) return shaped_image(c, nchw, a.n, high.out, wide.out, a.c);
  Image o = image_of(out(c, 0), nchw);
  double *va = get(c, 0), *v = scratch(c, elements(out(c, 0)));
  for (int n = 0; n < o.n; n++)
    for (int y = 0; y < o.h; y++)
      for (int x = 0; x < o.w; x++)
        for (int k = 0; k < o.c; k++) {
          double sum = 0, top = -INFINITY;
          int count = 0;
          for (int fy = 0; fy < high.size; fy++)
            for (int fx = 0; fx < wide.size; fx++) {
              int iy = y * high.stride - high.before + fy, ix = x * wide.stride - wide.before + fx;
              if (iy < 0 || iy >= a.h || ix < 0 || ix >= a.w) continue;
              double p = va[pixel(&a, n, iy, ix, k)];
              sum += p;
              if (p > top) top = p;
              count++;
            }
          if (!count) return fail(c, "a window lies in the padding alone");
          v[pixel(&o, n, y, x, k)] = fused(fuse, most ? top : sum / count);
        }
  return put(c, 0, v);
}

// Where output pixel `at` lies in the input. Multiplied before it is divided, so that whole pixels stay whole.
static double resized(int at, int in_size, int out_size, bool align, bool half) {
  if (align && out_size > 1) return (double)at * (in_size - 1) / (out_size - 1);
  return half ? (at + 0.5) * in_size / out_size - 0.5 : (double)at * in_size / out_size;
}

static bool op_resize(Ctx *c) {
  bool by_size = c->op->form == 0, nchw = flag(c, 3), align = flag(c, 4), half = flag(c, 5);
  if (!four(c, 0)) return false;
  Image a = image_of(in(c, 0), nchw);
  int w = by_size ? i32(c, 1) : (int)floor(a.w * f32(c, 1)), h = by_size ? i32(c, 2) : (int)floor(a.h * f32(c, 2));
  if (w < 1 || h < 1) return fail(c, "the new size must be positive");
  if (align && half) return fail(c, "corners cannot be aligned with half-pixel centres");
  if (!c->run) return shaped_image(c, nchw, a.n, h, w, a.c);
  Image o = image_of(out(c, 0), nchw);
  double *va = get(c, 0), *v = scratch(c, elements(out(c, 0)));
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++) {
      double py = resized(y, a.h, h, align, half), px = resized(x, a.w, w, align, half);
      if (c->op->op == RESIZE_NEAREST) {
        double shift = half ? 0.5 : 0;  // the half pixel was taken off for interpolation only
        py = align ? round(py) : floor(py + shift), px = align ? round(px) : floor(px + shift);
      }
      py = clamp(py, 0, a.h - 1), px = clamp(px, 0, a.w - 1);
      int y0 = (int)py, x0 = (int)px, y1 = y0 + 1 < a.h ? y0 + 1 : y0, x1 = x0 + 1 < a.w ? x0 + 1 : x0;
      double fy = py - y0, fx = px - x0;
      for (int n = 0; n < a.n; n++)
        for (int k = 0; k < a.c; k++)
          v[pixel(&o, n, y, x, k)] =
              (va[pixel(&a, n, y0, x0, k)] * (1 - fx) + va[pixel(&a, n, y0, x1, k)] * fx) * (1 - fy) +
              (va[pixel(&a, n, y1, x0, k)] * (1 - fx) + va[pixel(&a, n, y1, x1, k)] * fx) * fy;
    }
  return put(c, 0, v);
}

static bool op_depth_to_space(Ctx *c) {
  int size = i32(c, 1);
  bool nchw = flag(c, 2);
  if (!four(c, 0)) return false;
  Image a = image_of(in(c, 0), nchw);
  if (size < 1 || a.c % (size * size)) return fail(c, "block %d does not divide depth %d", size, a.c);
  if (!c->run) return shaped_image(c, nchw, a.n, a.h * size, a.w * size, a.c / (size * size));
  Image o = image_of(out(c, 0), nchw);
  double *va = get(c, 0), *v = scratch(c, elements(out(c, 0)));
  for (int n = 0; n < o.n; n++)
    for (int y = 0; y < o.h; y++)
      for (int x = 0; x < o.w; x++)
        for (int k = 0; k < o.c; k++)
          v[pixel(&o, n, y, x, k)] =
              va[pixel(&a, n, y / size, x / size, (y % size * size + x % size) * o.c + k)];
  return put(c, 0, v);
}

static bool op_fully_connected(Ctx *c) {
  const Operand *a = in(c, 0), *f = in(c, 1);
  int fuse = i32(c, 3);
  if (f->rank != 2 || a->rank < 2) return fail(c, "the weights must have rank 2, the input at least 2");
  int units = f->d[0], size = f->d[1];
  size_t batch = elements(a) / (size_t)size;
  if (!c->run) {
    if (elements(a) % (size_t)size) return fail(c, "the input does not divide by the input size %d", size);
    return fuse_ok(c, fuse) && input_is(c, 2, 1, units, 0, 0) && shaped(c, 0, 2, (int[]){(int)batch, units});
  }
  double *va = get(c, 0), *vf = get(c, 1), *vb = bias_of(c), *v = scratch(c, batch * (size_t)units);
  for (size_t b = 0; b < batch; b++)
    for (int u = 0; u < units; u++) {
      const double *p = va + b * (size_t)size, *q = vf + (size_t)u * (size_t)size;
      double sum = vb[u];
      for (int k = 0; k < size; k++) sum += p[k] * q[k];
      v[b * (size_t)units + (size_t)u] = fused(fuse, sum);
    }
  return put(c, 0, v);
}

// ---- Moving elements ----

static bool op_concatenation(Ctx *c) {
  int n = c->op->nin - 1, rank = in(c, 0)->rank, axis, d[MOST_RANK];
  if (!axis_of(c, i32(c, n), rank, &axis)) return false;
  memcpy(d, in(c, 0)->d, sizeof d);
  d[axis] = 0;
  for (int i = 0; i < n; i++) {
    if (in(c, i)->rank != rank) return fail(c, "input %d has another rank", i);
    for (int k = 0; k < rank; k++)
      if (k != axis && in(c, i)->d[k] != d[k]) return fail(c, "input %d differs in dimension %d", i, k);
    d[axis] += in(c, i)->d[axis];
  }
  if (!c->run) return shaped(c, 0, rank, d);
  double *v = scratch(c, elements(out(c, 0)));
  size_t rows = span(in(c, 0), 0, axis), width = span(out(c, 0), axis, rank), offset = 0;
  for (int i = 0; i < n; i++) {
    double *p = get(c, i);
    size_t own = span(in(c, i), axis, rank);
    for (size_t r = 0; r < rows; r++) memcpy(v + r * width + offset, p + r * own, own * sizeof *v);
    offset += own;
  }
  return put(c, 0, v);
}

static bool op_reshape(Ctx *c) {
  int rank = in(c, 1)->d[0], d[MOST_RANK], open = -1;
  size_t known = 1, n = elements(in(c, 0));
  if (rank > MOST_RANK) return fail(c, "rank %d is over %d", rank, MOST_RANK);
  for (int i = 0; i < rank; i++) {
    d[i] = element_i32(c, 1, (size_t)i);
    if (d[i] == -1 && open < 0) open = i;
    else if (d[i] < 1) return fail(c, "dimension %d of the shape is %d", i, d[i]);
    else known *= (size_t)d[i];
  }
  if (open >= 0) d[open] = (int)(n / known), known *= n / known;
  if (known != n) return fail(c, "the shape has another count of elements");
  return c->run ? put(c, 0, get(c, 0)) : shaped(c, 0, rank, d);
}

// out[coord] = in[first + sum of coord * step]; shared by the operations that only pick elements.
static bool pick(Ctx *c, int rank, const int *d, long first, const long *step) {
  double *a = get(c, 0);
  size_t n = elements(out(c, 0));
  double *v = scratch(c, n);
  int coord[MOST_RANK];
  for (size_t i = 0; i < n; i++) {
    long at = first;
    unravel(i, rank, d, coord);
    for (int k = 0; k < rank; k++) at += coord[k] * step[k];
    v[i] = a[at];
  }
  return put(c, 0, v);
}

static bool op_transpose(Ctx *c) {
  const Operand *a = in(c, 0);
  int d[MOST_RANK], seen = 0;
  long s[MOST_RANK], step[MOST_RANK];
  if (has(c, 1) && in(c, 1)->d[0] != a->rank) return fail(c, "the permutation must have %d elements", a->rank);
  strides_of(a, s);
  for (int i = 0; i < a->rank; i++) {
    int from = has(c, 1) ? element_i32(c, 1, (size_t)i) : a->rank - 1 - i;  // without one, the axes are reversed
    if (from < 0 || from >= a->rank || seen >> from & 1) return fail(c, "input 1 is no permutation");
    seen |= 1 << from;
    d[i] = a->d[from], step[i] = s[from];
  }
  return c->run ? pick(c, a->rank, d, 0, step) : shaped(c, 0, a->rank, d);
}

static bool op_slice(Ctx *c) {
  const Operand *a = in(c, 0);
  int d[MOST_RANK];
  long s[MOST_RANK], first = 0;
  if (in(c, 1)->d[0] != a->rank || in(c, 2)->d[0] != a->rank) return fail(c, "begin and size must match the rank");
  strides_of(a, s);
  for (int i = 0; i < a->rank; i++) {
    int begin = element_i32(c, 1, (size_t)i);
    d[i] = element_i32(c, 2, (size_t)i);
    if (d[i] == -1) d[i] = a->d[i] - begin;
    if (begin < 0 || d[i] < 1 || begin > a->d[i] - d[i]) return fail(c, "the slice leaves dimension %d", i);
    first += begin * s[i];
  }
  return c->run ? pick(c, a->rank, d, first, s) : shaped(c, 0, a->rank, d);
}

static bool op_strided_slice(Ctx *c) {
  const Operand *a = in(c, 0);
  int d[MOST_RANK], rank = 0, begin_mask = i32(c, 4), end_mask = i32(c, 5), shrink = i32(c, 6);
  long s[MOST_RANK], step[MOST_RANK], first = 0;
  for (int i = 1; i <= 3; i++)
    if (in(c, i)->d[0] != a->rank) return fail(c, "input %d must have %d elements", i, a->rank);
  strides_of(a, s);
  for (int i = 0; i < a->rank; i++) {
    int size = a->d[i], begin = element_i32(c, 1, (size_t)i), end = element_i32(c, 2, (size_t)i);
    int stride = element_i32(c, 3, (size_t)i), low = stride > 0 ? 0 : -1, high = stride > 0 ? size : size - 1;
    if (!stride) return fail(c, "stride %d is zero", i);
    if (shrink >> i & 1) {
      if (begin < 0) begin += size;
      if (begin < 0 || begin >= size) return fail(c, "the element of dimension %d is outside it", i);
      first += begin * s[i];
      continue;
    }
    begin = (int)clamp(begin < 0 ? begin + size : begin, low, high);
    end = (int)clamp(end < 0 ? end + size : end, low, high);
    if (begin_mask >> i & 1) begin = stride > 0 ? 0 : size - 1;
    if (end_mask >> i & 1) end = stride > 0 ? size : -1;
    int count = stride > 0 ? (end - begin + stride - 1) / stride : (begin - end - stride - 1) / -stride;
    if (count < 1) return fail(c, "the slice of dimension %d is empty", i);
    first += begin * s[i];
    d[rank] = count, step[rank++] = stride * s[i];
  }
  if (!rank) d[0] = 1, step[0] = 0, rank = 1;
  return c->run ? pick(c, rank, d, first, step) : shaped(c, 0, rank, d);
}

static bool op_tile(Ctx *c) {
  const Operand *a = in(c, 0);
  int d[MOST_RANK], coord[MOST_RANK];
  long s[MOST_RANK];
  if (in(c, 1)->d[0] != a->rank) return fail(c, "the multiples must have %d elements", a->rank);
  for (int i = 0; i < a->rank; i++) {
    int times = element_i32(c, 1, (size_t)i);
    if (times < 1) return fail(c, "multiple %d is %d", i, times);
    d[i] = a->d[i] * times;
  }
  if (!c->run) return shaped(c, 0, a->rank, d);
  strides_of(a, s);
  size_t n = elements(out(c, 0));
  double *va = get(c, 0), *v = scratch(c, n);
  for (size_t i = 0; i < n; i++) {
    long at = 0;
    unravel(i, a->rank, d, coord);
    for (int k = 0; k < a->rank; k++) at += coord[k] % a->d[k] * s[k];
    v[i] = va[at];
  }
  return put(c, 0, v);
}

// PAD fills with real zero, so with the zero point; the value of PAD_V2 is an element in the input's own integers.
static bool op_pad(Ctx *c) {
  const Operand *a = in(c, 0);
  int d[MOST_RANK], before[MOST_RANK], coord[MOST_RANK];
  long s[MOST_RANK];
  if (!input_is(c, 1, 2, a->rank, 2, 0)) return false;
  for (int i = 0; i < a->rank; i++) {
    int after = element_i32(c, 1, (size_t)(2 * i + 1));
    before[i] = element_i32(c, 1, (size_t)(2 * i));
    if (before[i] < 0 || after < 0) return fail(c, "pads must not be negative");
    d[i] = before[i] + a->d[i] + after;
  }
  if (!c->run) return shaped(c, 0, a->rank, d);
  double value = 0;
  if (c->op->op == PAD_V2) value = is_quant(a->type) ? (i32(c, 2) - a->zero) * (double)a->scale : f32(c, 2);
  strides_of(a, s);
  size_t n = elements(out(c, 0));
  double *va = get(c, 0), *v = scratch(c, n);
  for (size_t i = 0; i < n; i++) {
    long at = 0;
    bool inside = true;
    unravel(i, a->rank, d, coord);
    for (int k = 0; k < a->rank; k++) {
      int x = coord[k] - before[k];
      inside = inside && x >= 0 && x < a->d[k];
      at += x * s[k];
    }
    v[i] = inside ? va[at] : value;
  }
  return put(c, 0, v);
}

static bool op_gather(Ctx *c) {
  const Operand *a = in(c, 0), *index = in(c, 2);
  int axis, rank = 0, d[2 * MOST_RANK];
  if (!axis_of(c, i32(c, 1), a->rank, &axis)) return false;
  for (int i = 0; i < axis; i++) d[rank++] = a->d[i];
  for (int i = 0; i < index->rank; i++) d[rank++] = index->d[i];
  for (int i = axis + 1; i < a->rank; i++) d[rank++] = a->d[i];
  if (rank > MOST_RANK || rank < 1) return fail(c, "the output has rank %d", rank);
  if (!c->run) return shaped(c, 0, rank, d);
  size_t outer = span(a, 0, axis), inner = span(a, axis + 1, a->rank), count = elements(index);
  double *va = get(c, 0), *at = get(c, 2), *v = scratch(c, elements(out(c, 0)));
  for (size_t k = 0; k < count; k++) {
    if (at[k] < 0 || at[k] >= a->d[axis]) return fail(c, "index %g is outside dimension %d", at[k], axis);
    for (size_t o = 0; o < outer; o++)
      memcpy(v + (o * count + k) * inner, va + (o * (size_t)a->d[axis] + (size_t)at[k]) * inner, inner * sizeof *v);
  }
  return put(c, 0, v);
}

// ---- Along axes ----

static bool op_reduce(Ctx *c) {
  const Operand *a = in(c, 0);
  int code = c->op->op, rank = 0, d[MOST_RANK], coord[MOST_RANK], axes = 0, axis;
  bool keep = code == MEAN ? i32(c, 2) > 0 : flag(c, 2);
  long s[MOST_RANK], n = 1;
  for (int i = 0; i < in(c, 1)->d[0]; i++) {
    if (!axis_of(c, element_i32(c, 1, (size_t)i), a->rank, &axis)) return false;
    axes |= 1 << axis;
  }
  for (int i = 0; i < a->rank; i++)
    if (!(axes >> i & 1)) d[rank++] = a->d[i];
    else if (keep) d[rank++] = 1;
  if (!rank) d[0] = 1, rank = 1;  // everything reduced
  if (!c->run) return shaped(c, 0, rank, d);
  for (int i = a->rank - 1; i >= 0; i--) {
    s[i] = axes >> i & 1 ? 0 : n;
    if (s[i]) n *= a->d[i];
  }
  size_t from = elements(a), to = elements(out(c, 0));
  double *va = get(c, 0), *v = scratch(c, to);
  double start = code == REDUCE_MAX ? -INFINITY : code == REDUCE_MIN ? INFINITY : code == REDUCE_PROD ? 1 : 0;
  for (size_t i = 0; i < to; i++) v[i] = start;
  for (size_t i = 0; i < from; i++) {
    long at = 0;
    unravel(i, a->rank, a->d, coord);
    for (int k = 0; k < a->rank; k++) at += coord[k] * s[k];
    double x = va[i];
    v[at] = code == REDUCE_MAX ? fmax(v[at], x) : code == REDUCE_MIN ? fmin(v[at], x)
          : code == REDUCE_PROD ? v[at] * x : v[at] + x;
  }
  if (code == MEAN)
    for (size_t i = 0; i < to; i++) v[i] /= (double)(from / to);
  return put(c, 0, v);
}

// An axis with the count of rows before it and of elements within it.
typedef struct {
  int axis, size;
  size_t outer, inner;
} Along;

static bool along(Ctx *c, int value, Along *w) {
  const Operand *a = in(c, 0);
  if (!axis_of(c, value, a->rank, &w->axis)) return false;
  w->size = a->d[w->axis], w->outer = span(a, 0, w->axis), w->inner = span(a, w->axis + 1, a->rank);
  return true;
}

static bool op_arg(Ctx *c) {
  const Operand *a = in(c, 0);
  Along w;
  int d[MOST_RANK], rank = 0;
  if (!along(c, i32(c, 1), &w)) return false;
  for (int i = 0; i < a->rank; i++)
    if (i != w.axis) d[rank++] = a->d[i];
  if (!rank) d[0] = 1, rank = 1;
  if (!c->run) return shaped(c, 0, rank, d);
  double *va = get(c, 0), *v = scratch(c, w.outer * w.inner), sign = c->op->op == ARGMAX ? 1 : -1;
  for (size_t i = 0; i < w.outer * w.inner; i++) {
    const double *p = va + i / w.inner * (size_t)w.size * w.inner + i % w.inner;
    int best = 0;
    for (int k = 1; k < w.size; k++)
      if (sign * p[(size_t)k * w.inner] > sign * p[(size_t)best * w.inner]) best = k;
    v[i] = best;
  }
  return put(c, 0, v);
}

static bool op_softmax(Ctx *c) {
  Along w;
  double beta = f32(c, 1);
  bool logarithm = c->op->op == LOG_SOFTMAX;
  if (!along(c, i32_or(c, 2, -1), &w)) return false;
  if (!logarithm && !(beta > 0)) return fail(c, "beta must be positive");
  if (!c->run) return shaped(c, 0, in(c, 0)->rank, in(c, 0)->d);
  double *v = get(c, 0);
  for (size_t i = 0; i < w.outer * w.inner; i++) {
    double *p = v + i / w.inner * (size_t)w.size * w.inner + i % w.inner, top = -INFINITY, sum = 0;
    for (int k = 0; k < w.size; k++) top = fmax(top, p[(size_t)k * w.inner] * beta);
    for (int k = 0; k < w.size; k++) sum += exp(p[(size_t)k * w.inner] * beta - top);
    for (int k = 0; k < w.size; k++) {
      double *x = p + (size_t)k * w.inner, shifted = *x * beta - top;
      *x = logarithm ? shifted - log(sum) : exp(shifted) / sum;
    }
  }
  return put(c, 0, v);
}

static bool op_lrn(Ctx *c) {
  Along w;
  int radius = i32(c, 1);
  double bias = f32(c, 2), alpha = f32(c, 3), beta = f32(c, 4);
  if (!along(c, i32_or(c, 5, -1), &w)) return false;
  if (radius < 0) return fail(c, "the radius is negative");
  if (!c->run) return shaped(c, 0, in(c, 0)->rank, in(c, 0)->d);
  double *va = get(c, 0), *v = scratch(c, elements(in(c, 0)));
  for (size_t i = 0; i < w.outer * w.inner; i++) {
    size_t base = i / w.inner * (size_t)w.size * w.inner + i % w.inner;
    for (int k = 0; k < w.size; k++) {
      double sum = 0;
      for (int j = k > radius ? k - radius : 0; j < w.size && j <= k + radius; j++)
        sum += pow(va[base + (size_t)j * w.inner], 2);
      v[base + (size_t)k * w.inner] = va[base + (size_t)k * w.inner] / pow(bias + alpha * sum, beta);
    }
  }
  return put(c, 0, v);
}

static bool op_instance_norm(Ctx *c) {
  if (!four(c, 0)) return false;
  if (!c->run) return shaped(c, 0, 4, in(c, 0)->d);
  Image a = image_of(in(c, 0), flag(c, 4));
  double *v = get(c, 0), gamma = f32(c, 1), beta = f32(c, 2), epsilon = f32(c, 3), count = (double)a.h * a.w;
  for (int n = 0; n < a.n; n++)
    for (int k = 0; k < a.c; k++) {
      double mean = 0, variance = 0;
      for (int i = 0; i < a.h * a.w; i++) mean += v[pixel(&a, n, i / a.w, i % a.w, k)] / count;
      for (int i = 0; i < a.h * a.w; i++) variance += pow(v[pixel(&a, n, i / a.w, i % a.w, k)] - mean, 2) / count;
      for (int i = 0; i < a.h * a.w; i++) {
        double *x = v + pixel(&a, n, i / a.w, i % a.w, k);
        *x = gamma * (*x - mean) / sqrt(variance + epsilon) + beta;
      }
    }
  return put(c, 0, v);
}

static bool op_topk(Ctx *c) {
  const Operand *a = in(c, 0);
  int k = i32(c, 1), size = a->d[a->rank - 1], d[MOST_RANK];
  memcpy(d, a->d, sizeof d);
  d[a->rank - 1] = k;
  if (!c->run) {
    if (k < 1 || k > size) return fail(c, "k is %d of %d", k, size);
    return shaped(c, 0, a->rank, d) && shaped(c, 1, a->rank, d);
  }
  size_t rows = elements(a) / (size_t)size;
  double *va = get(c, 0), *v = scratch(c, rows * (size_t)k), *at = scratch(c, rows * (size_t)k);
  for (size_t r = 0; r < rows; r++) {
    bool *taken = (bool *)scratch(c, (size_t)size / sizeof(double) + 1);
    for (int i = 0; i < k; i++) {
      int best = -1;  // the first of equal elements, as documented
      for (int j = 0; j < size; j++)
        if (!taken[j] && (best < 0 || va[r * (size_t)size + (size_t)j] > va[r * (size_t)size + (size_t)best])) best = j;
      taken[best] = true;
      v[r * (size_t)k + (size_t)i] = va[r * (size_t)size + (size_t)best];
      at[r * (size_t)k + (size_t)i] = best;
    }
  }
  return put(c, 0, v) && put(c, 1, at);
}

// ---- Sequences ----

static bool activation_ok(Ctx *c, int code) {
  return code == 0 || code == 1 || code == 3 || code == 4 || code == 6 || fail(c, "%d is no activation code", code);
}

static double activated(int code, double x) {
  return code == 4 ? tanh(x) : code == 6 ? sigmoid(x) : fused(code, x);
}

// A sequence in either order: time and batch with their strides in steps of `size` elements.
typedef struct {
  double *v;
  int time, batch, size;
  bool time_major;
} Sequence;

static Sequence sequence(Ctx *c, int i, bool time_major) {
  const Operand *o = in(c, i);
  Sequence s = {NULL, o->d[time_major ? 0 : 1], o->d[time_major ? 1 : 0], o->d[2], time_major};
  if (c->run) s.v = get(c, i);
  return s;
}

static double *at_step(const Sequence *s, int t, int b) {
  size_t row = s->time_major ? (size_t)t * (size_t)s->batch + (size_t)b : (size_t)b * (size_t)s->time + (size_t)t;
  return s->v + row * (size_t)s->size;
}

static double *get_if(Ctx *c, int i) { return i >= 0 && has(c, i) ? get(c, i) : NULL; }

// y += W x, W of [rows, columns]; an omitted W adds nothing.
static void accumulate(double *y, const double *weights, const double *x, int rows, int columns) {
  if (!weights || !x) return;
  for (int r = 0; r < rows; r++)
    for (int k = 0; k < columns; k++) y[r] += weights[(size_t)r * (size_t)columns + (size_t)k] * x[k];
}

// Where one direction of a layer finds its operands (-1: none), and where its results go.
typedef struct {
  int weights, state, aux, norm;  // first weights; first state; first auxiliary weights; first norm weights
  int units, size;                // cells, and outputs of a step
  bool backward;
  double *h, *cell;  // states, changed by each step
} Layer;

static bool rnn_shapes(Ctx *c, const Layer *l, const Sequence *x, const Sequence *aux) {
  return input_is(c, l->weights, 2, l->units, x->size, 0) && input_is(c, l->weights + 1, 2, l->units, l->units, 0) &&
         input_is(c, l->weights + 2, 1, l->units, 0, 0) && input_is(c, l->state, 2, x->batch, l->units, 0) &&
         (l->aux < 0 || input_is(c, l->aux, 2, l->units, aux->size, 0));
}

static void rnn_layer(Ctx *c, Layer *l, const Sequence *x, const Sequence *aux, int act, const Sequence *y, int at) {
  double *w = get(c, l->weights), *r = get(c, l->weights + 1), *b = get(c, l->weights + 2), *wa = get_if(c, l->aux);
  double *next = scratch(c, (size_t)l->units);
  size_t bytes = (size_t)l->units * sizeof *next;
  l->h = get(c, l->state);
  for (int s = 0; s < x->time; s++)
    for (int n = 0, t = l->backward ? x->time - 1 - s : s; n < x->batch; n++) {
      double *h = l->h + (size_t)n * (size_t)l->units;
      memcpy(next, b, bytes);
      accumulate(next, w, at_step(x, t, n), l->units, x->size);
      accumulate(next, r, h, l->units, l->units);
      if (wa) accumulate(next, wa, at_step(aux, t, n), l->units, aux->size);
      for (int u = 0; u < l->units; u++) next[u] = activated(act, next[u]);
      memcpy(h, next, bytes);
      memcpy(at_step(y, t, n) + at, h, bytes);
    }
}

static bool present_together(Ctx *c, const int *list, int count) {
  int n = 0;
  for (int i = 0; i < count; i++) n += has(c, list[i]);
  return n == 0 || n == count || fail(c, "inputs %d and others must be given or omitted together", list[0]);
}

// The weights of a direction, from its input-to-input weights on: 0-3 input, 4-7 recurrent (gates in the order
// input, forget, cell, output), 8-10 peephole (input, forget, output), 11-14 biases, 15 and 16 projection.
static bool lstm_shapes(Ctx *c, Layer *l, const Sequence *x, const Sequence *aux) {
  int w = l->weights;
  if (in(c, w + 1)->rank != 2 || in(c, w + 5)->rank != 2) return fail(c, "the weights must have rank 2");
  l->units = in(c, w + 1)->d[0], l->size = in(c, w + 5)->d[1];
  if (!c->run) {
    bool coupled = !has(c, w), peephole = has(c, w + 9);
    for (int g = 0; g < 4; g++)
      if (!input_is(c, w + g, 2, l->units, x->size, 0) || !input_is(c, w + 4 + g, 2, l->units, l->size, 0) ||
          !input_is(c, w + 11 + g, 1, l->units, 0, 0) || (g < 3 && !input_is(c, w + 8 + g, 1, l->units, 0, 0)) ||
          !input_is(c, l->norm + g, 1, l->units, 0, 0) ||
          (l->aux >= 0 && !input_is(c, l->aux + g, 2, l->units, aux->size, 0)))
        return false;
    if (!input_is(c, w + 15, 2, l->size, l->units, 0) || !input_is(c, w + 16, 1, l->size, 0, 0) ||
        !input_is(c, l->state, 2, x->batch, l->size, 0) || !input_is(c, l->state + 1, 2, x->batch, l->units, 0))
      return false;
    if (!present_together(c, (int[]){w, w + 4, w + 11}, 3) || !present_together(c, (int[]){w + 9, w + 10}, 2) ||
        !present_together(c, (int[]){l->norm + 1, l->norm + 2, l->norm + 3}, 3))
      return false;
    if (has(c, w + 8) != (peephole && !coupled)) return fail(c, "input %d must go with the other peepholes", w + 8);
    if (has(c, l->norm) != (has(c, l->norm + 1) && !coupled)) return fail(c, "input %d does not fit", l->norm);
    if (l->aux >= 0 && (!present_together(c, (int[]){l->aux + 1, l->aux + 2, l->aux + 3}, 3) ||
                        has(c, l->aux) != (has(c, l->aux + 1) && !coupled)))
      return fail(c, "the auxiliary weights from input %d on must be given together", l->aux);
    if (has(c, w + 16) && !has(c, w + 15)) return fail(c, "a projection bias needs projection weights");
    if (!has(c, w + 15) && l->units != l->size) return fail(c, "without projection, outputs and units must be as many");
  }
  return true;
}

static void lstm_layer(Ctx *c, Layer *l, const Sequence *x, const Sequence *aux, int act, double cell_clip,
                       double proj_clip, const Sequence *y, int at) {
  enum { I, F, G, O };
  int w = l->weights, units = l->units;
  double *wi[4], *wr[4], *wa[4], *bias[4], *norm[4], *gate[4];
  double *peep[4] = {get_if(c, w + 8), get_if(c, w + 9), NULL, get_if(c, w + 10)};
  double *proj = get_if(c, w + 15), *proj_bias = get_if(c, w + 16), *lifted = scratch(c, (size_t)units);
  for (int g = 0; g < 4; g++) {
    wi[g] = get_if(c, w + g), wr[g] = get_if(c, w + 4 + g), bias[g] = get_if(c, w + 11 + g);
    wa[g] = l->aux < 0 ? NULL : get_if(c, l->aux + g);
    norm[g] = get_if(c, l->norm + g), gate[g] = scratch(c, (size_t)units);
  }
  l->h = get(c, l->state), l->cell = get(c, l->state + 1);
  for (int s = 0; s < x->time; s++)
    for (int n = 0, t = l->backward ? x->time - 1 - s : s; n < x->batch; n++) {
      double *h = l->h + (size_t)n * (size_t)l->size, *cell = l->cell + (size_t)n * (size_t)units;
      static const int order[4] = {F, I, G, O};  // the input gate may follow the forget gate; the output gate is last
      for (int k = 0; k < 4; k++) {
        int g = order[k];
        double *v = gate[g];
        if (g == I && !wi[I]) {
          for (int u = 0; u < units; u++) v[u] = 1 - gate[F][u];
          continue;
        }
        memset(v, 0, (size_t)units * sizeof *v);
        accumulate(v, wi[g], at_step(x, t, n), units, x->size);
        if (wa[g]) accumulate(v, wa[g], at_step(aux, t, n), units, aux->size);
        accumulate(v, wr[g], h, units, l->size);
        if (g == O)  // its peephole sees the new cell state
          for (int u = 0; u < units; u++) {
            cell[u] = gate[F][u] * cell[u] + gate[I][u] * gate[G][u];
            if (cell_clip > 0) cell[u] = clamp(cell[u], -cell_clip, cell_clip);
          }
        if (peep[g])
          for (int u = 0; u < units; u++) v[u] += peep[g][u] * cell[u];
        if (norm[g]) {
          double mean = 0, variance = 0;
          for (int u = 0; u < units; u++) mean += v[u] / units;
          for (int u = 0; u < units; u++) variance += (v[u] - mean) * (v[u] - mean) / units;
          for (int u = 0; u < units; u++) v[u] = (v[u] - mean) / sqrt(variance + 1e-8) * norm[g][u];
        }
        for (int u = 0; u < units; u++) v[u] = g == G ? activated(act, v[u] + bias[g][u]) : sigmoid(v[u] + bias[g][u]);
      }
      for (int u = 0; u < units; u++) lifted[u] = gate[O][u] * activated(act, cell[u]);
      for (int u = 0; u < l->size; u++) h[u] = !proj ? lifted[u] : proj_bias ? proj_bias[u] : 0;
      accumulate(h, proj, lifted, l->size, units);
      if (proj && proj_clip > 0)
        for (int u = 0; u < l->size; u++) h[u] = clamp(h[u], -proj_clip, proj_clip);
      memcpy(at_step(y, t, n) + at, h, (size_t)l->size * sizeof *h);
    }
}

// All four sequence operations: one or two directions, of RNN or LSTM cells.
static bool op_sequence(Ctx *c) {
  int code = c->op->op, nout = c->op->nout;
  bool lstm = code == UNI_LSTM || code == BI_LSTM, both = code == BI_LSTM || code == BI_RNN;
  int options = code == UNI_LSTM ? 20 : code == UNI_RNN ? 5 : code == BI_LSTM ? 48 : 12;
  int after = options + (lstm ? 3 : 1), act = i32(c, options);
  bool merged = false, time_major = code == UNI_RNN ? i32(c, after) == 1 : flag(c, after);
  if (code == BI_LSTM) merged = flag(c, after), time_major = flag(c, after + 1);
  if (code == BI_RNN) merged = flag(c, after + 1);
  if (code == UNI_RNN && (unsigned)i32(c, after) > 1) return fail(c, "timeMajor must be 0 or 1");
  if (!activation_ok(c, act) || (in(c, 0)->rank != 3 && !fail(c, "the input must have rank 3"))) return false;

  Layer layers[2] = {
    {1, code == UNI_LSTM ? 18 : code == BI_LSTM ? 35 : 4, -1, code == UNI_LSTM ? 24 : 53, 0, 0, false, 0, 0},
    {code == BI_LSTM ? 18 : 5, code == BI_LSTM ? 37 : 8, -1, 57, 0, 0, true, 0, 0},
  };
  int count = both ? 2 : 1, aux_at = code == BI_LSTM ? 39 : 9;
  Sequence x = sequence(c, 0, time_major), aux = {0}, second;
  if (both && has(c, aux_at)) {
    if (in(c, aux_at)->rank != 3) return fail(c, "the auxiliary input must have rank 3");
    aux = sequence(c, aux_at, time_major);
    if (aux.time != x.time || aux.batch != x.batch) return fail(c, "the auxiliary input has another time or batch");
  }
  second = x;
  if (both) {
    int first = code == BI_LSTM ? 41 : 10, other = code == BI_LSTM ? 45 : 11;  // weights that tell linking apart
    if (has(c, first) != has(c, other)) return fail(c, "both directions need their auxiliary weights, or none");
    if (has(c, first) && !has(c, aux_at)) return fail(c, "auxiliary weights need an auxiliary input");
    if (has(c, first)) layers[0].aux = code == BI_LSTM ? 40 : 10, layers[1].aux = code == BI_LSTM ? 44 : 11;
    else if (has(c, aux_at)) second = aux;  // parallel linking: the backward cells see the auxiliary input alone
  }
  for (int i = 0; i < count; i++) {
    Layer *l = &layers[i];
    const Sequence *from = i ? &second : &x;
    if (lstm) {
      if (!lstm_shapes(c, l, from, &aux)) return false;
    } else {
      l->units = l->size = in(c, l->weights)->d[0];
      if (!c->run && !rnn_shapes(c, l, from, &aux)) return false;
    }
  }

  int main_outputs = both && !merged ? 2 : 1, states = count * (lstm ? 2 : 1);
  if (nout != main_outputs && nout != main_outputs + states)
    return fail(c, "%d outputs; there must be %d, or %d with states", nout, main_outputs, main_outputs + states);
  if (!c->run) {
    for (int i = 0; i < main_outputs; i++) {
      int width = layers[i].size + (merged ? layers[1].size : 0);
      int d[3] = {in(c, 0)->d[0], in(c, 0)->d[1], width};
      if (!shaped(c, i, 3, d)) return false;
    }
    for (int i = 0; i < nout - main_outputs; i++) {
      const Layer *l = &layers[lstm ? i / 2 : i];
      if (!shaped(c, main_outputs + i, 2, (int[]){x.batch, lstm && i % 2 ? l->units : l->size})) return false;
    }
    return true;
  }

  Sequence y[2];
  for (int i = 0; i < main_outputs; i++) {
    y[i] = x;
    y[i].size = layers[i].size + (merged ? layers[1].size : 0);
    y[i].v = scratch(c, (size_t)x.time * (size_t)x.batch * (size_t)y[i].size);
  }
  for (int i = 0; i < count; i++) {
    const Sequence *to = &y[i < main_outputs ? i : 0], *from = i ? &second : &x;
    int at = i && merged ? layers[0].size : 0;
    if (lstm) lstm_layer(c, &layers[i], from, &aux, act, f32(c, options + 1), f32(c, options + 2), to, at);
    else rnn_layer(c, &layers[i], from, &aux, act, to, at);
  }
  for (int i = 0; i < main_outputs; i++) put(c, i, y[i].v);
  for (int i = 0; i < nout - main_outputs; i++) {
    const Layer *l = &layers[lstm ? i / 2 : i];
    put(c, main_outputs + i, lstm && i % 2 ? l->cell : l->h);
  }
  return true;
}

// ---- The operations of level 30 and what each takes ----

enum { F = 1 << T_FLOAT32, N = 1 << T_INT32, Q = 1 << T_QUANT8 | 1 << T_SIGNED8, B = 1 << T_BOOL8 };
enum { P = 1 << T_PER_CHANNEL, Y = 1 << T_QUANT8_SYMM };

// Inputs, one letter each: T the main tensor, of the types of the row; S a tensor of the same type; o the same but
// it may be omitted by a null value; F a filter (or per channel); C its bias; B bool8; N int32; I a constant int32
// list; J the same, may be omitted; P a constant int32 table; i, f, b constant scalars; v a constant scalar of the
// main type. From a [ on, operands may be left out; | parts the two documented forms, the explicit one first.
// A quantised output: '=' as the main input, 's' as sigmoid, 't' as tanh, else free.
#define WEIGHTS "oSSSoSSSooooSSSoo"
static const Row rows[] = {
  {ADD, "ADD", F | N | Q, "TSi", "T", ' ', op_binary},
  {AVERAGE_POOL, "AVERAGE_POOL_2D", F | Q, "Tiiiiiiiii[b|Tiiiiii[b", "T", '=', op_pool},
  {CONCATENATION, "CONCATENATION", F | Q, "*", "T", ' ', op_concatenation},
  {CONV, "CONV_2D", F | Q, "TFCiiiiiii[b[ii|TFCiiii[b[ii", "T", ' ', op_conv},
  {DEPTHWISE, "DEPTHWISE_CONV_2D", F | Q, "TFCiiiiiiii[b[ii|TFCiiiii[b[ii", "T", ' ', op_conv},
  {DEPTH_TO_SPACE, "DEPTH_TO_SPACE", F | Q, "Ti[b", "T", '=', op_depth_to_space},
  {DEQUANTIZE, "DEQUANTIZE", Q | P | Y, "T", "f", ' ', op_unary},
  {FLOOR, "FLOOR", F, "T", "T", ' ', op_unary},
  {FULLY_CONNECTED, "FULLY_CONNECTED", F | Q, "TSCi", "T", ' ', op_fully_connected},
  {LRN, "LOCAL_RESPONSE_NORMALIZATION", F, "Tifff[i", "T", ' ', op_lrn},
  {LOGISTIC, "LOGISTIC", F | Q, "T", "T", 's', op_unary},
  {MAX_POOL, "MAX_POOL_2D", F | Q, "Tiiiiiiiii[b|Tiiiiii[b", "T", '=', op_pool},
  {MUL, "MUL", F | N | Q, "TSi", "T", ' ', op_binary},
  {RELU, "RELU", F | Q, "T", "T", '=', op_unary},
  {RELU1, "RELU1", F | Q, "T", "T", '=', op_unary},
  {RELU6, "RELU6", F | Q, "T", "T", '=', op_unary},
  {RESHAPE, "RESHAPE", F | Q, "TI", "T", '=', op_reshape},
  {RESIZE_BILINEAR, "RESIZE_BILINEAR", F | Q, "Tii[b[b[b|Tff[b[b[b", "T", '=', op_resize},
  {SOFTMAX, "SOFTMAX", F | Q, "Tf[i", "T", 's', op_softmax},
  {TANH, "TANH", F | Q, "T", "T", 't', op_unary},
  {DIV, "DIV", F | N, "TSi", "T", ' ', op_binary},
  {MEAN, "MEAN", F | Q, "TIi", "T", '=', op_reduce},
  {PAD, "PAD", F | Q, "TP", "T", '=', op_pad},
  {STRIDED_SLICE, "STRIDED_SLICE", F | Q, "TIIIiii", "T", '=', op_strided_slice},
  {SUB, "SUB", F | N | Q, "TSi", "T", ' ', op_binary},
  {TRANSPOSE, "TRANSPOSE", F | Q, "T[J", "T", '=', op_transpose},
  {ABS, "ABS", F | N, "T", "T", ' ', op_unary},
  {ARGMAX, "ARGMAX", F | N | Q, "Ti", "N", ' ', op_arg},
  {ARGMIN, "ARGMIN", F | N | Q, "Ti", "N", ' ', op_arg},
  {BI_LSTM, "BIDIRECTIONAL_SEQUENCE_LSTM", F, "T" WEIGHTS WEIGHTS "SSSSoooooooooiffbboooooooo", "T[T[T[T[T[T", ' ',
   op_sequence},
  {BI_RNN, "BIDIRECTIONAL_SEQUENCE_RNN", F, "TSSSSSSSSoooibb", "T[T[T[T", ' ', op_sequence},
  {CAST, "CAST", F | N | Q | B | Y, "T", "a", ' ', op_unary},
  {EQUAL, "EQUAL", F | N | Q | B, "TS", "B", ' ', op_binary},
  {EXP, "EXP", F, "T", "T", ' ', op_unary},
  {GATHER, "GATHER", F | N | Q, "TiN", "T", '=', op_gather},
  {GREATER, "GREATER", F | N | Q | B, "TS", "B", ' ', op_binary},
  {GREATER_EQUAL, "GREATER_EQUAL", F | N | Q | B, "TS", "B", ' ', op_binary},
  {GROUPED_CONV, "GROUPED_CONV_2D", F | Q, "TFCiiiiiiiib|TFCiiiiib", "T", ' ', op_conv},
  {INSTANCE_NORM, "INSTANCE_NORMALIZATION", F, "Tfffb", "T", ' ', op_instance_norm},
  {LESS, "LESS", F | N | Q | B, "TS", "B", ' ', op_binary},
  {LESS_EQUAL, "LESS_EQUAL", F | N | Q | B, "TS", "B", ' ', op_binary},
  {LOG, "LOG", F, "T", "T", ' ', op_unary},
  {LOGICAL_AND, "LOGICAL_AND", B, "TS", "T", ' ', op_binary},
  {LOGICAL_NOT, "LOGICAL_NOT", B, "T", "T", ' ', op_unary},
  {LOGICAL_OR, "LOGICAL_OR", B, "TS", "T", ' ', op_binary},
  {LOG_SOFTMAX, "LOG_SOFTMAX", F, "Tfi", "T", ' ', op_softmax},
  {MAXIMUM, "MAXIMUM", F | N | Q, "TS", "T", ' ', op_binary},
  {MINIMUM, "MINIMUM", F | N | Q, "TS", "T", ' ', op_binary},
  {NEG, "NEG", F | N, "T", "T", ' ', op_unary},
  {PAD_V2, "PAD_V2", F | Q, "TPv", "T", '=', op_pad},
  {POW, "POW", F, "TS", "T", ' ', op_binary},
  {PRELU, "PRELU", F | Q, "TS", "T", ' ', op_binary},
  {QUANTIZE, "QUANTIZE", F, "T", "q", ' ', op_unary},
  {REDUCE_MAX, "REDUCE_MAX", F | Q, "TIb", "T", '=', op_reduce},
  {REDUCE_MIN, "REDUCE_MIN", F | Q, "TIb", "T", '=', op_reduce},
  {REDUCE_PROD, "REDUCE_PROD", F, "TIb", "T", ' ', op_reduce},
  {REDUCE_SUM, "REDUCE_SUM", F, "TIb", "T", ' ', op_reduce},
  {RSQRT, "RSQRT", F, "T", "T", ' ', op_unary},
  {SELECT, "SELECT", F | N | Q, "BTS", "T", ' ', op_select},
  {SIN, "SIN", F, "T", "T", ' ', op_unary},
  {SLICE, "SLICE", F | N | Q, "TII", "T", '=', op_slice},
  {SQRT, "SQRT", F, "T", "T", ' ', op_unary},
  {TILE, "TILE", F | N | Q, "TI", "T", '=', op_tile},
  {TOPK, "TOPK_V2", F | N | Q, "Ti", "TN", '=', op_topk},
  {TRANSPOSE_CONV, "TRANSPOSE_CONV_2D", F | Q, "TFCiiiiiiib|TFCIiiiib", "T", ' ', op_transpose_conv},
  {UNI_LSTM, "UNIDIRECTIONAL_SEQUENCE_LSTM", F, "T" WEIGHTS "SSiffboooo", "T[TT", ' ', op_sequence},
  {UNI_RNN, "UNIDIRECTIONAL_SEQUENCE_RNN", F, "TSSSSii", "T[T", ' ', op_sequence},
  {RESIZE_NEAREST, "RESIZE_NEAREST_NEIGHBOR", F | Q, "Tiib[b[b|Tffb[b[b", "T", '=', op_resize},
  {ELU, "ELU", F, "Tf", "T", ' ', op_unary},
  {HARD_SWISH, "HARD_SWISH", F | Q, "T", "T", ' ', op_unary},
};

static const Row *row_of(int op) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (rows[i].op == op) return &rows[i];
  return NULL;
}

static bool bias_ok(const Ctx *c, const Operand *b) {
  const Operand *a = in(c, 0), *f = in(c, 1);
  if (!is_quant(a->type)) return b->type == a->type;
  if (b->type != T_INT32 || b->zero) return false;
  double product = (double)a->scale * (double)f->scale;  // a per-channel filter has scale 0, and so its bias
  return fabs((double)b->scale - product) <= 1e-6 * product;
}

static bool input_fits(Ctx *c, int i, char letter) {
  const Operand *o = in(c, i), *main = in(c, c->main);
  bool absent = o->omitted;
  int scalar = letter == 'i' ? INT32 : letter == 'f' ? FLOAT32 : letter == 'b' ? BOOL : -1;
  if (letter == 'v') scalar = is_quant(main->type) ? INT32 : FLOAT32;
  if (scalar >= 0) return o->type == scalar && o->constant;
  if (absent) return letter == 'o' || letter == 'J';
  if (is_scalar(o->type) || o->rank < 1 || o->rank > MOST_RANK) return false;
  switch (letter) {
    case 'T': c->main = i; return c->op->row->types >> o->type & 1;
    case 'S': case 'o': return o->type == main->type;
    case 'F': return o->type == main->type || (o->type == T_PER_CHANNEL && is_quant(main->type));
    case 'C': return bias_ok(c, o);
    case 'B': return o->type == T_BOOL8;
    case 'N': return o->type == T_INT32;
    case 'I': case 'J': return o->type == T_INT32 && o->constant && o->rank == 1;
    case 'P': return o->type == T_INT32 && o->constant && o->rank == 2;
    default: return false;
  }
}

static bool output_fits(Ctx *c, int i, char letter) {
  const Operand *o = out(c, i);
  switch (letter) {
    case 'T': return o->type == in(c, c->main)->type;
    case 'B': return o->type == T_BOOL8;
    case 'N': return o->type == T_INT32;
    case 'f': return o->type == T_FLOAT32;
    case 'q': return is_quant(o->type);
    default: return !is_scalar(o->type);  // CAST checks the pair itself
  }
}

// How far a list of operands follows one form: the index of the first that does not, or `count` if all do and no
// required one is missing; count + 1 where one is missing. `end` is set to the rest of the text.
static int fits(Ctx *c, const char *form, int count, bool (*fit)(Ctx *, int, char)) {
  int i = 0;
  for (; *form && *form != '|'; form++) {
    if (*form == '[') {
      if (i == count) return count;
      continue;
    }
    if (i == count) return count + 1;
    c->wanted = *form;
    if (!fit(c, i, *form)) return i;
    i++;
  }
  c->wanted = 0;
  return i;  // less than count: there are too many
}

static const char *description(char letter) {
  switch (letter) {
    case 'T': case '*': return "a tensor of rank 1 to 4 and of a type that the operation takes";
    case 'S': return "a tensor of the main input's type";
    case 'o': return "a tensor of the main input's type, or omitted";
    case 'F': return "a filter of the input's type, or per channel";
    case 'C': return "a bias: float32, or int32 with zero point 0 and scale input * filter (0 if per channel)";
    case 'B': return "a bool8 tensor";
    case 'N': return "an int32 tensor";
    case 'I': case 'J': return "a constant int32 tensor of rank 1";
    case 'P': return "a constant int32 tensor of rank 2";
    case 'i': return "a constant int32 scalar";
    case 'f': return "a constant float32 scalar";
    case 'b': return "a constant bool scalar";
    case 'v': return "a constant scalar: float32, or int32 if quantised";
    default: return "left out";
  }
}

static bool inputs_fit(Ctx *c) {
  const char *form = c->op->row->in;
  int n = c->op->nin, furthest = -1;
  char wanted = 0;
  c->main = 0;
  if (*form == '*') {  // any number of tensors, then the axis
    for (int i = 0; i < n - 1; i++)
      if (!input_fits(c, i, i ? 'S' : 'T')) return fail(c, "input %d has a wrong type or rank", i);
    return (n > 1 && input_fits(c, n - 1, 'i')) || fail(c, "it needs tensors and then an int32 axis");
  }
  for (int number = 0; form; number++) {
    int at = fits(c, form, n, input_fits);
    if (at == n) {
      c->op->form = number;
      return true;
    }
    if (at > furthest) furthest = at, wanted = c->wanted;
    form = strchr(form, '|');
    if (form) form++;
  }
  if (furthest > n) return fail(c, "%d inputs are too few", n);
  return fail(c, "input %d of %d (type %d) must be %s", furthest, n, in(c, furthest)->type, description(wanted));
}

static bool check_operation(Ctx *c) {
  Operation *op = c->op;
  if (op->nin < 1 || op->nin > MOST_OPERANDS || op->nout > MOST_OPERANDS) return fail(c, "%d inputs", op->nin);
  if (!inputs_fit(c)) return false;
  int at = fits(c, op->row->out, op->nout, output_fits);
  if (at != op->nout) return fail(c, "output %d of %d has a wrong type or is missing or too many", at, op->nout);
  const Operand *main = in(c, c->main), *o = out(c, 0);
  if (is_quant(o->type)) {
    bool is_signed = o->type == T_SIGNED8;
    if (op->row->rule == '=' && !same_quant(main, o)) return fail(c, "the output must have the input's scale and zero");
    if (op->row->rule == 's' && (o->scale != 1.0f / 256 || o->zero != (is_signed ? -128 : 0)))
      return fail(c, "the output must have scale 1/256 and zero point %d", is_signed ? -128 : 0);
    if (op->row->rule == 't' && (o->scale != 1.0f / 128 || o->zero != (is_signed ? 0 : 128)))
      return fail(c, "the output must have scale 1/128 and zero point %d", is_signed ? 0 : 128);
  }
  return op->row->run(c);
}

static void end_operation(Ctx *c) {
  while (c->blocks) {
    Block *next = c->blocks->next;
    free(c->blocks);
    c->blocks = next;
  }
}

// ---- Devices ----

uint64_t ANeuralNetworks_getDefaultLoopTimeout(void) { return UINT64_C(2000000000); }
uint64_t ANeuralNetworks_getMaximumLoopTimeout(void) { return UINT64_C(15000000000); }

// The name at `index` (if any) into `name`, and the count of names.
static uint32_t device_names(uint32_t index, char *name, size_t size) {
  const char *list = setting("PACER_NN_DEVICES");
  uint32_t count = 0;
  if (!list || !*list) list = "sample-npu,nnapi-reference";
  while (*list) {
    size_t n = strcspn(list, ",");
    if (n && count++ == index) snprintf(name, size, "%.*s", (int)n, list);
    list += n + (list[n] != 0);
  }
  return count;
}

int ANeuralNetworks_getDeviceCount(uint32_t *count) {
  char name[64];
  if (!count) return UNEXPECTED_NULL;
  *count = device_names(0, name, sizeof name);
  return NO_ERROR;
}

int ANeuralNetworks_getDevice(uint32_t index, ANeuralNetworksDevice **device) {
  static ANeuralNetworksDevice *known;  // kept for good, as the pointers and names are
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  char name[64] = "";
  if (!device) return UNEXPECTED_NULL;
  uint32_t count = device_names(index, name, sizeof name);
  if (index >= count) return bad("device %u of %u", index, count);
  bool cpu = index == count - 1;
  pthread_mutex_lock(&lock);
  ANeuralNetworksDevice *d = known;
  while (d && (strcmp(d->name, name) || d->cpu != cpu)) d = d->next;
  if (!d) {
    d = zeroed(1, sizeof *d);
    memcpy(d->name, name, sizeof name);
    d->cpu = cpu, d->next = known, known = d;
  }
  pthread_mutex_unlock(&lock);
  *device = d;
  return NO_ERROR;
}

int ANeuralNetworksDevice_getName(const ANeuralNetworksDevice *device, const char **name) {
  if (!device || !name) return UNEXPECTED_NULL;
  *name = device->name;
  return NO_ERROR;
}

int ANeuralNetworksDevice_getType(const ANeuralNetworksDevice *device, int32_t *type) {
  if (!device || !type) return UNEXPECTED_NULL;
  *type = device->cpu ? 2 : 4;
  return NO_ERROR;
}

int ANeuralNetworksDevice_getVersion(const ANeuralNetworksDevice *device, const char **version) {
  if (!device || !version) return UNEXPECTED_NULL;
  *version = "pacer-stand-in-1";
  return NO_ERROR;
}

int ANeuralNetworksDevice_getFeatureLevel(const ANeuralNetworksDevice *device, int64_t *level) {
  if (!device || !level) return UNEXPECTED_NULL;
  *level = env_int("PACER_NN_LEVEL", 30);
  return NO_ERROR;
}

static bool supports(const ANeuralNetworksDevice *device, int op) {
  const char *list = setting("PACER_NN_REFUSED");
  if (device->cpu || !list) return true;
  while (*list) {
    char *end;
    long number = strtol(list, &end, 10);
    if (end != list && number == op) return false;
    list = *end ? end + 1 : end;
  }
  return true;
}

static bool any_supports(const ANeuralNetworksDevice *const *devices, uint32_t count, int op) {
  for (uint32_t i = 0; i < count; i++)
    if (supports(devices[i], op)) return true;
  return false;
}

// ---- Models ----

int ANeuralNetworksModel_create(ANeuralNetworksModel **model) {
  if (!model) return UNEXPECTED_NULL;
  *model = zeroed(1, sizeof **model);
  atomic_fetch_add(&models, 1);
  return NO_ERROR;
}

// Tells of an object that is freed too early; it is leaked then, so that what uses it does not crash.
static bool freed_too_early(int users, const char *what) {
  if (users <= 0) return false;
  fprintf(stderr, "neuralnetworks: %s freed while something still uses it\n", what);
  atomic_fetch_add(&misused, 1);
  return true;
}

void ANeuralNetworksModel_free(ANeuralNetworksModel *model) {
  if (!model) return;
  atomic_fetch_sub(&models, 1);
  if (freed_too_early(atomic_load(&model->users), "a model")) return;
  for (uint32_t i = 0; i < model->operand_count; i++) free(model->operands[i].scales);
  for (uint32_t i = 0; i < model->operation_count; i++) free(model->operations[i].in), free(model->operations[i].out);
  free(model->operands), free(model->operations), free(model->in), free(model->out), free(model);
}

// Room for one more element of a growing array.
static void *grown(void *array, uint32_t count, size_t size) {
  if (count & (count - 1)) return array;  // it doubles at each power of two
  array = realloc(array, (count ? 2 * (size_t)count : 1) * size);
  if (!array) abort();
  return array;
}

int ANeuralNetworksModel_addOperand(ANeuralNetworksModel *model, const ANeuralNetworksOperandType *type) {
  if (!model || !type) return UNEXPECTED_NULL;
  if (model->finished) return BAD_STATE;
  uint32_t index = model->operand_count;
  int t = type->type, zero = type->zeroPoint;
  float scale = type->scale;
  if (t < FLOAT32 || t > T_SIGNED8) return bad("operand %u has unknown type %d", index, t);
  if (is_scalar(t) && type->dimensionCount) return bad("operand %u is a scalar with dimensions", index);
  if (type->dimensionCount > MOST_DIMENSIONS) return bad("operand %u has rank %u", index, type->dimensionCount);
  if (type->dimensionCount && !type->dimensions) return UNEXPECTED_NULL;
  bool needs = is_quant(t) || t == T_QUANT8_SYMM || t == T_QUANT16 || t == T_QUANT16_SYMM;
  if (!isfinite(scale) || scale < 0 || (needs && scale == 0))
    return bad("operand %u of type %d has scale %g", index, t, (double)scale);
  if (!needs && t != T_INT32 && scale != 0) return bad("operand %u of type %d takes no scale", index, t);
  int low = t == T_SIGNED8 ? -128 : 0, high = t == T_QUANT8 ? 255 : t == T_SIGNED8 ? 127 : t == T_QUANT16 ? 65535 : 0;
  if (zero < low || zero > high) return bad("operand %u of type %d has zero point %d", index, t, zero);
  Operand o = {.type = t, .rank = (int)type->dimensionCount, .zero = zero, .scale = scale};
  for (uint32_t i = 0; i < type->dimensionCount; i++) {
    if (type->dimensions[i] > INT32_MAX) return bad("operand %u has a dimension of %u", index, type->dimensions[i]);
    o.d[i] = (int)type->dimensions[i];
  }
  model->operands = grown(model->operands, model->operand_count, sizeof o);
  model->operands[model->operand_count++] = o;
  return NO_ERROR;
}

int ANeuralNetworksModel_setOperandValue(ANeuralNetworksModel *model, int32_t index, const void *buffer,
                                         size_t length) {
  if (!model || (!buffer && length)) return UNEXPECTED_NULL;
  if (model->finished) return BAD_STATE;
  if (index < 0 || (uint32_t)index >= model->operand_count) return bad("a value for operand %d, not added", index);
  Operand *o = &model->operands[index];
  o->constant = o->omitted = o->copied = false;
  if (!buffer) {
    o->omitted = true;
    return NO_ERROR;
  }
  if (!is_specified(o)) return bad("a value for operand %d, whose dimensions are not known", index);
  if (length != bytes_of(o)) return bad("operand %d is set with %zu bytes, not %zu", index, length, bytes_of(o));
  o->constant = true, o->copied = length <= MOST_COPIED, o->value = buffer, o->length = length;
  if (o->copied) memcpy(o->copy, buffer, length), o->value = NULL;
  return NO_ERROR;
}

int ANeuralNetworksModel_setOperandSymmPerChannelQuantParams(
    ANeuralNetworksModel *model, int32_t index, const ANeuralNetworksSymmPerChannelQuantParams *params) {
  if (!model || !params || !params->scales) return UNEXPECTED_NULL;
  if (model->finished) return BAD_STATE;
  if (index < 0 || (uint32_t)index >= model->operand_count) return bad("scales for operand %d, not added", index);
  Operand *o = &model->operands[index];
  if (o->type != T_PER_CHANNEL) return bad("operand %d of type %d takes no scales per channel", index, o->type);
  if (params->channelDim >= (uint32_t)o->rank || params->scaleCount != (uint32_t)o->d[params->channelDim])
    return bad("operand %d: %u scales for dimension %u", index, params->scaleCount, params->channelDim);
  for (uint32_t i = 0; i < params->scaleCount; i++)
    if (!(params->scales[i] > 0) || !isfinite(params->scales[i])) return bad("operand %d: scale %u", index, i);
  free(o->scales);
  o->scales = duplicate(params->scales, params->scaleCount * sizeof *o->scales);
  o->channel_dim = (int)params->channelDim;
  return NO_ERROR;
}

static int indices_known(const ANeuralNetworksModel *m, const char *what, uint32_t count, const uint32_t *list) {
  for (uint32_t i = 0; i < count; i++)
    if (list[i] >= m->operand_count) return bad("%s: operand %u was not added", what, list[i]);
  return NO_ERROR;
}

int ANeuralNetworksModel_addOperation(ANeuralNetworksModel *model, int32_t type, uint32_t inputCount,
                                      const uint32_t *inputs, uint32_t outputCount, const uint32_t *outputs) {
  if (!model || !inputs || !outputs) return UNEXPECTED_NULL;
  if (model->finished) return BAD_STATE;
  const Row *row = row_of(type);
  if (!row) return bad("operation %d is not known to this stand-in", type);
  if (inputCount > 10000 || outputCount > 10000) return bad("%s has too many operands", row->name);
  int code = indices_known(model, row->name, inputCount, inputs);
  if (!code) code = indices_known(model, row->name, outputCount, outputs);
  if (code) return code;
  Operation op = {.op = type, .nin = (int)inputCount, .nout = (int)outputCount, .row = row};
  op.in = duplicate(inputs, inputCount * sizeof *inputs);
  op.out = duplicate(outputs, outputCount * sizeof *outputs);
  model->operations = grown(model->operations, model->operation_count, sizeof op);
  model->operations[model->operation_count++] = op;
  return NO_ERROR;
}

int ANeuralNetworksModel_identifyInputsAndOutputs(ANeuralNetworksModel *model, uint32_t inputCount,
                                                  const uint32_t *inputs, uint32_t outputCount,
                                                  const uint32_t *outputs) {
  if (!model || !inputs || !outputs) return UNEXPECTED_NULL;
  if (model->finished) return BAD_STATE;
  if (model->identified) return bad("inputs and outputs were identified already");
  int code = indices_known(model, "inputs", inputCount, inputs);
  if (!code) code = indices_known(model, "outputs", outputCount, outputs);
  if (code) return code;
  for (uint32_t i = 0; i < inputCount + outputCount; i++) {
    uint32_t index = i < inputCount ? inputs[i] : outputs[i - inputCount];
    Operand *o = &model->operands[index];
    if (o->constant || o->omitted || o->input || o->output)
      return bad("operand %u cannot be an input or output: it has a value or is one already", index);
    *(i < inputCount ? &o->input : &o->output) = true;
  }
  model->nin = inputCount, model->nout = outputCount, model->identified = true;
  model->in = duplicate(inputs, inputCount * sizeof *inputs);
  model->out = duplicate(outputs, outputCount * sizeof *outputs);
  return NO_ERROR;
}

int ANeuralNetworksModel_relaxComputationFloat32toFloat16(ANeuralNetworksModel *model, bool allow) {
  (void)allow;  // allowed is not required: it is always computed in full
  if (!model) return UNEXPECTED_NULL;
  return model->finished ? BAD_STATE : NO_ERROR;
}

// Operations come in order of execution: what one reads is a constant, a model input, or computed before it.
static bool operands_ready(Ctx *c) {
  for (int i = 0; i < c->op->nin; i++) {
    const Operand *o = in(c, i);
    if (o->type == T_PER_CHANNEL && !o->scales) return fail(c, "operand %u has no scales", c->op->in[i]);
    if (o->constant || o->omitted) continue;
    if (!o->input && !o->computed)
      return fail(c, "operand %u is used before it is computed, or never set", c->op->in[i]);
    if (!is_specified(o)) return fail(c, "operand %u has unknown dimensions", c->op->in[i]);
  }
  for (int i = 0; i < c->op->nout; i++) {
    Operand *o = out(c, i);
    if (o->constant || o->omitted || o->input || o->computed)
      return fail(c, "operand %u is computed twice, or is an input or constant", c->op->out[i]);
    if (!is_specified(o)) return fail(c, "operand %u is computed without known dimensions", c->op->out[i]);
    o->computed = true;
  }
  return true;
}

int ANeuralNetworksModel_finish(ANeuralNetworksModel *model) {
  if (!model) return UNEXPECTED_NULL;
  if (model->finished) return BAD_STATE;
  model->finished = true;  // an invalid model is over as well
  if (!model->identified) return bad("a model without identified inputs and outputs");
  for (uint32_t i = 0; i < model->operation_count; i++) {
    Ctx c = {.m = model, .op = &model->operations[i]};
    bool good = operands_ready(&c) && check_operation(&c);
    end_operation(&c);
    if (!good) return bad("operation %u, %s: %s", i, c.op->row->name, c.why);
  }
  for (uint32_t i = 0; i < model->nout; i++)
    if (!model->operands[model->out[i]].computed) return bad("output operand %u is never computed", model->out[i]);
  model->valid = true;
  return NO_ERROR;
}

static int devices_ok(const ANeuralNetworksDevice *const *devices, uint32_t count) {
  if (!devices) return UNEXPECTED_NULL;
  if (!count) return bad("no devices");
  for (uint32_t i = 0; i < count; i++) {
    if (!devices[i]) return UNEXPECTED_NULL;
    for (uint32_t k = 0; k < i; k++)
      if (devices[i] == devices[k]) return bad("device %s is given twice", devices[i]->name);
  }
  return NO_ERROR;
}

int ANeuralNetworksModel_getSupportedOperationsForDevices(const ANeuralNetworksModel *model,
                                                          const ANeuralNetworksDevice *const *devices,
                                                          uint32_t numDevices, bool *supportedOps) {
  if (!model || !supportedOps) return UNEXPECTED_NULL;
  int code = devices_ok(devices, numDevices);
  if (code) return code;
  if (!model->valid) return BAD_STATE;
  for (uint32_t i = 0; i < model->operation_count; i++)
    supportedOps[i] = any_supports(devices, numDevices, model->operations[i].op);
  return NO_ERROR;
}

// ---- Compilations ----

static int compilation_create(ANeuralNetworksModel *model, const ANeuralNetworksDevice *const *devices,
                              uint32_t count, ANeuralNetworksCompilation **compilation) {
  *compilation = NULL;
  if (!model->finished) return BAD_STATE;
  if (!model->valid) return bad("a compilation of an invalid model");
  ANeuralNetworksCompilation *c = zeroed(1, sizeof *c);
  c->model = model, c->device_count = count;
  if (count) c->devices = duplicate(devices, count * sizeof *devices);
  atomic_fetch_add(&model->users, 1);
  atomic_fetch_add(&compilations, 1);
  *compilation = c;
  return NO_ERROR;
}

int ANeuralNetworksCompilation_create(ANeuralNetworksModel *model, ANeuralNetworksCompilation **compilation) {
  if (!model || !compilation) return UNEXPECTED_NULL;
  return compilation_create(model, NULL, 0, compilation);
}

int ANeuralNetworksCompilation_createForDevices(ANeuralNetworksModel *model,
                                                const ANeuralNetworksDevice *const *devices, uint32_t numDevices,
                                                ANeuralNetworksCompilation **compilation) {
  if (!model || !compilation) return UNEXPECTED_NULL;
  int code = devices_ok(devices, numDevices);
  return code ? code : compilation_create(model, devices, numDevices, compilation);
}

void ANeuralNetworksCompilation_free(ANeuralNetworksCompilation *compilation) {
  if (!compilation) return;
  atomic_fetch_sub(&compilations, 1);
  if (freed_too_early(atomic_load(&compilation->users), "a compilation")) return;
  atomic_fetch_sub(&compilation->model->users, 1);
  free(compilation->devices), free(compilation);
}

int ANeuralNetworksCompilation_setPreference(ANeuralNetworksCompilation *compilation, int32_t preference) {
  if (!compilation) return UNEXPECTED_NULL;
  if (compilation->finished) return BAD_STATE;
  return preference < 0 || preference > 2 ? bad("preference %d is unknown", preference) : NO_ERROR;
}

int ANeuralNetworksCompilation_setPriority(ANeuralNetworksCompilation *compilation, int priority) {
  if (!compilation) return UNEXPECTED_NULL;
  if (compilation->finished) return BAD_STATE;
  return priority != 90 && priority != 100 && priority != 110 ? bad("priority %d is unknown", priority) : NO_ERROR;
}

static int one_device(const ANeuralNetworksCompilation *compilation, const char *what) {
  return compilation->device_count == 1 ? NO_ERROR : bad("%s needs a compilation for exactly one device", what);
}

int ANeuralNetworksCompilation_setTimeout(ANeuralNetworksCompilation *compilation, uint64_t duration) {
  (void)duration;  // preparing takes no time to speak of
  if (!compilation) return UNEXPECTED_NULL;
  return compilation->finished ? BAD_STATE : one_device(compilation, "a compilation's timeout");
}

int ANeuralNetworksCompilation_setCaching(ANeuralNetworksCompilation *compilation, const char *cacheDir,
                                          const uint8_t *token) {
  if (!compilation || !cacheDir || !token) return UNEXPECTED_NULL;
  return compilation->finished ? BAD_STATE : NO_ERROR;
}

int ANeuralNetworksCompilation_finish(ANeuralNetworksCompilation *compilation) {
  if (!compilation) return UNEXPECTED_NULL;
  if (compilation->finished) return BAD_STATE;
  compilation->finished = true;
  const ANeuralNetworksModel *m = compilation->model;
  for (uint32_t i = 0; compilation->device_count && i < m->operation_count; i++)
    if (!any_supports(compilation->devices, compilation->device_count, m->operations[i].op))
      return bad("operation %u, %s: refused by every device of the compilation", i, m->operations[i].row->name);
  int code = env_int("PACER_NN_PREPARE_CODE", NO_ERROR);
  compilation->ready = code == NO_ERROR;
  return code == BAD_DATA ? bad("PACER_NN_PREPARE_CODE asks for it") : code;
}

// ---- Executions ----

int ANeuralNetworksExecution_create(ANeuralNetworksCompilation *compilation, ANeuralNetworksExecution **execution) {
  if (!compilation || !execution) return UNEXPECTED_NULL;
  *execution = NULL;
  if (!compilation->ready) return BAD_STATE;
  ANeuralNetworksExecution *e = zeroed(1, sizeof *e);
  e->compilation = compilation, e->duration = UINT64_MAX;
  e->in = zeroed(compilation->model->nin, sizeof *e->in), e->out = zeroed(compilation->model->nout, sizeof *e->out);
  atomic_fetch_add(&compilation->users, 1);
  atomic_fetch_add(&executions, 1);
  *execution = e;
  return NO_ERROR;
}

void ANeuralNetworksExecution_free(ANeuralNetworksExecution *execution) {
  if (!execution) return;
  atomic_fetch_sub(&executions, 1);
  if (freed_too_early(atomic_load(&execution->state) == RUNNING, "an execution")) return;
  atomic_fetch_sub(&execution->compilation->users, 1);
  free(execution->in), free(execution->out), free(execution);
}

static int set_argument(ANeuralNetworksExecution *e, bool input, int32_t index, const ANeuralNetworksOperandType *type,
                        const void *buffer, size_t length) {
  const char *what = input ? "input" : "output";
  if (!e || (!buffer && length)) return UNEXPECTED_NULL;
  if (atomic_load(&e->state) != PREPARED) return BAD_STATE;
  const ANeuralNetworksModel *m = e->compilation->model;
  if (index < 0 || (uint32_t)index >= (input ? m->nin : m->nout)) return bad("%s %d is not of the model", what, index);
  const Operand *o = &m->operands[(input ? m->in : m->out)[index]];
  if (!buffer) return bad("%s %d is omitted, which this stand-in does not take", what, index);
  if (type) {
    bool same = type->type == o->type && type->dimensionCount == (uint32_t)o->rank;
    for (int i = 0; same && i < o->rank; i++) same = type->dimensions && type->dimensions[i] == (uint32_t)o->d[i];
    if (!same || type->scale != o->scale || type->zeroPoint != o->zero)
      return bad("%s %d is set with another type than the model's", what, index);
  }
  if (length != bytes_of(o)) return bad("%s %d is set with %zu bytes, not %zu", what, index, length, bytes_of(o));
  (input ? e->in : e->out)[index] = (uint8_t *)buffer;  // inputs are only read
  return NO_ERROR;
}

int ANeuralNetworksExecution_setInput(ANeuralNetworksExecution *execution, int32_t index,
                                      const ANeuralNetworksOperandType *type, const void *buffer, size_t length) {
  return set_argument(execution, true, index, type, buffer, length);
}

int ANeuralNetworksExecution_setOutput(ANeuralNetworksExecution *execution, int32_t index,
                                       const ANeuralNetworksOperandType *type, void *buffer, size_t length) {
  return set_argument(execution, false, index, type, buffer, length);
}

int ANeuralNetworksExecution_setTimeout(ANeuralNetworksExecution *execution, uint64_t duration) {
  if (!execution) return UNEXPECTED_NULL;
  if (atomic_load(&execution->state) != PREPARED) return BAD_STATE;
  int code = one_device(execution->compilation, "an execution's timeout");
  if (!code) execution->timeout = duration;
  return code;
}

int ANeuralNetworksExecution_setMeasureTiming(ANeuralNetworksExecution *execution, bool measure) {
  if (!execution) return UNEXPECTED_NULL;
  if (atomic_load(&execution->state) != PREPARED) return BAD_STATE;
  int code = one_device(execution->compilation, "measured timing");
  if (!code) execution->measure = measure;
  return code;
}

int ANeuralNetworksExecution_getDuration(const ANeuralNetworksExecution *execution, int32_t durationCode,
                                         uint64_t *duration) {
  if (!execution || !duration) return UNEXPECTED_NULL;
  *duration = UINT64_MAX;  // not measured
  if (durationCode < 0 || durationCode > 3) return bad("duration %d is unknown", durationCode);
  if (atomic_load(&execution->state) != COMPLETED || !execution->measure) return BAD_STATE;
  if (durationCode == 1) *duration = execution->duration;
  return NO_ERROR;
}

// Everything that changes lies in the execution or on this stack, so that executions may run side by side.
static int run_model(ANeuralNetworksExecution *e) {
  const ANeuralNetworksModel *m = e->compilation->model;
  uint8_t **memory = zeroed(m->operand_count, sizeof *memory);
  int code = NO_ERROR;
  for (uint32_t i = 0; i < m->nin; i++) memory[m->in[i]] = e->in[i];
  for (uint32_t i = 0; i < m->nout; i++) memory[m->out[i]] = e->out[i];
  for (uint32_t i = 0; i < m->operand_count; i++)
    if (m->operands[i].computed && !m->operands[i].output) memory[i] = zeroed(bytes_of(&m->operands[i]), 1);
  for (uint32_t i = 0; i < m->operation_count && !code; i++) {
    Ctx c = {.m = m, .op = &m->operations[i], .memory = memory, .run = true};
    if (!c.op->row->run(&c)) {
      fprintf(stderr, "neuralnetworks: operation %u, %s, failed: %s\n", i, c.op->row->name, c.why);
      code = OP_FAILED;
    }
    end_operation(&c);
  }
  for (uint32_t i = 0; i < m->operand_count; i++)
    if (m->operands[i].computed && !m->operands[i].output) free(memory[i]);
  free(memory);
  return code;
}

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static void sleep_ns(uint64_t ns) {
  struct timespec t = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
  while (nanosleep(&t, &t)) continue;
}

// Takes the execution: it can be computed once, and only with all its buffers.
static int begin_compute(ANeuralNetworksExecution *e) {
  const ANeuralNetworksModel *m = e->compilation->model;
  if (atomic_load(&e->state) != PREPARED) return BAD_STATE;
  for (uint32_t i = 0; i < m->nin; i++)
    if (!e->in[i]) return bad("input %u is not set", i);
  for (uint32_t i = 0; i < m->nout; i++)
    if (!e->out[i]) return bad("output %u is not set", i);
  int expected = PREPARED;
  return atomic_compare_exchange_strong(&e->state, &expected, RUNNING) ? NO_ERROR : BAD_STATE;
}

static int end_compute(ANeuralNetworksExecution *e, uint64_t timeout) {
  uint64_t start = now(), delay = (uint64_t)env_int("PACER_NN_EXECUTE_DELAY_MS", 0) * UINT64_C(1000000);
  int code = env_int("PACER_NN_EXECUTE_CODE", NO_ERROR);
  if (timeout && timeout < delay) delay = timeout, code = MISSED_DEADLINE;
  if (delay) sleep_ns(delay);
  if (code == BAD_DATA) bad("PACER_NN_EXECUTE_CODE asks for it");
  if (!code) code = run_model(e);
  if (!code) atomic_fetch_add(&computed, 1);
  e->duration = now() - start;
  atomic_store(&e->state, COMPLETED);
  return code;
}

int ANeuralNetworksExecution_compute(ANeuralNetworksExecution *execution) {
  if (!execution) return UNEXPECTED_NULL;
  int code = begin_compute(execution);
  return code ? code : end_compute(execution, execution->timeout);
}

int ANeuralNetworksBurst_create(ANeuralNetworksCompilation *compilation, ANeuralNetworksBurst **burst) {
  if (!compilation || !burst) return UNEXPECTED_NULL;
  *burst = NULL;
  if (!compilation->ready) return BAD_STATE;
  *burst = zeroed(1, sizeof **burst);
  (*burst)->compilation = compilation;
  atomic_fetch_add(&compilation->users, 1);
  atomic_fetch_add(&bursts, 1);
  return NO_ERROR;
}

void ANeuralNetworksBurst_free(ANeuralNetworksBurst *burst) {
  if (!burst) return;
  atomic_fetch_sub(&bursts, 1);
  if (freed_too_early(atomic_load(&burst->busy), "a burst")) return;
  atomic_fetch_sub(&burst->compilation->users, 1);
  free(burst);
}

int ANeuralNetworksExecution_burstCompute(ANeuralNetworksExecution *execution, ANeuralNetworksBurst *burst) {
  if (!execution || !burst) return UNEXPECTED_NULL;
  if (burst->compilation != execution->compilation) return bad("the burst is of another compilation");
  if (atomic_exchange(&burst->busy, 1)) return BAD_STATE;  // one at a time on each burst
  int code = ANeuralNetworksExecution_compute(execution);
  atomic_store(&burst->busy, 0);
  return code;
}

// ---- Events ----

static void release_event(ANeuralNetworksEvent *e) {
  if (atomic_fetch_sub(&e->holders, 1) != 1) return;
  pthread_mutex_destroy(&e->lock);
  pthread_cond_destroy(&e->signal);
  free(e->dependencies), free(e);
}

int ANeuralNetworksEvent_wait(ANeuralNetworksEvent *event) {
  if (!event) return UNEXPECTED_NULL;
  pthread_mutex_lock(&event->lock);
  while (!event->done) pthread_cond_wait(&event->signal, &event->lock);
  pthread_mutex_unlock(&event->lock);
  return event->code;
}

// Waits as well, so that the client may free its buffers afterwards.
void ANeuralNetworksEvent_free(ANeuralNetworksEvent *event) {
  if (!event) return;
  ANeuralNetworksEvent_wait(event);
  atomic_fetch_sub(&events, 1);
  release_event(event);
}

static void *event_thread(void *argument) {
  ANeuralNetworksEvent *event = argument;
  int code = NO_ERROR;
  for (uint32_t i = 0; i < event->dependency_count; i++) {
    if (ANeuralNetworksEvent_wait(event->dependencies[i])) code = OP_FAILED;  // what it waits for has failed
    release_event(event->dependencies[i]);
  }
  if (code) atomic_store(&event->execution->state, COMPLETED);
  else code = end_compute(event->execution, event->timeout);
  pthread_mutex_lock(&event->lock);
  event->code = code, event->done = true;
  pthread_cond_broadcast(&event->signal);
  pthread_mutex_unlock(&event->lock);
  release_event(event);
  return NULL;
}

int ANeuralNetworksExecution_startComputeWithDependencies(ANeuralNetworksExecution *execution,
                                                          const ANeuralNetworksEvent *const *dependencies,
                                                          uint32_t num_dependencies, uint64_t duration,
                                                          ANeuralNetworksEvent **event) {
  if (!execution || !event || (!dependencies && num_dependencies)) return UNEXPECTED_NULL;
  *event = NULL;
  for (uint32_t i = 0; i < num_dependencies; i++)
    if (!dependencies[i]) return UNEXPECTED_NULL;
  int code = duration ? one_device(execution->compilation, "a duration after the fence") : NO_ERROR;
  if (!code) code = begin_compute(execution);
  if (code) return code;
  ANeuralNetworksEvent *e = zeroed(1, sizeof *e);
  pthread_mutex_init(&e->lock, NULL);
  pthread_cond_init(&e->signal, NULL);
  atomic_init(&e->holders, 2);
  e->execution = execution, e->dependency_count = num_dependencies, e->timeout = execution->timeout;
  if (duration && (!e->timeout || duration < e->timeout)) e->timeout = duration;
  e->dependencies = duplicate(dependencies, num_dependencies * sizeof *dependencies);
  for (uint32_t i = 0; i < num_dependencies; i++) atomic_fetch_add(&e->dependencies[i]->holders, 1);
  pthread_t thread;
  if (pthread_create(&thread, NULL, event_thread, e)) abort();
  pthread_detach(thread);
  atomic_fetch_add(&events, 1);
  *event = e;
  return NO_ERROR;
}
