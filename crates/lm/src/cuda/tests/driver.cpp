// Stands for libcuda, libnvrtc and libcublasLt in one, with a card whose kernels run in the emulator. Nothing is done
// when it is asked for, but as late as waiting allows: so that what is changed or freed too early is noticed.
#include <functional>
#include <string>

typedef std::function<void()> Work;

struct Stream {
    std::deque<Work> queue;
    u64 asked = 0, done = 0;
};
static std::vector<Stream *> streams;
static Stream *stream_of(void *p) {
    if (!p) emulator::die("a null stream");
    return (Stream *)p;
}
static void catch_up(Stream *stream, u64 until) {
    while (stream->done < until) {
        Work work = stream->queue.front();
        stream->queue.pop_front();
        stream->done++;
        work();
    }
}
static void later(void *stream, Work work) {
    stream_of(stream)->queue.push_back(work);
    stream_of(stream)->asked++;
}
static void finish_all() {
    for (Stream *stream : streams) catch_up(stream, stream->asked);
}
struct Event {
    Stream *stream;
    u64 at;
};
static thread_local bool entered = false;
#define ENTERED                                                                                                        \
    if (!entered) return 201

struct Function {
    const char *name;
    void (*run)(void **);
    std::vector<size_t> sizes;
    size_t shared = 48 << 10;
};
template <class... A> static Function function_of(const char *name, void (*)(A...), void (*run)(void **)) {
    return Function{name, run, {sizeof(A)...}};
}
static std::vector<Function> &functions();

