// 3x3 convolutions with fewer multiplications.
//
// Winograd's minimal filtering, as in Lavin and Gray, "Fast Algorithms for Convolutional Neural
// Networks" (arXiv 1509.09308): a tile of kTile x kTile outputs needs (kTile + 2)^2 products per
// pair of channels instead of 9 kTile^2. Weights are transformed beforehand, by vision.py.

#pragma once

#include <algorithm>

#include "maps.hpp"
#include "panels.hpp"

namespace mail {

// Tiles that are transformed together: few, so that their products stay in the cache, and a
// multiple of kTileRows.
constexpr int kTilesAtOnce = 24;
// Between the points' values [floats]: at distances of 4 KiB they would evict one another.
constexpr int kGap = 16;

// B^T d of the paper, for a tile of 2 or 4.
static inline void transform_input(const Vec (&d)[4], Vec (&to)[4]) {
    to[0] = d[0] - d[2];
    to[1] = d[1] + d[2];
    to[2] = d[2] - d[1];
    to[3] = d[1] - d[3];
}

static inline void transform_input(const Vec (&d)[6], Vec (&to)[6]) {
    const Vec even = d[4] - 4.0f * d[2], odd = d[3] - 4.0f * d[1];
    const Vec near = d[4] - d[2], far = 2.0f * (d[3] - d[1]);
    to[0] = 4.0f * d[0] - 5.0f * d[2] + d[4];
    to[1] = even + odd;
    to[2] = even - odd;
    to[3] = near + far;
    to[4] = near - far;
    to[5] = 4.0f * d[1] - 5.0f * d[3] + d[5];
}

// A^T m of the paper.
static inline void transform_output(const Vec (&m)[4], Vec (&to)[2]) {
    to[0] = m[0] + m[1] + m[2];
    to[1] = m[1] - m[2] - m[3];
}

static inline void transform_output(const Vec (&m)[6], Vec (&to)[4]) {
    const Vec near_sum = m[1] + m[2], near_difference = m[1] - m[2];
    const Vec far_sum = m[3] + m[4], far_difference = m[3] - m[4];
    to[0] = m[0] + near_sum + far_sum;
    to[1] = near_difference + 2.0f * far_difference;
    to[2] = near_sum + 4.0f * far_sum;
    to[3] = near_difference + 8.0f * far_difference + m[5];
}

// Both sides of a tile: first along its rows, then along its columns.
template <int kFrom, int kTo, class Transform, class Load, class Store>
static inline void transform_tile(Transform transform, Load load_at, Store store_at) {
    Vec half[kFrom][kTo];
    for (int row = 0; row < kFrom; ++row) {
        Vec line[kFrom];
        for (int column = 0; column < kFrom; ++column) line[column] = load_at(row, column);
        transform(line, half[row]);
    }
    for (int column = 0; column < kTo; ++column) {
        Vec line[kFrom], turned[kTo];
        for (int row = 0; row < kFrom; ++row) line[row] = half[row][column];
        transform(line, turned);
        for (int row = 0; row < kTo; ++row) store_at(row, column, turned[row]);
    }
}

// One tile's window; point p's values go to + p * distance.
template <int kTile>
static void spread_window(const float* window, const Map& in, float* to, int64_t distance) {
    constexpr int kSide = kTile + 2;
    const auto transform = [](auto& d, auto& points) { transform_input(d, points); };
    for (int channel = 0; channel < in.channels; channel += kWidth) {
        transform_tile<kSide, kSide>(
            transform,
            [&](int row, int column) {
                const int64_t place = int64_t(row) * in.pitch + column;
                return load(window + place * in.channels + channel);
            },
            [&](int row, int column, Vec value) {
                store(to + (row * kSide + column) * distance + channel, value);
            });
    }
}

// The inverse: products of all points to a tile of outputs, of which rows x columns exist.
template <int kTile>
static void gather_outputs(const float* products, int64_t distance, int channels, float* out,
                           int64_t out_distance, int rows, int columns) {
    constexpr int kSide = kTile + 2;
    const auto transform = [](auto& m, auto& outputs) { transform_output(m, outputs); };
    for (int channel = 0; channel < channels; channel += kWidth) {
        transform_tile<kSide, kTile>(
            transform,
            [&](int row, int column) {
                return load(products + (row * kSide + column) * distance + channel);
            },
            [&](int row, int column, Vec value) {
                if (row < rows && column < columns) {
                    store(out + row * out_distance + column * channels + channel, value);
                }
            });
    }
}

// How many floats a convolution needs to put its points in.
static inline int winograd_scratch(int tile, int channels_in, int channels_out) {
    const int per_point = kTilesAtOnce * (channels_in + channels_out) + 2 * kGap;
    return (tile + 2) * (tile + 2) * per_point;
}

// A 3x3 convolution with stride 1 and padding 1. The map must hold zeros up to whole tiles.
template <int kTile, class Weight>
static void convolve_by_winograd(const Map& in, const Convolution& convolution, float* out,
                                 float* scratch) {
    constexpr int kPoints = (kTile + 2) * (kTile + 2);
    const int channels = convolution.channels;
    const int across = (in.columns + kTile - 1) / kTile;
    const int tiles = (in.rows + kTile - 1) / kTile * across;
    const auto* weights = static_cast<const Weight*>(convolution.weights);
    for (int first = 0; first < tiles; first += kTilesAtOnce) {
        const int count = std::min(kTilesAtOnce, tiles - first);
        const int64_t spread_distance = int64_t(count) * in.channels + kGap;
        const int64_t product_distance = int64_t(count) * channels + kGap;
        float* const spread = scratch;
        float* const products = scratch + kPoints * spread_distance;
        for (int i = 0; i < count; ++i) {
            const int row = (first + i) / across * kTile, column = (first + i) % across * kTile;
            spread_window<kTile>(pixel(in, row - 1, column - 1), in, spread + i * in.channels,
                                 spread_distance);
        }
        for (int point = 0; point < kPoints; ++point) {
            const float* const rows = spread + point * spread_distance;
            const auto row_of = [&](int i) { return rows + i * in.channels; };
            multiply(count, row_of, {1, 0, in.channels},
                     weights + int64_t(point) * in.channels * channels, channels,
                     products + point * product_distance);
        }
        for (int i = 0; i < count; ++i) {
            const int row = (first + i) / across * kTile, column = (first + i) % across * kTile;
            gather_outputs<kTile>(products + i * channels, product_distance, channels,
                                  out + (int64_t(row) * in.columns + column) * channels,
                                  int64_t(in.columns) * channels, std::min(kTile, in.rows - row),
                                  std::min(kTile, in.columns - column));
        }
    }
}

}  // namespace mail
