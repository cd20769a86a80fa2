// Layer normalisation of the residual stream, for one or two norms of the same rows.
// Floors, per token of width d: bytes 4 d read + 2 d written for each norm; about 8 d operations.
// Reached: not measured yet (no card).

struct Norm {
    const float *weight, *bias;
    element *out;
};

DEVICE void write_norm(Norm norm, u64 row, int width, int i, Group<float, 4> x, float mean, float scale) {
    Group<float, 4> w = *(const Group<float, 4> *)(norm.weight + i), b = *(const Group<float, 4> *)(norm.bias + i);
    Group<element, 4> y;
    for (int j = 0; j < 4; j++) y.at[j] = narrow((x.at[j] - mean) * scale * w.at[j] + b.at[j]);
    *(Group<element, 4> *)(norm.out + row * width + i) = y;
}

// Four neighbours of a row: the stream, and the biases that were left out of it so far.
DEVICE Group<float, 4> load_row(const float *x, const float *pending, int i) {
    Group<float, 4> v = *(const Group<float, 4> *)(x + i), p = *(const Group<float, 4> *)(pending + i);
    for (int j = 0; j < 4; j++) v.at[j] += p.at[j];
    return v;
}

// A warp for each row; the row is read three times, twice of them from the nearest cache. `rows` names the rows that
// are wanted, all if it is null; `out2` may be null. The width is a multiple of 4.
extern "C" __global__ void __launch_bounds__(256)
    layer_norm(const float *x, const float *pending, const u32 *rows, int count, int width, float eps, const float *w1,
               const float *b1, element *out1, const float *w2, const float *b2, element *out2) {
    int row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= count) return;
    x += (u64)(rows ? rows[row] : row) * width;
    float sum = 0;
    for (int i = lane * 4; i < width; i += 128) {
        Group<float, 4> v = load_row(x, pending, i);
        sum += (v.at[0] + v.at[1]) + (v.at[2] + v.at[3]);
    }
    float mean = warp_sum(sum) / width;
    float squares = 0;
    for (int i = lane * 4; i < width; i += 128) {
        Group<float, 4> v = load_row(x, pending, i);
        for (int j = 0; j < 4; j++) squares += (v.at[j] - mean) * (v.at[j] - mean);
    }
    float scale = 1.0f / sqrtf(warp_sum(squares) / width + eps);
    for (int i = lane * 4; i < width; i += 128) {
        Group<float, 4> v = load_row(x, pending, i);
        write_norm(Norm{w1, b1, out1}, row, width, i, v, mean, scale);
        if (out2) write_norm(Norm{w2, b2, out2}, row, width, i, v, mean, scale);
    }
}
