// Causal attention of packed windows for every number format and head size up to 256, without tensor cores.
// Floors as in attention.cu, but keys and values are read again for every query (from caches): for f32, and for small
// models whose head size has no tensor kernel.
// Reached: not measured yet (no card).

#define PLAIN_WARPS 4
#define PLAIN_SIZE 256

// A warp for each query of each head. qkv is [rows, heads, 3, size], rotated; `positions` counts rows from the start of
// their window; a line of `out` has all heads and lines stand `stride` apart. `scale` includes log2 e.
extern "C" __global__ void __launch_bounds__(32 * PLAIN_WARPS)
    attention_plain(element *out, const element *qkv, const u32 *positions, int rows, int heads, int size, int stride,
                    float scale) {
    __shared__ float queries[PLAIN_WARPS][PLAIN_SIZE];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    u64 row = (u64)blockIdx.x * PLAIN_WARPS + warp, line = (u64)3 * heads * size;
    bool valid = row < (u64)rows;
    const element *head = qkv + (u64)blockIdx.y * 3 * size;
    for (int i = lane; i < size; i += 32) queries[warp][i] = valid ? widen(head[row * line + i]) * scale : 0.0f;
    __syncthreads();
    if (!valid) return;
    float mixed[PLAIN_SIZE / 32] = {}, top = LOWEST, total = 0;
    u64 start = row - positions[row];
    for (u64 first = start; first <= row; first += 32) {
        u64 key = first + lane;
        float score = MINUS_INFINITY;
        if (key <= row) {
            score = 0;
            for (int i = 0; i < size; i++) score += queries[warp][i] * widen(head[key * line + size + i]);
        }
        float next = fmaxf(top, warp_max(score)), weight = exp2f(score - next), shrink = exp2f(top - next);
        total = total * shrink + warp_sum(weight);
        top = next;
        for (int n = 0; n < PLAIN_SIZE / 32; n++) mixed[n] *= shrink;
        int count = row - first < 31 ? (int)(row - first) + 1 : 32;
        for (int j = 0; j < count; j++) {
            float w = shuffle(weight, j);
            const element *value = head + (first + j) * line + 2 * size;
            for (int n = 0; n < PLAIN_SIZE / 32; n++)
                if (n * 32 + lane < size) mixed[n] += w * widen(value[n * 32 + lane]);
        }
    }
    for (int n = 0; n < PLAIN_SIZE / 32; n++) {
        int i = n * 32 + lane;
        if (i < size) out[row * stride + blockIdx.y * size + i] = narrow(mixed[n] / total);
    }
}
