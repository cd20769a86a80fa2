// Rows of the embedding, and weights on their way into the compute format.
// Floors, per token of width d: bytes 2 d read + 4 d written; operations none.
// Reached: not measured yet (no card).

// x[row] = table[ids[row]] in f32. A block for each row.
extern "C" __global__ void embed(float *x, const element *table, const u32 *ids, int width) {
    u64 from = (u64)ids[blockIdx.x] * width, to = (u64)blockIdx.x * width;
    for (int i = threadIdx.x; i < width; i += blockDim.x) x[to + i] = widen(table[from + i]);
}

// Stored numbers (0 f32, 1 bf16, 2 f16) of `rows` x `width` to elements whose lines stand `stride` apart.
// A thread for each number.
extern "C" __global__ void convert(element *to, const void *from, int stored, int rows, int width, int stride) {
    u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (u64)rows * width) return;
    float x;
    if (stored == 0)
        x = ((const float *)from)[i];
    else if (stored == 1)
        x = bits_to_float((u32)((const u16 *)from)[i] << 16);
    else
        x = from_f16(((const u16 *)from)[i]);
    to[i / width * stride + i % width] = narrow(x);
}
