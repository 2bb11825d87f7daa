// A whole stack of Mamba layers in one call, for serving.
//
// The twin in Python is `mail_policy.models.stacks.Stack`; `fused_stack.py` packs the weights and
// checks all shapes. Letters: L rows of a sequence, D token width, E inner width, N numbers of
// state, K taps, R rank of the step size.
//
// Rows are taken in blocks that stay in the cache from the first product to the last. Inside,
// E and R + 2N are rounded up to whole panels: weights are zero there, so no loop needs a tail.

#include "gemm.hpp"

#include <cmath>

using namespace mail;

namespace {

constexpr int64_t kBlockRows = 64;
// Rows that lie a power of two apart would share few lines of the cache.
constexpr int64_t kStagger = 16;
constexpr float kNormEpsilon = 1e-5f;

int64_t round_up(int64_t count, int64_t step) { return (count + step - 1) / step * step; }

}  // namespace

extern "C" {

struct Layer {
    const float *norm_weight, *norm_bias;  // (D,)
    const float *in_x, *in_gate;           // packed, D -> E
    const float *conv_weight, *conv_bias;  // (K, E) and (E,)
    const float* x_proj;                   // packed, E -> R + 2N
    const float *dt_weight, *dt_bias;      // packed, R -> E, and (E,)
    const float* rates;                    // A / ln 2, (E / kPanel, N, kPanel)
    const float* direct;                   // (E,)
    const float* out_proj;                 // packed, E -> D
};

struct Stack {
    int64_t layers, width, inner, states, taps, rank;
    const Layer* layer;
    const float *norm_weight, *norm_bias;  // (D,)
    float* scratch;
};

struct Call {
    int64_t batch, length;
    float* tokens;                       // (B, L, D), overwritten by the output
    const float* memory;                 // (B, L, D), may be null
    const float *conv_before, *ssm_before;  // (layers, B, E, K) and (layers, B, E, N), may be null
    float *conv_after, *ssm_after;
};
}

namespace {

// The parts of the scratch memory.
struct Scratch {
    int64_t inner, coefficients;  // E and R + 2N, rounded up
    Rows normed;                  // (block, D)
    Rows x;                       // (K + block, E), the first K rows from the block before
    Rows active;                  // (block, E), x after convolution and SiLU
    Rows gate;                    // (block, E)
    Rows delta;                   // (block, E), later the output of the scan
    Rows projected;               // (block, R + 2N)
    float* h;                     // (E / kPanel, N, kPanel)
    int64_t size;

