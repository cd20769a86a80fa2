// Runs the kernels on the CPU: each thread of a block is a fiber of its own that goes on until it has to wait for
// others, and one warp goes on as far as it can before the next. Takes the place of kernels/instructions.cuh, with the meaning that NVIDIA's PTX manual gives to each
// instruction. Copies to shared memory arrive as late as they may, and what was not written is NaN.
#include <csetjmp>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <ucontext.h>
#include <utility>
#include <vector>

typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define __global__
#define __device__
#define __shared__ static
#define __launch_bounds__(...)
#define DEVICE static inline
#define SHARED_MEMORY(name) unsigned char *name = emulator::shared

struct Index {
    unsigned x, y;
};
static Index threadIdx, blockIdx, blockDim;

namespace emulator {
static unsigned char *shared;
static size_t shared_bytes;

[[noreturn]] static void die(const char *what) {
    fprintf(stderr, "emulator: %s (block %u %u, thread %u)\n", what, blockIdx.x, blockIdx.y, threadIdx.x);
    abort();
}

struct Copy {
    unsigned char *to;
    unsigned char bytes[16];
};

struct Fiber {
    ucontext_t start;
    jmp_buf place;
    bool begun, done;
    u64 collectives;
    std::vector<Copy> open;
    std::deque<std::vector<Copy>> groups;
    char *stack;
};

struct Barrier {
    unsigned arrived, generation;
};

// What the lanes of a warp show each other; two, so that a fast lane does not overwrite what a slow one reads.
struct Warp {
    Barrier barrier;
    u64 shown[2][32][8];
};

static const size_t STACK = 256 << 10;
static std::vector<Fiber> fibers;
static std::vector<Warp> warps;
static Barrier block;
static jmp_buf scheduler;
static Fiber *running;
static u64 progress;
static void (*kernel)(void **);
static void **arguments;

static void yield() {
    if (_setjmp(running->place) == 0) _longjmp(scheduler, 1);
}

static void wait(Barrier &barrier, unsigned count) {
    unsigned generation = barrier.generation;
    progress++;
    if (++barrier.arrived == count) {
        barrier.arrived = 0;
        barrier.generation++;
        return;
    }
    while (*(volatile unsigned *)&barrier.generation == generation) yield();
}

static void enter() {
    kernel(arguments);
    running->done = true;
    progress++;
    _longjmp(scheduler, 1);
}

static void resume(unsigned thread) {
    running = &fibers[thread];
    threadIdx = Index{thread, 0};
    if (_setjmp(scheduler) != 0) return;
    if (running->begun) _longjmp(running->place, 1);
    running->begun = true;
    setcontext(&running->start);
}

// Gives the number of threads that came to their end.
static unsigned run_warp(unsigned warp, unsigned threads, bool backwards) {
    unsigned first = warp * 32, lanes = threads - first < 32 ? threads - first : 32, ended = 0;
    for (u64 before = progress - 1; progress != before;) {
        before = progress;
        for (unsigned i = 0; i < lanes; i++) {
            Fiber &fiber = fibers[first + (backwards ? lanes - 1 - i : i)];
            if (fiber.done) continue;
            resume(&fiber - fibers.data());
            ended += fiber.done;
        }
    }
    return ended;
}

static void run_block(unsigned threads, bool backwards) {
    block = Barrier{};
    warps.assign((threads + 31) / 32, Warp{});
    while (fibers.size() < threads) {
        fibers.emplace_back();
        fibers.back().stack = (char *)malloc(STACK);
    }
    for (unsigned i = 0; i < threads; i++) {
        Fiber &fiber = fibers[i];
        fiber.begun = fiber.done = false;
        fiber.collectives = 0;
        fiber.open.clear();
        fiber.groups.clear();
        getcontext(&fiber.start);
        fiber.start.uc_stack.ss_sp = fiber.stack;
        fiber.start.uc_stack.ss_size = STACK;
        fiber.start.uc_link = nullptr;
        makecontext(&fiber.start, enter, 0);
    }
    // A warp goes on as far as it can before the next one does, so that one that should have waited is seen.
    unsigned left = threads, count = warps.size();
    while (left > 0) {
        u64 before = progress;
        for (unsigned i = 0; i < count; i++) left -= run_warp(backwards ? count - 1 - i : i, threads, backwards);
        if (progress == before) die("threads wait for others that never come");
    }
}

// Shows `count` words to the warp; gives what all lanes show.
static u64 (*show(const u64 *words, int count))[8] {
    Warp &warp = warps[threadIdx.x / 32];
    unsigned turn = running->collectives++ % 2;
    memcpy(warp.shown[turn][threadIdx.x % 32], words, count * sizeof(u64));
    unsigned lanes = blockDim.x - threadIdx.x / 32 * 32;
    wait(warp.barrier, lanes < 32 ? lanes : 32);
    return warp.shown[turn];
}

static void check_shared(const void *p) {
    const unsigned char *at = (const unsigned char *)p;
    if (at < shared || at + 16 > shared + shared_bytes) die("outside of shared memory");
    if ((uintptr_t)at % 16) die("shared memory is not aligned");
}

static u64 word(float x) {
    u64 r = 0;
    memcpy(&r, &x, 4);
    return r;
}
} // namespace emulator