extern "C" {
int cuInit(u32) { return 0; }
int cuDriverGetVersion(int *version) { return *version = 13000, 0; }
int cuDeviceGet(int *device, int number) { return *device = number, 0; }
int cuDeviceGetCount(int *count) { return *count = 1, 0; }
int cuDeviceGetName(char *name, int, int) { return strcpy(name, "Emulated"), 0; }
int cuDeviceGetAttribute(int *value, int attribute, int) { return *value = attribute == 75 ? 9 : 0, 0; }
int cuDevicePrimaryCtxRetain(void **context, int) { return *context = (void *)&streams, 0; }
int cuDevicePrimaryCtxRelease_v2(int) { return 0; }
int cuCtxSetCurrent(void *context) { return entered = context == &streams, 0; }
int cuGetErrorString(int, const char **text) { return *text = "an error of the emulated driver", 0; }
int cuGetErrorName(int, const char **text) { return *text = "EMULATED", 0; }
int cuStreamCreate(void **stream, u32) {
    ENTERED;
    streams.push_back(new Stream);
    return *stream = streams.back(), 0;
}
int cuStreamSynchronize(void *stream) {
    ENTERED;
    return catch_up(stream_of(stream), stream_of(stream)->asked), 0;
}
int cuStreamDestroy_v2(void *stream) { return cuStreamSynchronize(stream); }
int cuEventCreate(void **event, u32) {
    ENTERED;
    return *event = new Event{}, 0;
}
int cuEventRecord(void *event, void *stream) {
    ENTERED;
    later(stream, [] {});
    return *(Event *)event = Event{stream_of(stream), stream_of(stream)->asked}, 0;
}
int cuEventSynchronize(void *event) {
    ENTERED;
    return catch_up(((Event *)event)->stream, ((Event *)event)->at), 0;
}
int cuEventQuery(void *event) { return ((Event *)event)->stream->done >= ((Event *)event)->at ? 0 : 600; }
int cuEventElapsedTime_v2(float *milliseconds, void *, void *) { return *milliseconds = 1, 0; }
int cuEventDestroy_v2(void *event) { return delete (Event *)event, 0; }
int cuMemAlloc_v2(u64 *address, size_t bytes) {
    ENTERED;
    void *p = aligned_alloc(256, (bytes + 511) / 256 * 256);
    memset(p, 0xff, bytes);
    return *address = (u64)p, 0;
}
int cuMemFree_v2(u64 address) {
    ENTERED;
    finish_all();
    return free((void *)address), 0;
}
int cuMemGetInfo_v2(size_t *free, size_t *total) { return *free = *total = 64 << 20, 0; }
int cuMemHostAlloc(void **p, size_t bytes, u32) { return *p = malloc(bytes), 0; }
int cuMemFreeHost(void *p) { return free(p), 0; }
int cuMemsetD8Async(u64 to, unsigned char value, size_t bytes, void *stream) {
    ENTERED;
    return later(stream, [=] { memset((void *)to, value, bytes); }), 0;
}
int cuMemcpyHtoDAsync_v2(u64 to, const void *from, size_t bytes, void *stream) {
    ENTERED;
    return later(stream, [=] { memcpy((void *)to, from, bytes); }), 0;
}
int cuMemcpyDtoHAsync_v2(void *to, u64 from, size_t bytes, void *stream) {
    ENTERED;
    return later(stream, [=] { memcpy(to, (void *)from, bytes); }), 0;
}
int cuModuleLoadData(void **module, const void *code) {
    return *module = (void *)1, memcmp(code, "\x7f" "ELF", 4) ? 200 : 0;
}
int cuModuleUnload(void *) { return 0; }
int cuModuleGetFunction(void **function, void *, const char *name) {
    for (Function &f : functions())
        if (!strcmp(f.name, name)) return *function = &f, 0;
    return 500;
}
int cuFuncSetAttribute(void *function, int attribute, int value) {
    if (attribute != 8 || value > 227 << 10) return 1;
    return ((Function *)function)->shared = value, 0;
}
int cuLaunchKernel(void *function, u32 x, u32 y, u32 z, u32 threads, u32 ty, u32 tz, u32 shared, void *stream,
                   void **arguments, void **extra) {
    ENTERED;
    Function *f = (Function *)function;
    if (!x || !y || z != 1 || y > 65535 || !threads || threads > 1024 || ty != 1 || tz != 1 || extra) return 1;
    if (shared > f->shared) return 1;
    std::vector<u64> values(f->sizes.size());
    for (size_t i = 0; i < values.size(); i++) memcpy(&values[i], arguments[i], f->sizes[i]);
    later(stream, [=] {
        std::vector<u64> copies = values;
        std::vector<void *> places;
        for (u64 &value : copies) places.push_back(&value);
        Entry entry = {f->name, f->run};
        emulate_with(&entry, 1, f->name, x, y, threads, shared, places.data(), 0);
    });
    return 0;
}

static std::string compiled;
int nvrtcVersion(int *major, int *minor) { return *major = 13, *minor = 0, 0; }
int nvrtcCreateProgram(void **program, const char *text, const char *, int, const char **, const char **) {
    return *program = (void *)1, strncmp(text, "#define ELEMENT 1\n", 18) ? 3 : 0;
}
int nvrtcCompileProgram(void *, int count, const char **options) {
    return count && !strcmp(options[0], "--gpu-architecture=sm_90") ? 0 : 5;
}
int nvrtcGetCUBINSize(void *, size_t *size) { return *size = 8, 0; }
int nvrtcGetCUBIN(void *, char *code) { return memcpy(code, "\x7f" "ELF1234", 8), 0; }
int nvrtcDestroyProgram(void **) { return 0; }

// Columns first, as cuBLAS counts.
struct Layout {
    int kind;
    u64 rows, columns;
    int64_t stride;
};
struct Description {
    int transposed = 0, epilogue = 1;
    void *bias = nullptr;
};
static float read(const Layout &layout, const void *p, u64 row, u64 column) {
    u64 i = column * layout.stride + row;
    return layout.kind == 0 ? ((const float *)p)[i] : bits_to_float((u32)((const u16 *)p)[i] << 16);
}
int cublasLtCreate(void **handle) { return *handle = (void *)1, entered ? 0 : 1; }
int cublasLtDestroy(void *) { return 0; }
int cublasLtMatrixLayoutCreate(void **layout, int kind, u64 rows, u64 columns, int64_t stride) {
    if ((kind != 0 && kind != 14) || stride < (int64_t)rows) return 7;
    return *layout = new Layout{kind, rows, columns, stride}, 0;
}
int cublasLtMatrixLayoutDestroy(void *layout) { return delete (Layout *)layout, 0; }
int cublasLtMatmulDescCreate(void **description, int compute, int scale) {
    return *description = new Description, compute == 68 && scale == 0 ? 0 : 7;
}
int cublasLtMatmulDescSetAttribute(void *description, int attribute, const void *value, size_t bytes) {
    Description *d = (Description *)description;
    if (attribute == 3 && bytes == 4) return memcpy(&d->transposed, value, 4), 0;
    if (attribute == 7 && bytes == 4) return memcpy(&d->epilogue, value, 4), 0;
    if (attribute == 8 && bytes == 8) return memcpy(&d->bias, value, 8), 0;
    return 7;
}
int cublasLtMatmulDescDestroy(void *description) { return delete (Description *)description, 0; }
int cublasLtMatmulPreferenceCreate(void **preference) { return *preference = (void *)1, 0; }
int cublasLtMatmulPreferenceSetAttribute(void *, int attribute, const void *, size_t bytes) {
    return (attribute == 1 && bytes == 8) || (attribute >= 5 && attribute <= 8 && bytes == 4) ? 0 : 7;
}
int cublasLtMatmulPreferenceDestroy(void *) { return 0; }
struct Heuristic {
    u64 algorithm[8];
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
};
int cublasLtMatmulAlgoGetHeuristic(void *, void *, void *, void *, void *, void *, void *, int, Heuristic *found, int *count) {
    *found = Heuristic{};
    return found->algorithm[0] = 42, *count = 1, 0;
}
int cublasLtMatmul(void *, void *description, const float *alpha, const void *a, void *a_layout, const void *b,
                   void *b_layout, const float *beta, const void *c, void *c_layout, void *d, void *d_layout,
                   const u64 *algorithm, void *workspace, size_t bytes, void *stream) {
    Description how = *(Description *)description;
    Layout A = *(Layout *)a_layout, B = *(Layout *)b_layout, D = *(Layout *)d_layout;
    float one = *alpha, keep = *beta;
    bool fits = how.transposed == 1 && A.columns == D.rows && A.rows == B.rows && B.columns == D.columns;
    if (!fits || A.kind != B.kind || c != d || c_layout != d_layout || *algorithm != 42 || !workspace || bytes < 1) return 7;
    if (((u64)a | (u64)b | (u64)d) % 16 || one != 1) return 7;
    if ((how.epilogue == 4) != (how.bias != nullptr)) return 7;
    later(stream, [=] {
        for (u64 column = 0; column < D.columns; column++)
            for (u64 row = 0; row < D.rows; row++) {
                float sum = keep ? keep * read(D, d, row, column) : 0;
                for (u64 k = 0; k < A.rows; k++) sum += read(A, a, k, row) * read(B, b, k, column);
                if (how.bias) sum += read(Layout{D.kind, D.rows, 1, (int64_t)D.rows}, how.bias, row, 0);
                u64 at = column * D.stride + row;
                if (D.kind == 0)
                    ((float *)d)[at] = sum;
                else
                    ((u16 *)d)[at] = to_bf16(sum);
            }
    });
    return 0;
}
}
