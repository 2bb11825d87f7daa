// The causal convolution of a Mamba layer, one filter per channel, and the SiLU after it, for
// training. The twin in Python is `mail_policy.models.mamba.DepthwiseConv`.
//
// Letters: B batch, L steps, E channels, K taps.

#include "lanes.hpp"

#include <vector>

using namespace mail;

extern "C" {

struct ConvForward {
    int64_t batch, length, inner, taps;
    const void* x;       // (B, L, E)
    const void* weight;  // oldest tap first, (K, E)
    const void* bias;    // (E,)
    const void* before;  // the K - 1 inputs before x, oldest first, (B, K - 1, E)
    void* y;             // (B, L, E)
};

struct ConvBackward {
    const void* grad_y;
    void *grad_x, *grad_weight, *grad_bias, *grad_before;
};
}

namespace {

template <class Scalar>
class Conv {
    using Channels = Pair<Scalar>;
    using Vector = typename Channels::Vector;

   public:
    explicit Conv(const ConvForward& conv)
        : length_(conv.length), inner_(conv.inner), taps_(conv.taps), conv_(conv), weight_(taps_) {}

    void forward() {
        for (int64_t e = 0; e < inner_; e += Channels::width) {
            select(e);
            for (int64_t sequence = 0; sequence < conv_.batch; ++sequence) {
                for (int64_t t = 0; t < length_; ++t) {
                    Channels y = convolve(sequence, t);
                    for (Vector& half : y.half) half = half * sigmoid(half);
                    y.store(out(conv_.y) + (sequence * length_ + t) * inner_ + e, count_);
                }
            }
        }
    }

    void backward(const ConvBackward& grad) {
        for (int64_t e = 0; e < inner_; e += Channels::width) {
            select(e);
            grad_bias_ = Channels{};
            grad_weight_.assign(taps_, Channels{});
            grad_sum_.assign(length_ + taps_ - 1, Channels{});
            for (int64_t sequence = 0; sequence < conv_.batch; ++sequence)
                backward_sequence(grad, sequence);
            grad_bias_.store(out(grad.grad_bias) + e, count_);
            for (int64_t tap = 0; tap < taps_; ++tap)
                grad_weight_[tap].store(out(grad.grad_weight) + tap * inner_ + e, count_);
        }
    }

   private:
    static const Scalar* in(const void* data) { return static_cast<const Scalar*>(data); }
    static Scalar* out(void* data) { return static_cast<Scalar*>(data); }

    // Turns to the channels from e on.
    void select(int64_t e) {
        e_ = e;
        count_ = inner_ - e;
        bias_ = Channels::load(in(conv_.bias) + e, count_);
        for (int64_t tap = 0; tap < taps_; ++tap)
            weight_[tap] = Channels::load(in(conv_.weight) + tap * inner_ + e, count_);
    }

    // The input at step t >= 1 - K.
    Channels input(int64_t sequence, int64_t t) const {
        const Scalar* const row =
            t >= 0 ? in(conv_.x) + (sequence * length_ + t) * inner_
                   : in(conv_.before) + (sequence * (taps_ - 1) + taps_ - 1 + t) * inner_;
        return Channels::load(row + e_, count_);
    }

    Channels convolve(int64_t sequence, int64_t t) const {
        Channels total = bias_;
        for (int64_t tap = 0; tap < taps_; ++tap) {
            const Channels x = input(sequence, t - taps_ + 1 + tap);
            for (int i = 0; i < 2; ++i) total.half[i] += weight_[tap].half[i] * x.half[i];
        }
        return total;
    }

    void backward_sequence(const ConvBackward& grad, int64_t sequence) {
        for (int64_t t = 0; t < length_; ++t) {
            const int64_t at = (sequence * length_ + t) * inner_ + e_;
            const Channels grad_y = Channels::load(in(grad.grad_y) + at, count_);
            const Channels total = convolve(sequence, t);
            Channels& grad_sum = grad_sum_[t];
            for (int i = 0; i < 2; ++i) {
                const Vector open = sigmoid(total.half[i]);
                grad_sum.half[i] = grad_y.half[i] * open * (1 + total.half[i] * (1 - open));
                grad_bias_.half[i] += grad_sum.half[i];
            }
            for (int64_t tap = 0; tap < taps_; ++tap) {
                const Channels x = input(sequence, t - taps_ + 1 + tap);
                for (int i = 0; i < 2; ++i)
                    grad_weight_[tap].half[i] += grad_sum.half[i] * x.half[i];
            }
        }
        for (int64_t t = 0; t < length_; ++t)
            grad_input(t).store(out(grad.grad_x) + (sequence * length_ + t) * inner_ + e_, count_);
        for (int64_t t = 1 - taps_; t < 0; ++t) {
            const int64_t row = sequence * (taps_ - 1) + taps_ - 1 + t;
            grad_input(t).store(out(grad.grad_before) + row * inner_ + e_, count_);
        }
    }

    // Of the input at step t, which the sums at t to t + K - 1 used. Behind the end lie zeros.
    Channels grad_input(int64_t t) const {
        Channels total{};
        for (int64_t later = std::max<int64_t>(-t, 0); later < taps_; ++later)
            for (int i = 0; i < 2; ++i)
                total.half[i] += weight_[taps_ - 1 - later].half[i] * grad_sum_[t + later].half[i];
        return total;
    }

    const int64_t length_, inner_, taps_;
    const ConvForward& conv_;
    int64_t e_ = 0, count_ = 0;
    Channels bias_, grad_bias_;
    std::vector<Channels> weight_, grad_weight_;
    std::vector<Channels> grad_sum_;  // gradients before the SiLU, (L + K - 1)
};

}  // namespace

extern "C" {

void mail_conv_forward_float(const ConvForward* conv) { Conv<float>(*conv).forward(); }
void mail_conv_forward_double(const ConvForward* conv) { Conv<double>(*conv).forward(); }

void mail_conv_backward_float(const ConvForward* conv, const ConvBackward* grad) {
    Conv<float>(*conv).backward(*grad);
}
void mail_conv_backward_double(const ConvForward* conv, const ConvBackward* grad) {
    Conv<double>(*conv).backward(*grad);
}
}
