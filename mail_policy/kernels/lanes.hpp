// One algorithm for two types: floats in registers full of lanes, doubles one by one.
//
// Doubles are there to check gradients, not to be fast.

#pragma once

#include <algorithm>
#include <cmath>

#include "simd.hpp"

namespace mail {

template <class Scalar>
struct Lanes;

template <>
struct Lanes<float> {
    using Vector = Vec;
    static constexpr int width = kWidth;
};

template <>
struct Lanes<double> {
    using Vector = double;
    static constexpr int width = 1;
};

static inline double load_first(const double* from, int64_t count) {
    return count > 0 ? *from : 0.0;
}

static inline void store_first(double* to, double value, int64_t count) {
    if (count > 0) *to = value;
}

static inline double sum(double value) { return value; }

// exp2(double) is the one of <cmath>.
static inline double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

// Two vectors of neighbouring channels: while one waits for a result, the other is computed, and
// in floats with AVX2 they are one line of the cache.
template <class Scalar>
struct Pair {
    using Vector = typename Lanes<Scalar>::Vector;
    static constexpr int width = 2 * Lanes<Scalar>::width;
    Vector half[2];

    // The first `count` channels from memory, zeros after them.
    static Pair load(const Scalar* from, int64_t count) {
        constexpr int lanes = Lanes<Scalar>::width;
        return {{load_first(from, count),
                 load_first(from + lanes, std::max<int64_t>(count - lanes, 0))}};
    }

    void store(Scalar* to, int64_t count) const {
        constexpr int lanes = Lanes<Scalar>::width;
        store_first(to, half[0], count);
        store_first(to + lanes, half[1], std::max<int64_t>(count - lanes, 0));
    }
};

}  // namespace mail
