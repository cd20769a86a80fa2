// What all kernels share. ELEMENT is the number format of weights and of what goes into a matrix product:
// 0 is f32, 1 is bf16, 2 is f16. Sums, norms and softmax are f32 in every case.
#if ELEMENT == 0
typedef float element;
#else
struct element {
    u16 bits;
};
#endif

#if ELEMENT == 0
DEVICE float widen(element x) { return x; }
DEVICE element narrow(float x) { return x; }
#elif ELEMENT == 1
DEVICE float widen(element x) { return bits_to_float((u32)x.bits << 16); }
DEVICE element narrow(float x) { return element{to_bf16(x)}; }
DEVICE u32 pack(float low, float high) { return pack_bf16(low, high); }
DEVICE void multiply_add(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) { multiply_add_bf16(c, a, b0, b1); }
#else
DEVICE float widen(element x) { return from_f16(x.bits); }
DEVICE element narrow(float x) { return element{to_f16(x)}; }
DEVICE u32 pack(float low, float high) { return pack_f16(low, high); }
DEVICE void multiply_add(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) { multiply_add_f16(c, a, b0, b1); }
#endif

// Neighbours that are loaded and stored in one go.
template <typename T, int N> struct alignas(sizeof(T) * N) Group {
    T at[N];
};

// Below every number that counts, and finite, so that a difference of two is never NaN by itself.
#define LOWEST (-3.0e38f)
#define MINUS_INFINITY (bits_to_float(0xff800000u))
#define LOG2_E 1.4426950408889634f
#define LN_2 0.6931471805599453f

DEVICE float warp_sum(float x) {
    for (int mask = 16; mask > 0; mask /= 2) x += shuffle_xor(x, mask);
    return x;
}
DEVICE float warp_max(float x) {
    for (int mask = 16; mask > 0; mask /= 2) x = fmaxf(x, shuffle_xor(x, mask));
    return x;
}
