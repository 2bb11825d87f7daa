// Vectors of floats, as wide as the processor's registers, and what C++ has no function for.

#pragma once

#include <cstdint>
#include <cstring>

namespace mail {

#if defined(__AVX512F__)
constexpr int kWidth = 16;
#elif defined(__AVX__)
constexpr int kWidth = 8;
#else
constexpr int kWidth = 4;
#endif

// Compilers map these to registers, and arithmetic between them to single instructions.
typedef float Vec __attribute__((vector_size(4 * kWidth)));
typedef int32_t IntVec __attribute__((vector_size(4 * kWidth)));

static inline Vec load(const float* from) {
    Vec v;
    std::memcpy(&v, from, sizeof v);
    return v;
}

static inline void store(float* to, Vec v) { std::memcpy(to, &v, sizeof v); }

static inline Vec splat(float value) { return value - Vec{}; }

static inline float sum(Vec v) {
    float total = 0.0f;
    for (int i = 0; i < kWidth; ++i) total += v[i];
    return total;
}

// e^x for all lanes; relative error below 2e-7. Method: Cephes' expf, x = n ln 2 + r.
static inline Vec exp(Vec x) {
    const Vec low = splat(-87.3f), high = splat(88.3f);
    x = x < low ? low : x;  // a NaN passes both comparisons unchanged
    x = x > high ? high : x;
    const float round_by = 12582912.0f;  // 1.5 * 2^23: adding it leaves no fraction bits
    Vec n = (x * 1.44269504088896341f + round_by) - round_by;
    Vec r = x - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    Vec p = splat(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    IntVec power = (__builtin_convertvector(n, IntVec) + 127) << 23;
    Vec scale;
    std::memcpy(&scale, &power, sizeof scale);
    return p * scale;
}

static inline Vec sigmoid(Vec x) { return 1.0f / (1.0f + exp(-x)); }

static inline Vec silu(Vec x) { return x * sigmoid(x); }

}  // namespace mail
