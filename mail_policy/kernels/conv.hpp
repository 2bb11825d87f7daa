// Convolutions of maps that have their channels innermost and a border of zeros.

#pragma once

#include "panels.hpp"
#include "winograd.hpp"

namespace mail {

// out (rows * columns, channels_out): one row of weights' products per window.
template <class Weight>
static void convolve_directly(const Map& in, const Convolution& convolution, float* out) {
    const int stride = convolution.stride, padding = convolution.kernel / 2;
    const int columns = reduced(in.columns, stride);
    const auto window = [&](int i) {
        return pixel(in, i / columns * stride - padding, i % columns * stride - padding);
    };
    const Segments segments = {convolution.kernel, int64_t(in.pitch) * in.channels,
                               convolution.kernel * in.channels};
    multiply(reduced(in.rows, stride) * columns, window, segments,
             static_cast<const Weight*>(convolution.weights), convolution.channels, out);
}

template <class Weight>
static void convolve_as(const Map& in, const Convolution& convolution, float* out,
                        float* scratch) {
    if (convolution.tile == 4) {
        convolve_by_winograd<4, Weight>(in, convolution, out, scratch);
    } else if (convolution.tile == 2) {
        convolve_by_winograd<2, Weight>(in, convolution, out, scratch);
    } else {
        convolve_directly<Weight>(in, convolution, out);
    }
}

// Without bias; padded by half the kernel. out has no border.
static void convolve(const Map& in, const Convolution& convolution, float* out, float* scratch) {
    if (convolution.half) {
        convolve_as<Half>(in, convolution, out, scratch);
    } else {
        convolve_as<float>(in, convolution, out, scratch);
    }
}

}  // namespace mail
