// What happens to single numbers between matrix products.
// Floors, per token: rotary 2 x 2 bytes for each rotated number of queries and keys, 3 operations each; bias and GELU
// 2 x 2 bytes and about 25 operations for each number of the feed-forward layer.
// Reached: not measured yet (no card).

// Turns the first 2 `half` numbers of every query and key in place. qkv is [rows, heads, 3, size]; cosines and sines
// are [positions, half]. A thread for each pair.
extern "C" __global__ void rotary(element *qkv, const float *cosines, const float *sines, const u32 *positions, int rows,
                                  int heads, int size, int half) {
    u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (u64)rows * heads * 2 * half) return;
    int pair = i % half, part = i / half % 2, head = i / half / 2 % heads;
    u64 row = i / half / 2 / heads;
    element *low = qkv + ((row * heads + head) * 3 + part) * size + pair, *high = low + half;
    u64 angle = (u64)positions[row] * half + pair;
    float a = widen(*low), b = widen(*high), c = cosines[angle], s = sines[angle];
    *low = narrow(a * c - b * s);
    *high = narrow(b * c + a * s);
}

DEVICE float gelu(float x, int tanh_form) {
    if (tanh_form) return 0.5f * x * (1.0f + tanhf(0.7978845608028654f * (x + 0.044715f * x * x * x)));
    return 0.5f * x * (1.0f + erff(x * 0.7071067811865476f));
}

// x = gelu(x + bias) in place; lines stand `stride` apart. A thread for each 8 numbers; the width is a multiple of 8.
extern "C" __global__ void bias_gelu(element *x, const float *bias, int rows, int width, int stride, int tanh_form) {
    u32 i = blockIdx.x * blockDim.x + threadIdx.x, groups = width / 8;
    u32 row = i / groups, column = i % groups * 8;
    if (row >= (u32)rows) return;
    x += (u64)row * stride + column;
    for (int half = 0; half < 8; half += 8 / sizeof(element) * 2) {
        constexpr int N = 8 / sizeof(element) * 2;
        Group<element, N> v = *(const Group<element, N> *)(x + half);
        for (int j = 0; j < N; j++) v.at[j] = narrow(gelu(widen(v.at[j]) + bias[column + half + j], tanh_form));
        *(Group<element, N> *)(x + half) = v;
    }
}
