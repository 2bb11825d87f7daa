// Products of a few rows with a weight matrix that was packed once.
//
// Packed means: the outputs are cut into panels of kPanel; a panel holds, input by input, the
// weights to its kPanel outputs, contiguously: data[panel][input][kPanel]. Outputs that fill up
// the last panel have zero weights.

#pragma once

#include <algorithm>

#include "simd.hpp"

namespace mail {

constexpr int kPanel = 2 * kWidth;
// As many rows as registers hold sums for: 2 for each row, and 4 stay free.
constexpr int kTileRows = kWidth == 16 ? 12 : 6;

struct Packed {
    const float* data;
    int64_t inputs, outputs;
};

// A matrix in memory: rows lie `stride` floats apart.
struct Rows {
    float* data;
    int64_t stride;

    float* at(int64_t row) const { return data + row * stride; }
};

// to = sums, or to += sums, for `count` <= kPanel outputs.
template <bool add>
static inline void store_panel(float* to, const Vec (&sums)[2], int64_t count) {
    for (int half = 0; half < 2 && count > 0; ++half, count -= kWidth) {
        float* const here = to + half * kWidth;
        store_first(here, add ? load_first(here, count) + sums[half] : sums[half], count);
    }
}

// `panels` panels from `first` on, for `rows` rows: all sums stay in registers.
template <bool add, int rows, int panels>
static inline void multiply_tile(Rows from, const Packed& weight, int64_t first, Rows to) {
    const float* const data = weight.data + first * weight.inputs * kPanel;
    Vec sums[rows][panels][2] = {};
    for (int64_t k = 0; k < weight.inputs; ++k) {
        for (int panel = 0; panel < panels; ++panel) {
            const float* const column = data + (panel * weight.inputs + k) * kPanel;
            const Vec left = load(column), right = load(column + kWidth);
            for (int row = 0; row < rows; ++row) {
                const Vec value = splat(from.at(row)[k]);
                sums[row][panel][0] += value * left;
                sums[row][panel][1] += value * right;
            }
        }
    }
    for (int panel = 0; panel < panels; ++panel) {
        const int64_t column = (first + panel) * kPanel;
        for (int row = 0; row < rows; ++row)
            store_panel<add>(to.at(row) + column, sums[row][panel], weight.outputs - column);
    }
}

// Finds the tile that was compiled for this number of rows, 1 to `most`.
template <bool add, int most>
static inline void multiply_rows(Rows from, int64_t rows, const Packed& weight, int64_t panel,
                                 Rows to) {
    if constexpr (most > 1) {
        if (rows < most) return multiply_rows<add, most - 1>(from, rows, weight, panel, to);
    }
    multiply_tile<add, most, 1>(from, weight, panel, to);
}

// One row: several panels at once, since the sums of one alone wait for each other.
template <bool add>
static inline void multiply_vector(Rows from, const Packed& weight, int64_t panels, Rows to) {
    int64_t panel = 0;
    for (; panel + 4 <= panels; panel += 4) multiply_tile<add, 1, 4>(from, weight, panel, to);
    for (; panel < panels; ++panel) multiply_tile<add, 1, 1>(from, weight, panel, to);
}

// to (rows, outputs) = from (rows, inputs) times the weight, or added to what is there.
template <bool add>
static inline void multiply(Rows from, int64_t rows, const Packed& weight, Rows to) {
    const int64_t panels = (weight.outputs + kPanel - 1) / kPanel;
    if (rows == 1) return multiply_vector<add>(from, weight, panels, to);
    const int64_t tiles = (rows + kTileRows - 1) / kTileRows;
    for (int64_t panel = 0; panel < panels; ++panel) {
        for (int64_t tile = 0; tile < tiles; ++tile) {  // of equal heights, as far as possible
            const int64_t begin = tile * rows / tiles, end = (tile + 1) * rows / tiles;
            multiply_rows<add, kTileRows>({from.at(begin), from.stride}, end - begin, weight,
                                          panel, {to.at(begin), to.stride});
        }
    }
}

}  // namespace mail
