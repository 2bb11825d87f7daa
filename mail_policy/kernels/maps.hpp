// What the image encoder's kernels work on. vision.py mirrors the structures.

#pragma once

#include <cstdint>

namespace mail {

// A picture or feature map with its channels innermost, inside a border of zeros.
struct Map {
    float* values;
    int32_t rows, columns, channels;  // without the border
    int32_t border;                   // above and to the left [pixels]
    int32_t pitch;                    // from one row to the next [pixels]
};

// A convolution without bias, and the group norm that follows it.
struct Convolution {
    const void* weights;  // packed in panels, floats or halves; transformed for Winograd
    const float* gain;    // (channels,)
    const float* bias;    // (channels,)
    int32_t channels;     // of its output
    int32_t kernel, stride;
    int32_t tile;  // of outputs per side that Winograd computes together; 1 without Winograd
    int32_t half;  // whether weights are halves
};

// Down to (-border, -border).
static inline float* pixel(const Map& map, int row, int column) {
    const int64_t place = int64_t(row + map.border) * map.pitch + column + map.border;
    return map.values + place * map.channels;
}

// How long a side is after a convolution, or a pool, that is padded by half its kernel.
static inline int reduced(int side, int stride) { return (side - 1) / stride + 1; }

}  // namespace mail
