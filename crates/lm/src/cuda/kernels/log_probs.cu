// The softmax over the vocabulary, block by block of logits, so that all of them never lie in memory together.
// Floors, per token and entry of the vocabulary: 4 bytes read (from L2, where the product of a block has just been
// written), one exponential and about 5 operations.
// Reached: not measured yet (no card).

// Σ 2^x so far, as `sum` · 2^`top`.
struct Total {
    float top, sum;
};

DEVICE Total merge(Total a, Total b) {
    float top = fmaxf(a.top, b.top);
    return Total{top, a.sum * exp2f(a.top - top) + b.sum * exp2f(b.top - top)};
}

// Adds columns `first`.. (`width` of them, lines `stride` apart) of every row's logits to its total, kept in base 2, and
// picks out its target. A block of 256 threads for each row. NaN and infinity anywhere make the row's sum NaN.
extern "C" __global__ void __launch_bounds__(256)
    add_logits(const float *logits, const u32 *targets, Total *totals, float *picked, int width, int stride, int first) {
    __shared__ Total parts[8];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    u64 row = blockIdx.x;
    const float *x = logits + row * stride;
    Total mine = {LOWEST, 0};
    int whole = stride % 4 == 0 ? width / 4 * 4 : 0;
    for (int i = threadIdx.x * 4; i < whole; i += 1024) {
        Group<float, 4> v = *(const Group<float, 4> *)(x + i);
        float top = fmaxf(fmaxf(v.at[0], v.at[1]), fmaxf(v.at[2], v.at[3])) * LOG2_E;
        float next = fmaxf(mine.top, top), sum = mine.sum * exp2f(mine.top - next);
        for (int j = 0; j < 4; j++) sum += exp2f(fmaf(v.at[j], LOG2_E, -next));
        mine = Total{next, sum};
    }
    for (int i = whole + threadIdx.x; i < width; i += 256) mine = merge(mine, Total{x[i] * LOG2_E, 1});
    for (int mask = 16; mask > 0; mask /= 2)
        mine = merge(mine, Total{shuffle_xor(mine.top, mask), shuffle_xor(mine.sum, mask)});
    if (lane == 0) parts[warp] = mine;
    __syncthreads();
    if (threadIdx.x > 0) return;
    for (int i = 1; i < 8; i++) mine = merge(mine, parts[i]);
    totals[row] = first == 0 ? mine : merge(totals[row], mine);
    int target = (int)targets[row] - first;
    if (target >= 0 && target < width) picked[row] = x[target];
}

// ln p of every row's target. A thread for each row.
extern "C" __global__ void finish_log_probs(float *out, const Total *totals, const float *picked, int rows) {
    int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    out[row] = picked[row] - (totals[row].top + log2f(totals[row].sum)) * LN_2;
}
