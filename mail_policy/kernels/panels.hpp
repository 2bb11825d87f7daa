// Rows times packed weights: the one multiplication that all of the image encoder is made of.
//
// Weights are packed in panels, each a few columns wide, so that a panel is read from one end to
// the other. Rows are given by address and need not be packed: a row is a few equal segments at
// equal distances, which is what a convolution's window is in a map with its channels innermost.

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "simd.hpp"

#if defined(__F16C__)
#include <immintrin.h>
#endif

namespace mail {

constexpr int kPanelColumns = 2 * kWidth;
// As many as leave registers for two vectors of weights and a factor.
#if defined(__AVX512F__)
constexpr int kTileRows = 12;
#else
constexpr int kTileRows = 6;
#endif

// A weight in IEEE half precision.
struct Half {
    uint16_t bits;
};

static inline Vec load_weights(const float* from) { return load(from); }

static inline Vec load_weights(const Half* from) {
#if defined(__AVX512F__)
    // All lanes: GCC 12 warns of the form without a mask.
    const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    return (Vec)_mm512_maskz_cvtph_ps(0xffff, halves);
#elif defined(__F16C__)
    return (Vec)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#else
    Vec wide;
    for (int i = 0; i < kWidth; ++i) {
        // Shifted into a float's place, the exponent is too small by 127 - 15.
        const uint32_t bits = (from[i].bits & 0x7fffu) << 13 | (from[i].bits & 0x8000u) << 16;
        float lane;
        std::memcpy(&lane, &bits, sizeof lane);
        wide[i] = lane * 0x1p112f;
    }
    return wide;
#endif
}

// What a row consists of.
struct Segments {
    int count;
    int64_t distance;  // between the starts of two of them [floats]
    int length;        // of each [floats]
};

// One panel, and what to fetch from memory meanwhile, because hardware begins too late with the
// next panel: at each step along K, the line at `next`, which moves on by `distance`.
template <class Weight>
struct Panel {
    const Weight* weights;
    const char* next;
    int64_t distance;  // [bytes]
};

// out (kRows, kVectors * kWidth) = rows (kRows, K) times one panel (K, kVectors * kWidth).
template <int kRows, int kVectors, class Weight>
static void multiply_tile(const float* const* rows, Segments segments, Panel<Weight> panel,
                          float* out, int64_t out_distance) {
    Vec totals[kRows][kVectors] = {};
    for (int segment = 0; segment < segments.count; ++segment) {
        const float* at[kRows];
        for (int i = 0; i < kRows; ++i) at[i] = rows[i] + segment * segments.distance;
        for (int k = 0; k < segments.length; ++k) {
            __builtin_prefetch(panel.next, 0, 2);
            panel.next += panel.distance;
            Vec weights[kVectors];
            for (int j = 0; j < kVectors; ++j) {
                weights[j] = load_weights(panel.weights + j * kWidth);
            }
            for (int i = 0; i < kRows; ++i) {
                for (int j = 0; j < kVectors; ++j) totals[i][j] += at[i][k] * weights[j];
            }
            panel.weights += kVectors * kWidth;
        }
    }
    for (int i = 0; i < kRows; ++i) {
        for (int j = 0; j < kVectors; ++j) {
            store(out + i * out_distance + j * kWidth, totals[i][j]);
        }
    }
}

// Calls the tile that is compiled for so many rows, 1 to kMost.
template <int kMost, int kVectors, class Weight>
static void multiply_rows(int count, const float* const* rows, Segments segments,
                          Panel<Weight> panel, float* out, int64_t out_distance) {
    if constexpr (kMost > 1) {
        if (count < kMost) {
            multiply_rows<kMost - 1, kVectors>(count, rows, segments, panel, out, out_distance);
            return;
        }
    }
    multiply_tile<kMost, kVectors>(rows, segments, panel, out, out_distance);
}

// out (rows, columns) = rows (rows, K) times packed weights (K, columns).
// row_of(i) is the address of row i; columns are a multiple of 16.
template <class Weight, class RowOf>
static void multiply(int rows, RowOf row_of, Segments segments, const Weight* weights, int columns,
                     float* out) {
    const int tiles = (rows + kTileRows - 1) / kTileRows;
    const int64_t length = int64_t(segments.count) * segments.length;
    for (int column = 0; column < columns; column += kPanelColumns) {
        const int width = std::min(kPanelColumns, columns - column);
        const Weight* const next = weights + length * width;
        // Each of the tiles fetches an equal part.
        Panel<Weight> panel = {weights, reinterpret_cast<const char*>(next),
                               int64_t(width * sizeof(Weight)) / tiles};
        for (int tile = 0, first = 0; tile < tiles; ++tile) {
            const int left = tiles - tile;
            const int count = (rows - first + left - 1) / left;  // equal tiles: none is slow
            const float* addresses[kTileRows];
            for (int i = 0; i < count; ++i) addresses[i] = row_of(first + i);
            float* const to = out + int64_t(first) * columns + column;
            if (width == kPanelColumns) {
                multiply_rows<kTileRows, 2>(count, addresses, segments, panel, to, columns);
            } else {
                multiply_rows<kTileRows, 1>(count, addresses, segments, panel, to, columns);
            }
            first += count;
            panel.next += length * panel.distance;
        }
        weights = next;
    }
}

}  // namespace mail
