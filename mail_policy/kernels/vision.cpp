// models/vision.py's ImageEncoder for one picture: its layers in order, and nothing between them.

#include <algorithm>
#include <cstdint>

#include "conv.hpp"
#include "maps.hpp"
#include "norm.hpp"

namespace {

using namespace mail;

// vision.py mirrors both structures.
struct Block {
    Convolution first, second, shortcut;  // shortcut.channels is 0 where there is none
    Map inner, outer;                     // an outer map may be the block's input
};

struct Encoder {
    const float* pixel_values;  // (3, 256): what each byte of each colour means
    Map picture;
    Convolution stem;
    Map pooled;
    const Block* blocks;
    Convolution keypoints;  // 1x1, with bias and without norm
    const float *xs, *ys;   // of the last map's columns and rows, -1 to 1
    Convolution read_out;   // of x of all keypoints, then y of all keypoints
    float *values, *shortcut_values, *scratch;
    float *scales, *shifts;  // (3, most channels): of branch, shortcut, and the identity 1, 0
    int32_t block_count, feature_size, most_channels;
};

void read_picture(const Encoder& encoder, const uint8_t* bytes) {
    const Map& picture = encoder.picture;
    for (int row = 0; row < picture.rows; ++row) {
        float* to = pixel(picture, row, 0);
        for (int i = 0; i < picture.columns; ++i, bytes += 3, to += 3) {
            to[0] = encoder.pixel_values[bytes[0]];
            to[1] = encoder.pixel_values[256 + bytes[1]];
            to[2] = encoder.pixel_values[512 + bytes[2]];
        }
    }
}

// Convolution and statistics. which: 0 or 1, which of the encoder's scales and shifts to use.
Branch branch_of(const Encoder& encoder, const Map& in, const Convolution& convolution,
                 float* values, int which) {
    convolve(in, convolution, values, encoder.scratch);
    const int rows = reduced(in.rows, convolution.stride);
    const int columns = reduced(in.columns, convolution.stride);
    float* const scale = encoder.scales + which * encoder.most_channels;
    float* const shift = encoder.shifts + which * encoder.most_channels;
    measure(values, rows * columns, convolution, scale, shift);
    return {values, int64_t(columns) * convolution.channels, scale, shift};
}

Branch identity(const Encoder& encoder, const Map& in) {
    return {pixel(in, 0, 0), int64_t(in.pitch) * in.channels,
            encoder.scales + 2 * encoder.most_channels,
            encoder.shifts + 2 * encoder.most_channels};
}

void run_block(const Encoder& encoder, const Block& block, const Map& in) {
    combine<false>(branch_of(encoder, in, block.first, encoder.values, 0), {}, block.inner);
    const Branch branch = branch_of(encoder, block.inner, block.second, encoder.values, 0);
    const Branch shortcut =
        block.shortcut.channels
            ? branch_of(encoder, in, block.shortcut, encoder.shortcut_values, 1)
            : identity(encoder, in);
    combine<true>(branch, shortcut, block.outer);
}

// Where kWidth maps of scores are on average, when each is read as a probability of place.
void find_keypoints(const Encoder& encoder, const Map& in, const float* scores, Vec bias, Vec& x,
                    Vec& y) {
    const int step = encoder.keypoints.channels, pixels = in.rows * in.columns;
    Vec highest = load(scores) + bias;
    for (int i = 1; i < pixels; ++i) highest = at_least(load(scores + i * step) + bias, highest);
    Vec total = {}, x_total = {}, y_total = {};
    for (int i = 0; i < pixels; ++i) {
        const Vec weight = exp(load(scores + i * step) + bias - highest);
        total += weight;
        x_total += weight * encoder.xs[i % in.columns];
        y_total += weight * encoder.ys[i / in.columns];
    }
    x = x_total / total;
    y = y_total / total;
}

void read_maps(const Encoder& encoder, const Map& in, float* feature) {
    const Convolution& keypoints = encoder.keypoints;
    const Convolution& read_out = encoder.read_out;
    float* const scores = encoder.values;
    float* const points = encoder.shortcut_values;  // x (keypoints,), y (keypoints,)
    convolve(in, keypoints, scores, encoder.scratch);
    for (int i = 0; i < keypoints.channels; i += kWidth) {
        Vec x, y;
        find_keypoints(encoder, in, scores + i, load(keypoints.bias + i), x, y);
        store(points + i, x);
        store(points + keypoints.channels + i, y);
    }
    const Map row = {points, 1, 1, 2 * keypoints.channels, 0, 1};
    convolve(row, read_out, encoder.values, encoder.scratch);
    for (int i = 0; i < encoder.feature_size; ++i) {
        feature[i] = encoder.values[i] + read_out.bias[i];
    }
}

}  // namespace

extern "C" {

// For vision.py to pack weights and to make scratch with.
int mail_vision_panel_columns() { return kPanelColumns; }
int mail_vision_scratch_size(int tile, int channels_in, int channels_out) {
    return winograd_scratch(tile, channels_in, channels_out);
}

// bytes (rows, columns, 3) of the encoder's picture size; feature (feature_size,).
void mail_vision_encode(const Encoder* encoder, const uint8_t* bytes, float* feature) {
    read_picture(*encoder, bytes);
    const Branch stem = branch_of(*encoder, encoder->picture, encoder->stem, encoder->values, 0);
    pool(stem, reduced(encoder->picture.rows, 2), reduced(encoder->picture.columns, 2),
         encoder->pooled);
    const Map* maps = &encoder->pooled;
    for (int i = 0; i < encoder->block_count; ++i) {
        run_block(*encoder, encoder->blocks[i], *maps);
        maps = &encoder->blocks[i].outer;
    }
    read_maps(*encoder, *maps, feature);
}

}  // extern "C"