    explicit Scratch(const Stack& stack)
        : inner(round_up(stack.inner, kPanel)),
          coefficients(round_up(stack.rank + 2 * stack.states, kPanel)),
          size(0) {
        float* const start = stack.scratch;
        const auto take = [&](int64_t rows, int64_t columns) {
            const Rows part{start + size, columns + kStagger};
            size += rows * part.stride;
            return part;
        };
        normed = take(kBlockRows, round_up(stack.width, kPanel));
        x = take(stack.taps + kBlockRows, inner);
        active = take(kBlockRows, inner);
        gate = take(kBlockRows, inner);
        delta = take(kBlockRows, inner);
        projected = take(kBlockRows, coefficients);
        h = take(stack.states, inner).data;
    }
};

void layer_norm(const float* from, int64_t width, const float* weight, const float* bias,
                float* to) {
    Vec total{}, squares{};
    for (int64_t i = 0; i < width; i += kWidth) total += load_first(from + i, width - i);
    const float mean = sum(total) / width;
    for (int64_t i = 0; i < width; i += kWidth) {
        const int64_t count = width - i;
        const Vec offset = load_first(from + i, count) - mean;
        // Lanes behind the end hold -mean, which is no part of the variance.
        squares += count >= kWidth ? offset * offset : Vec{};
        for (int64_t lane = 0; count < kWidth && lane < count; ++lane)
            squares[lane] += offset[lane] * offset[lane];
    }
    const float scale = 1.0f / std::sqrt(sum(squares) / width + kNormEpsilon);
    for (int64_t i = 0; i < width; i += kWidth) {
        const int64_t count = width - i;
        const Vec offset = load_first(from + i, count) - mean;
        const Vec scaled = offset * scale * load_first(weight + i, count);
        store_first(to + i, scaled + load_first(bias + i, count), count);
    }
}

// Reads (E, columns) into `columns` rows of E, or zeros if there is nothing to read.
void read_transposed(const float* from, int64_t inner, int64_t columns, Rows to) {
    for (int64_t column = 0; column < columns; ++column) {
        float* const row = to.at(column);
        for (int64_t e = 0; e < inner; ++e) row[e] = from ? from[e * columns + column] : 0.0f;
    }
}

void write_transposed(Rows from, int64_t inner, int64_t columns, float* to) {
    for (int64_t e = 0; e < inner; ++e)
        for (int64_t column = 0; column < columns; ++column)
            to[e * columns + column] = from.at(column)[e];
}

void convolve(const Stack& stack, const Layer& layer, const Scratch& scratch, int64_t rows) {
    for (int64_t row = 0; row < rows; ++row) {
        for (int64_t e = 0; e < scratch.inner; e += kWidth) {
            Vec total = load(layer.conv_bias + e);
            for (int64_t tap = 0; tap < stack.taps; ++tap) {
                const Vec weight = load(layer.conv_weight + tap * scratch.inner + e);
                total += weight * load(scratch.x.at(row + 1 + tap) + e);
            }
            store(scratch.active.at(row) + e, silu(total));
        }
    }
}

void find_step_sizes(const Layer& layer, const Scratch& scratch, int64_t rows) {
    for (int64_t row = 0; row < rows; ++row) {
        float* const delta = scratch.delta.at(row);
        for (int64_t e = 0; e < scratch.inner; e += kWidth)
            store(delta + e, softplus(load(delta + e) + load(layer.dt_bias + e)));
    }
}

// The recurrence for a panel of channels; see mail_policy.models.scan.
template <int fixed_states>
void scan_channels(const Stack& stack, const Layer& layer, const Scratch& scratch, int64_t e,
                   int64_t rows) {
    const int64_t states = fixed_states ? fixed_states : stack.states;
    const float* const rates = layer.rates + e * states;
    float* const h = scratch.h + e * states;
    for (int64_t row = 0; row < rows; ++row) {
        const float* const b = scratch.projected.at(row) + stack.rank;
        const float* const c = b + states;
        Vec delta[2], delta_x[2], y[2];
        for (int half = 0; half < 2; ++half) {
            const int64_t at = e + half * kWidth;
            const Vec x = load(scratch.active.at(row) + at);
            delta[half] = load(scratch.delta.at(row) + at);
            delta_x[half] = delta[half] * x;
            y[half] = load(layer.direct + at) * x;
        }
#pragma GCC unroll 2
        for (int64_t n = 0; n < states; ++n) {
            for (int half = 0; half < 2; ++half) {
                const int64_t at = n * kPanel + half * kWidth;
                const Vec decay = exp2(delta[half] * load(rates + at));
                const Vec new_h = decay * load(h + at) + delta_x[half] * b[n];
                store(h + at, new_h);
                y[half] += new_h * c[n];
            }
        }
        for (int half = 0; half < 2; ++half)
            store(scratch.delta.at(row) + e + half * kWidth, y[half]);
    }
}

void scan(const Stack& stack, const Layer& layer, const Scratch& scratch, int64_t rows) {
    const auto channels = stack.states == 16  ? scan_channels<16>
                          : stack.states == 8 ? scan_channels<8>
                                              : scan_channels<0>;
    for (int64_t e = 0; e < scratch.inner; e += kPanel) channels(stack, layer, scratch, e, rows);
}

void close_gate(const Scratch& scratch, int64_t rows) {
    for (int64_t row = 0; row < rows; ++row) {
        float* const y = scratch.delta.at(row);
        for (int64_t e = 0; e < scratch.inner; e += kWidth)
            store(y + e, load(y + e) * silu(load(scratch.gate.at(row) + e)));
    }
}

// Adds to a block of tokens what the layer makes of them.
void run_block(const Stack& stack, const Layer& layer, const Scratch& scratch, float* tokens,
               const float* memory, int64_t rows) {
    const int64_t width = stack.width, inner = stack.inner, padded = scratch.inner;
    for (int64_t row = 0; row < rows; ++row)
        layer_norm(tokens + row * width, width, layer.norm_weight, layer.norm_bias,
                   scratch.normed.at(row));
    const Rows new_x{scratch.x.at(stack.taps), scratch.x.stride};
    multiply<false>(scratch.normed, rows, {layer.in_x, width, padded}, new_x);
    multiply<false>(scratch.normed, rows, {layer.in_gate, width, padded}, scratch.gate);
    convolve(stack, layer, scratch, rows);
    std::memmove(scratch.x.data, scratch.x.at(rows),
                 stack.taps * scratch.x.stride * sizeof(float));
    multiply<false>(scratch.active, rows, {layer.x_proj, inner, scratch.coefficients},
                    scratch.projected);
    multiply<false>(scratch.projected, rows, {layer.dt_weight, stack.rank, padded},
                    scratch.delta);
    find_step_sizes(layer, scratch, rows);
    scan(stack, layer, scratch, rows);
    close_gate(scratch, rows);
    multiply<true>(scratch.delta, rows, {layer.out_proj, inner, width}, {tokens, width});
    for (int64_t i = 0; memory && i < rows * width; ++i) tokens[i] += memory[i];
}

// The state of the recurrence is kept in panels of channels, each (N, kPanel).
void read_state(const Stack& stack, const float* from, float* h) {
    const int64_t states = stack.states;
    for (int64_t e = 0; e < stack.inner; e += kPanel)
        read_transposed(from ? from + e * states : nullptr,
                        std::min<int64_t>(stack.inner - e, kPanel), states,
                        {h + e * states, kPanel});
}

void write_state(const Stack& stack, float* h, float* to) {
    const int64_t states = stack.states;
    for (int64_t e = 0; e < stack.inner; e += kPanel)
        write_transposed({h + e * states, kPanel}, std::min<int64_t>(stack.inner - e, kPanel),
                         states, to + e * states);
}

void run_sequence(const Stack& stack, const Call& call, const Scratch& scratch, int64_t number,
                  int64_t sequence) {
    const int64_t taps = stack.taps, row = number * call.batch + sequence;
    const int64_t conv_at = row * stack.inner * taps, ssm_at = row * stack.inner * stack.states;
    read_transposed(call.conv_before ? call.conv_before + conv_at : nullptr, stack.inner, taps,
                    scratch.x);
    read_state(stack, call.ssm_before ? call.ssm_before + ssm_at : nullptr, scratch.h);
    for (int64_t begin = 0; begin < call.length; begin += kBlockRows) {
        const int64_t at = (sequence * call.length + begin) * stack.width;
        run_block(stack, stack.layer[number], scratch, call.tokens + at,
                  call.memory ? call.memory + at : nullptr,
                  std::min(kBlockRows, call.length - begin));
    }
    write_transposed(scratch.x, stack.inner, taps, call.conv_after + conv_at);
    write_state(stack, scratch.h, call.ssm_after + ssm_at);
}

}  // namespace

extern "C" {

// Outputs of one panel of packed weights.
int64_t mail_stack_panel() { return kPanel; }

// Floats that `stack.scratch` must hold.
int64_t mail_stack_scratch(const Stack* stack) { return Scratch(*stack).size; }

void mail_stack_run(const Stack* stack, const Call* call) {
    const Scratch scratch(*stack);
    // A layer's weights stay in the cache for the whole batch.
    for (int64_t layer = 0; layer < stack->layers; ++layer)
        for (int64_t sequence = 0; sequence < call->batch; ++sequence)
            run_sequence(*stack, *call, scratch, layer, sequence);
    for (int64_t row = 0; row < call->batch * call->length; ++row) {
        float* const token = call->tokens + row * stack->width;
        layer_norm(token, stack->width, stack->norm_weight, stack->norm_bias, token);
    }
}
}
