// Vectors of floats, as wide as the processor's registers, and what C++ has no function for.

#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX__)
#include <immintrin.h>
#endif

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

// The larger of x and a limit, in one instruction where there is one; a NaN in x stays.
static inline Vec at_least(Vec x, Vec limit) {
#if defined(__AVX512F__)
    return (Vec)_mm512_max_ps((__m512)limit, (__m512)x);
#elif defined(__AVX__)
    return (Vec)_mm256_max_ps((__m256)limit, (__m256)x);
#else
    return x < limit ? limit : x;
#endif
}

static inline Vec at_most(Vec x, Vec limit) {
#if defined(__AVX512F__)
    return (Vec)_mm512_min_ps((__m512)limit, (__m512)x);
#elif defined(__AVX__)
    return (Vec)_mm256_min_ps((__m256)limit, (__m256)x);
#else
    return x > limit ? limit : x;
#endif
}

// e^x for all lanes; relative error below 2e-7. Method: Cephes' expf, x = n ln 2 + r.
static inline Vec exp(Vec x) {
    x = at_most(at_least(x, splat(-87.3f)), splat(88.3f));
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

// The first `count` lanes from memory, zeros after them. Reads nothing behind them.
static inline Vec load_first(const float* from, int64_t count) {
    if (count >= kWidth) return load(from);
    Vec v{};
    std::memcpy(&v, from, count * sizeof(float));
    return v;
}

static inline void store_first(float* to, Vec v, int64_t count) {
    if (count >= kWidth) return store(to, v);
    std::memcpy(to, &v, count * sizeof(float));
}

// 2^x for all lanes; relative error below 2e-7. Cheaper than exp: no reduction of the argument.
// Method: x = n + r with n an integer; the polynomial 1 + r q(r) has the least maximal relative
// error on |r| <= 1/2, which is 9e-8.
static inline Vec exp2(Vec x) {
    x = at_most(at_least(x, splat(-126.0f)), splat(127.0f));
    // 1.5 * 2^23 + 127: adding it leaves no fraction bits, and n's exponent in the low bits.
    const float round_by = 12583039.0f;
    const Vec shifted = x + round_by;
    const Vec r = x - (shifted - round_by);
    Vec p = splat(1.326472731e-3f);
    p = p * r + 9.671512991e-3f;
    p = p * r + 5.550733581e-2f;
    p = p * r + 2.402224243e-1f;
    p = p * r + 6.931470037e-1f;
    p = p * r + 1.0f;
    IntVec power;
    std::memcpy(&power, &shifted, sizeof power);
    power <<= 23;
    Vec scale;
    std::memcpy(&scale, &power, sizeof scale);
    return p * scale;
}

// ln(1 + e^x) for all lanes, and x above 20, as torch has it; relative error below 5e-7.
static inline Vec softplus(Vec x) {
    const Vec zero{};
    const Vec power = exp(x < zero ? x : -x);
    // ln(1 + u) = 2 atanh(u / (2 + u)), whose series converges fast: the argument is <= 1/3.
    const Vec s = power / (2.0f + power), q = s * s;
    Vec p = splat(2.0f / 15.0f);
    p = p * q + 2.0f / 13.0f;
    p = p * q + 2.0f / 11.0f;
    p = p * q + 2.0f / 9.0f;
    p = p * q + 2.0f / 7.0f;
    p = p * q + 2.0f / 5.0f;
    p = p * q + 2.0f / 3.0f;
    p = p * q + 2.0f;
    const Vec value = p * s + (x < zero ? zero : x);
    return x > splat(20.0f) ? x : value;
}

}  // namespace mail
