// Group norm, and what follows it: shortcut, ReLU, pool.

#pragma once

#include <algorithm>
#include <cmath>

#include "maps.hpp"
#include "simd.hpp"

namespace mail {

constexpr int kChannelsPerGroup = 16;  // models/vision.py

// A convolution's output and the norm to apply to it: value * scale + shift.
struct Branch {
    const float* values;   // (rows, columns, channels)
    int64_t distance;      // from one row to the next [floats]
    const float *scale, *shift;  // (channels,)
};

static inline Vec group_sum(const float* from, int pixels, int channels, float mean, bool square) {
    Vec totals[kChannelsPerGroup / kWidth] = {};
    for (int i = 0; i < pixels; ++i, from += channels) {
        for (int j = 0; j < kChannelsPerGroup / kWidth; ++j) {
            const Vec difference = load(from + j * kWidth) - mean;
            totals[j] += square ? difference * difference : difference;
        }
    }
    Vec total = {};
    for (Vec part : totals) total += part;
    return total;
}

// scale and shift (channels,) that normalise values (pixels, channels).
static void measure(const float* values, int pixels, const Convolution& convolution, float* scale,
                    float* shift) {
    const int channels = convolution.channels;
    const float count = float(pixels) * kChannelsPerGroup;
    for (int first = 0; first < channels; first += kChannelsPerGroup) {
        const float mean = sum(group_sum(values + first, pixels, channels, 0.0f, false)) / count;
        const float variance =
            sum(group_sum(values + first, pixels, channels, mean, true)) / count;
        const float factor = 1.0f / std::sqrt(variance + 1e-5f);
        for (int i = first; i < first + kChannelsPerGroup; ++i) {
            scale[i] = convolution.gain[i] * factor;
            shift[i] = convolution.bias[i] - mean * scale[i];
        }
    }
}

static inline Vec normalised(const Branch& branch, int64_t place, int channel) {
    return load(branch.values + place + channel) * load(branch.scale + channel) +
           load(branch.shift + channel);
}

// out = ReLU(branch + shortcut); the shortcut may be out itself.
template <bool kShortcut>
static void combine(const Branch& branch, const Branch& shortcut, const Map& out) {
    for (int row = 0; row < out.rows; ++row) {
        float* to = pixel(out, row, 0);
        for (int column = 0; column < out.columns; ++column, to += out.channels) {
            const int64_t across = int64_t(column) * out.channels;
            for (int channel = 0; channel < out.channels; channel += kWidth) {
                Vec value = normalised(branch, row * branch.distance + across, channel);
                if (kShortcut) {
                    value += normalised(shortcut, row * shortcut.distance + across, channel);
                }
                store(to + channel, at_least(value, Vec{}));
            }
        }
    }
}

// out = the largest of ReLU(branch (rows, columns, channels)) in 3x3 windows with stride 2.
static void pool(const Branch& branch, int rows, int columns, const Map& out) {
    for (int row = 0; row < out.rows; ++row) {
        for (int column = 0; column < out.columns; ++column) {
            const int top = std::max(2 * row - 1, 0), bottom = std::min(2 * row + 1, rows - 1);
            const int left = std::max(2 * column - 1, 0);
            const int right = std::min(2 * column + 1, columns - 1);
            float* const to = pixel(out, row, column);
            for (int channel = 0; channel < out.channels; channel += kWidth) {
                Vec best = {};
                for (int y = top; y <= bottom; ++y) {
                    for (int x = left; x <= right; ++x) {
                        const int64_t place = y * branch.distance + int64_t(x) * out.channels;
                        best = at_least(normalised(branch, place, channel), best);
                    }
                }
                store(to + channel, best);
            }
        }
    }
}

}  // namespace mail
