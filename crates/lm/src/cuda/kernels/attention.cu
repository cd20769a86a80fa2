// Causal attention of packed windows with tensor cores: scores never leave the registers.
// Floors, for a window of n tokens and a head of size s: bytes 2 x 4 n s (queries, keys, values, result; keys and values
// once for every 64 queries, from L2); 2 n^2 s operations on tensor cores, n^2 / 2 exponentials.
// Reached: not measured yet (no card).
#if ELEMENT != 0

#define QUERIES 64

// Lines of SIZE numbers into lines of SIZE + 8 (so that eight lines start in different banks), without waiting;
// those from `valid` on become zeros.
template <int LINES, int SIZE> DEVICE void fetch(element *to, const element *from, u64 stride, int valid) {
    constexpr int PARTS = SIZE / 8;
    for (int i = threadIdx.x; i < LINES * PARTS; i += 128) {
        int line = i / PARTS, part = i % PARTS;
        copy16(to + line * (SIZE + 8) + part * 8, line < valid ? from + line * stride + part * 8 : from, line < valid);
    }
}

// Lane l holds, of each 16 x 8 tile of scores, rows l / 4 and l / 4 + 8, columns 2 (l % 4) and the next.
template <int SIZE, int KEYS, bool HOLD>
DEVICE void attend(element *out, const element *qkv, const u32 *tiles, int heads, int stride, float scale) {
    constexpr int LINE = SIZE + 8, STEPS = SIZE / 16;
    SHARED_MEMORY(memory);
    element *queries = (element *)memory, *keys = queries + QUERIES * LINE, *values = keys + 2 * KEYS * LINE;
    int first = tiles[3 * blockIdx.x], end = tiles[3 * blockIdx.x + 1], query = tiles[3 * blockIdx.x + 2];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    u64 line = (u64)3 * heads * SIZE;
    const element *head = qkv + (u64)blockIdx.y * 3 * SIZE;
    int last = query + QUERIES < end ? query + QUERIES : end;
    int blocks = (last - first + KEYS - 1) / KEYS;

    fetch<QUERIES, SIZE>(queries, head + query * line, line, end - query);
    fetch<KEYS, SIZE>(keys, head + first * line + SIZE, line, last - first);
    fetch<KEYS, SIZE>(values, head + first * line + 2 * SIZE, line, last - first);
    copy_commit();

    float mixed[SIZE / 8][4] = {};
    float top[2] = {LOWEST, LOWEST}, total[2] = {0, 0};
    u32 held[HOLD ? STEPS : 1][4];
    // Where this lane's line of the matrices lies: of queries, keys (two tiles side by side) and values.
    const element *my_query = queries + (warp * 16 + lane % 16) * LINE + lane / 16 * 8;
    int my_key = (lane % 8 + lane / 16 * 8) * LINE + lane / 8 % 2 * 8;
    int my_value = (lane % 8 + lane / 8 % 2 * 8) * LINE + lane / 16 * 8;

    for (int block = 0; block < blocks; block++) {
        int next = first + (block + 1) * KEYS, buffer = block % 2 * KEYS * LINE, other = KEYS * LINE - buffer;
        if (block + 1 < blocks) {
            fetch<KEYS, SIZE>(keys + other, head + next * line + SIZE, line, last - next);
            fetch<KEYS, SIZE>(values + other, head + next * line + 2 * SIZE, line, last - next);
        }
        copy_commit();
        copy_wait<1>();
        __syncthreads();

        if (HOLD && block == 0) {
#pragma unroll
            for (int k = 0; k < STEPS; k++) load_matrices(held[HOLD ? k : 0], my_query + k * 16);
        }
        float scores[KEYS / 8][4] = {};
#pragma unroll
        for (int k = 0; k < STEPS; k++) {
            u32 fresh[4];
            if (!HOLD) load_matrices(fresh, my_query + k * 16);
#pragma unroll
            for (int n = 0; n < KEYS / 16; n++) {
                u32 b[4];
                load_matrices(b, keys + buffer + n * 16 * LINE + my_key + k * 16);
                multiply_add(scores[2 * n], HOLD ? held[HOLD ? k : 0] : fresh, b[0], b[1]);
                multiply_add(scores[2 * n + 1], HOLD ? held[HOLD ? k : 0] : fresh, b[2], b[3]);
            }
        }

        int row = query - first + warp * 16 + lane / 4;
        if ((block + 1) * KEYS > query - first) {
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    if (block * KEYS + n * 8 + lane % 4 * 2 + i % 2 > row + i / 2 * 8) scores[n][i] = MINUS_INFINITY;
        }
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float most = LOWEST;
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++)
                most = fmaxf(most, fmaxf(scores[n][2 * half], scores[n][2 * half + 1]));
            most = fmaxf(most, shuffle_xor(most, 1));
            most = fmaxf(most, shuffle_xor(most, 2));
            float now = fmaxf(top[half], most * scale), shrink = exp2f(top[half] - now);
            top[half] = now;
            total[half] *= shrink;
#pragma unroll
            for (int n = 0; n < SIZE / 8; n++) {
                mixed[n][2 * half] *= shrink;
                mixed[n][2 * half + 1] *= shrink;
            }
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
                for (int i = 2 * half; i < 2 * half + 2; i++) {
                    scores[n][i] = exp2f(fmaf(scores[n][i], scale, -now));
                    total[half] += scores[n][i];
                }
        }