DEVICE float bits_to_float(u32 bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}
DEVICE u32 float_to_bits(float x) {
    u32 bits;
    memcpy(&bits, &x, 4);
    return bits;
}
static void __syncthreads() { emulator::wait(emulator::block, blockDim.x); }

DEVICE float shuffle(float x, int lane) {
    u64 w = emulator::word(x);
    return bits_to_float((u32)emulator::show(&w, 1)[lane][0]);
}
DEVICE float shuffle_xor(float x, int mask) { return shuffle(x, (threadIdx.x % 32) ^ mask); }

DEVICE u16 to_bf16(float x) {
    u32 bits = float_to_bits(x);
    if (x != x) return 0x7fff;
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}
DEVICE u16 to_f16(float x) {
    _Float16 half = (_Float16)x;
    u16 bits;
    memcpy(&bits, &half, 2);
    return bits;
}
DEVICE float from_f16(u16 bits) {
    _Float16 half;
    memcpy(&half, &bits, 2);
    return (float)half;
}
DEVICE u32 pack_bf16(float low, float high) { return to_bf16(low) | (u32)to_bf16(high) << 16; }
DEVICE u32 pack_f16(float low, float high) { return to_f16(low) | (u32)to_f16(high) << 16; }

DEVICE void copy16(void *to, const void *from, bool valid) {
    emulator::check_shared(to);
    if ((uintptr_t)from % 16) emulator::die("a copy is not aligned");
    emulator::Copy copy = {(unsigned char *)to, {}};
    if (valid) memcpy(copy.bytes, from, 16);
    memset(to, 0xff, 16);
    emulator::running->open.push_back(copy);
}
DEVICE void copy_commit() {
    emulator::running->groups.push_back(emulator::running->open);
    emulator::running->open.clear();
}
template <int N> DEVICE void copy_wait() {
    for (; emulator::running->groups.size() > N; emulator::running->groups.pop_front())
        for (emulator::Copy &copy : emulator::running->groups.front()) memcpy(copy.to, copy.bytes, 16);
}

DEVICE void load_matrices(u32 (&r)[4], const void *line) {
    emulator::check_shared(line);
    u64 mine = (u64)line;
    u64(*lines)[8] = emulator::show(&mine, 1);
    int lane = threadIdx.x % 32;
    for (int i = 0; i < 4; i++) memcpy(&r[i], (const u16 *)lines[i * 8 + lane / 4][0] + lane % 4 * 2, 4);
}
DEVICE void load_matrices_transposed(u32 (&r)[4], const void *line) {
    emulator::check_shared(line);
    u64 mine = (u64)line;
    u64(*lines)[8] = emulator::show(&mine, 1);
    int lane = threadIdx.x % 32;
    for (int i = 0; i < 4; i++) {
        u32 low = ((const u16 *)lines[i * 8 + lane % 4 * 2][0])[lane / 4];
        u32 high = ((const u16 *)lines[i * 8 + lane % 4 * 2 + 1][0])[lane / 4];
        r[i] = low | high << 16;
    }
}
template <class Read> DEVICE void multiply_add_by(Read read, float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    u64 mine[6] = {a[0], a[1], a[2], a[3], b0, b1};
    u64(*lanes)[8] = emulator::show(mine, 6);
    int lane = threadIdx.x % 32;
    auto half = [&](u64 word, int k) { return read((u16)(k % 2 ? word >> 16 : word)); };
    for (int i = 0; i < 4; i++) {
        int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
        float sum = c[i];
        for (int k = 0; k < 16; k++) {
            float left = half(lanes[row % 8 * 4 + k % 8 / 2][row / 8 + k / 8 * 2], k);
            sum += left * half(lanes[column * 4 + k % 8 / 2][4 + k / 8], k);
        }
        c[i] = sum;
    }
}
DEVICE void multiply_add_bf16(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    multiply_add_by([](u16 x) { return bits_to_float((u32)x << 16); }, c, a, b0, b1);
}
DEVICE void multiply_add_f16(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    multiply_add_by(from_f16, c, a, b0, b1);
}

template <class... A, size_t... I> static void call(void (*f)(A...), void **arguments, std::index_sequence<I...>) {
    f(*(A *)arguments[I]...);
}
template <class... A> static void call(void (*f)(A...), void **arguments) {
    call(f, arguments, std::index_sequence_for<A...>{});
}

struct Entry {
    const char *name;
    void (*run)(void **);
};

static int emulate_with(const Entry *entries, size_t count, const char *name, u32 columns, u32 rows, u32 threads,
                        size_t shared, void **arguments, int backwards) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(entries[i].name, name)) continue;
        emulator::kernel = entries[i].run;
        emulator::arguments = arguments;
        emulator::shared_bytes = shared;
        emulator::shared = (unsigned char *)aligned_alloc(256, (shared + 256) / 256 * 256);
        blockDim = Index{threads, 1};
        for (u32 y = 0; y < rows; y++)
            for (u32 x = 0; x < columns; x++) {
                blockIdx = Index{x, y};
                memset(emulator::shared, 0xff, shared);
                emulator::run_block(threads, backwards);
            }
        free(emulator::shared);
        return 0;
    }
    return 1;
}