#pragma unroll
        for (int k = 0; k < KEYS / 16; k++) {
            u32 a[4] = {pack(scores[2 * k][0], scores[2 * k][1]), pack(scores[2 * k][2], scores[2 * k][3]),
                        pack(scores[2 * k + 1][0], scores[2 * k + 1][1]), pack(scores[2 * k + 1][2], scores[2 * k + 1][3])};
#pragma unroll
            for (int n = 0; n < STEPS; n++) {
                u32 b[4];
                load_matrices_transposed(b, values + buffer + k * 16 * LINE + my_value + n * 16);
                multiply_add(mixed[2 * n], a, b[0], b[1]);
                multiply_add(mixed[2 * n + 1], a, b[2], b[3]);
            }
        }
        __syncthreads();
    }

#pragma unroll
    for (int half = 0; half < 2; half++) {
        float sum = total[half] + shuffle_xor(total[half], 1);
        float factor = 1.0f / (sum + shuffle_xor(sum, 2));
        int row = query + warp * 16 + lane / 4 + half * 8;
        element *to = out + (u64)row * stride + blockIdx.y * SIZE + lane % 4 * 2;
        if (row < end) {
#pragma unroll
            for (int n = 0; n < SIZE / 8; n++)
                *(u32 *)(to + n * 8) = pack(mixed[n][2 * half] * factor, mixed[n][2 * half + 1] * factor);
        }
    }
}

// A block of four warps for each tile of 64 queries (first row of its window, end of its window, first query) and head.
// qkv is [rows, heads, 3, size], rotated; a line of `out` has all heads and lines stand `stride` apart; `scale` includes
// log2 e. `KEYS` keys at a time; queries stay in registers if `HOLD`.
#define ATTENTION(SIZE, KEYS, HOLD)                                                                                     \
    extern "C" __global__ void __launch_bounds__(128)                                                                  \
        attention_##SIZE(element *out, const element *qkv, const u32 *tiles, int heads, int stride, float scale) {     \
        attend<SIZE, KEYS, HOLD>(out, qkv, tiles, heads, stride, scale);                                               \
    }

ATTENTION(16, 64, true)
ATTENTION(32, 64, true)
ATTENTION(64, 64, true)
ATTENTION(80, 64, true)
ATTENTION(96, 64, true)
ATTENTION(128, 64, true)
ATTENTION(256, 32, false)

#endif
