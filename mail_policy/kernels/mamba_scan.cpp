// The selective scan for training: forward, and backward from states kept at every kInterval-th
// step. The twin in Python, with the formulas, is `mail_policy.models.scan`.
//
// Letters: B batch, L steps, E channels, N numbers of state. Channels are taken in pairs of
// vectors; inside, what belongs to a pair is (N, pair).

#include "lanes.hpp"

#include <vector>

using namespace mail;

namespace {

// Long intervals save memory, short ones keep what is recomputed in the first cache.
constexpr int64_t kInterval = 8;
constexpr double kLn2 = 0.69314718055994530942;

}  // namespace

extern "C" {

struct ScanForward {
    int64_t batch, length, inner, states;
    const void *x, *delta;  // (B, L, E)
    const void* rates;      // A / ln 2, (N, E)
    const void *b, *c;      // (B, L, N)
    const void* d;          // (E,)
    const void* state;      // (B, E, N)
    void* y;                // (B, L, E)
    void* last;             // (B, E, N)
    void* checkpoints;      // (B, ceil(L / kInterval), N, E), may be null
};

struct ScanBackward {
    const void *grad_y, *grad_last;
    void *grad_x, *grad_delta;
    void* grad_a;  // (N, E)
    void *grad_b, *grad_c;
    void* grad_d;  // (E,)
    void* grad_state;
};
}

namespace {

// Reads (channels, N) as (N, pair), with zeros for channels that are missing.
template <class Scalar>
void read_state(const Scalar* from, int64_t states, int64_t channels, Pair<Scalar>* to) {
    constexpr int lanes = Lanes<Scalar>::width;
    for (int64_t n = 0; n < states; ++n) {
        Scalar row[2 * lanes] = {};
        const int64_t present = std::min<int64_t>(channels, 2 * lanes);
        for (int64_t e = 0; e < present; ++e) row[e] = from[e * states + n];
        to[n] = Pair<Scalar>::load(row, 2 * lanes);
    }
}

template <class Scalar>
void write_state(const Pair<Scalar>* from, int64_t states, int64_t channels, Scalar* to) {
    constexpr int lanes = Lanes<Scalar>::width;
    for (int64_t n = 0; n < states; ++n) {
        Scalar row[2 * lanes];
        from[n].store(row, 2 * lanes);
        const int64_t present = std::min<int64_t>(channels, 2 * lanes);
        for (int64_t e = 0; e < present; ++e) to[e * states + n] = row[e];
    }
}

template <class Scalar>
class Scan {
    using Channels = Pair<Scalar>;
    using Vector = typename Channels::Vector;

   public:
    explicit Scan(const ScanForward& scan)
        : batch_(scan.batch),
          length_(scan.length),
          inner_(scan.inner),
          states_(scan.states),
          blocks_((scan.length + kInterval - 1) / kInterval),
          pairs_((scan.inner + Channels::width - 1) / Channels::width),
          scan_(scan),
          h_(states_),
          rates_(states_ * pairs_) {
        for (int64_t pair = 0; pair < pairs_; ++pair) {
            const int64_t e = pair * Channels::width;
            const Scalar* const rates = in(scan.rates) + e;
            for (int64_t n = 0; n < states_; ++n)
                rates_[pair * states_ + n] = Channels::load(rates + n * inner_, inner_ - e);
        }
    }

    void forward() {
        for (int64_t sequence = 0; sequence < batch_; ++sequence)
            for (int64_t pair = 0; pair < pairs_; ++pair) forward_pair(sequence, pair);
    }

    void backward(const ScanBackward& grad) {
        kept_h_.resize((kInterval + 1) * states_);
        kept_decay_.resize(kInterval * states_);
        grad_h_.resize(pairs_ * states_);
        grad_a_.assign(pairs_ * states_, Channels{});
        grad_d_.assign(pairs_, Channels{});
        for (int64_t sequence = 0; sequence < batch_; ++sequence) backward_sequence(grad, sequence);
        for (int64_t pair = 0; pair < pairs_; ++pair) {
            const int64_t e = pair * Channels::width;
            grad_d_[pair].store(out(grad.grad_d) + e, inner_ - e);
            for (int64_t n = 0; n < states_; ++n)
                grad_a_[pair * states_ + n].store(out(grad.grad_a) + n * inner_ + e, inner_ - e);
        }
    }

   private:
    static const Scalar* in(const void* data) { return static_cast<const Scalar*>(data); }
    static Scalar* out(void* data) { return static_cast<Scalar*>(data); }

    Scalar* checkpoint(int64_t sequence, int64_t block) const {
        return out(scan_.checkpoints) + (sequence * blocks_ + block) * states_ * inner_;
    }

    void forward_pair(int64_t sequence, int64_t pair) {
        const int64_t e = pair * Channels::width, count = inner_ - e;
        const int64_t state_at = (sequence * inner_ + e) * states_;
        const Channels direct = Channels::load(in(scan_.d) + e, count);
        const Channels* const rates = &rates_[pair * states_];
        read_state(in(scan_.state) + state_at, states_, count, h_.data());
        for (int64_t t = 0; t < length_; ++t) {
            if (scan_.checkpoints && t % kInterval == 0) {
                Scalar* const to = checkpoint(sequence, t / kInterval) + e;
                for (int64_t n = 0; n < states_; ++n) h_[n].store(to + n * inner_, count);
            }
            const int64_t row = sequence * length_ + t, at = row * inner_ + e;
            const Scalar* const b = in(scan_.b) + row * states_;
            const Scalar* const c = in(scan_.c) + row * states_;
            const Channels x = Channels::load(in(scan_.x) + at, count);
            const Channels delta = Channels::load(in(scan_.delta) + at, count);
            Channels delta_x, y;
            for (int i = 0; i < 2; ++i) {
                delta_x.half[i] = delta.half[i] * x.half[i];
                y.half[i] = direct.half[i] * x.half[i];
            }
            for (int64_t n = 0; n < states_; ++n) {
                for (int i = 0; i < 2; ++i) {
                    Vector& h = h_[n].half[i];
                    h = exp2(delta.half[i] * rates[n].half[i]) * h + delta_x.half[i] * b[n];
                    y.half[i] += h * c[n];
                }
            }
            y.store(out(scan_.y) + at, count);
        }
        write_state(h_.data(), states_, count, out(scan_.last) + state_at);
    }

    void backward_sequence(const ScanBackward& grad, int64_t sequence) {
        const auto state_at = [&](int64_t pair) {
            return (sequence * inner_ + pair * Channels::width) * states_;
        };
        for (int64_t pair = 0; pair < pairs_; ++pair)
            read_state(in(grad.grad_last) + state_at(pair), states_,
                       inner_ - pair * Channels::width, &grad_h_[pair * states_]);
        for (int64_t block = blocks_ - 1; block >= 0; --block) {
            const int64_t begin = block * kInterval, end = std::min(begin + kInterval, length_);
            grad_b_.assign(kInterval * states_, Vector{});
            grad_c_.assign(kInterval * states_, Vector{});
            for (int64_t pair = 0; pair < pairs_; ++pair) {
                recompute(sequence, pair, begin, end);
                for (int64_t t = end - 1; t >= begin; --t) step_back(grad, sequence, pair, t);
            }
            const int64_t at = (sequence * length_ + begin) * states_;
            for (int64_t i = 0; i < (end - begin) * states_; ++i) {
                out(grad.grad_b)[at + i] = sum(grad_b_[i]);
                out(grad.grad_c)[at + i] = sum(grad_c_[i]);
            }
        }
        for (int64_t pair = 0; pair < pairs_; ++pair)
            write_state(&grad_h_[pair * states_], states_, inner_ - pair * Channels::width,
                        out(grad.grad_state) + state_at(pair));
    }

    // Fills kept_h_, from before the first step on, and kept_decay_.
    void recompute(int64_t sequence, int64_t pair, int64_t begin, int64_t end) {
        const int64_t e = pair * Channels::width, count = inner_ - e;
        const Channels* const rates = &rates_[pair * states_];
        const Scalar* const from = checkpoint(sequence, begin / kInterval) + e;
        for (int64_t n = 0; n < states_; ++n)
            kept_h_[n] = Channels::load(from + n * inner_, count);
        for (int64_t t = begin; t < end; ++t) {
            const int64_t row = sequence * length_ + t, at = row * inner_ + e;
            const Scalar* const b = in(scan_.b) + row * states_;
            const Channels x = Channels::load(in(scan_.x) + at, count);
            const Channels delta = Channels::load(in(scan_.delta) + at, count);
            const Channels* const before = &kept_h_[(t - begin) * states_];
            Channels* const after = &kept_h_[(t - begin + 1) * states_];
            Channels* const decays = &kept_decay_[(t - begin) * states_];
            for (int i = 0; i < 2; ++i) {
                const Vector delta_x = delta.half[i] * x.half[i];
                for (int64_t n = 0; n < states_; ++n) {
                    const Vector decay = exp2(delta.half[i] * rates[n].half[i]);
                    decays[n].half[i] = decay;
                    after[n].half[i] = decay * before[n].half[i] + delta_x * b[n];
                }
            }
        }
    }

    // Turns the gradient of the state after step t into that of the state before it.
    void step_back(const ScanBackward& grad, int64_t sequence, int64_t pair, int64_t t) {
        const int64_t e = pair * Channels::width, count = inner_ - e, first = pair * states_;
        const int64_t row = sequence * length_ + t, at = row * inner_ + e;
        const int64_t kept = t % kInterval * states_;
        const Scalar* const b = in(scan_.b) + row * states_;
        const Scalar* const c = in(scan_.c) + row * states_;
        const Channels x = Channels::load(in(scan_.x) + at, count);
        const Channels delta = Channels::load(in(scan_.delta) + at, count);
        const Channels grad_y = Channels::load(in(grad.grad_y) + at, count);
        const Channels direct = Channels::load(in(scan_.d) + e, count);
        Channels delta_x, grad_delta_x{}, grad_delta{}, grad_x;
        for (int i = 0; i < 2; ++i) delta_x.half[i] = delta.half[i] * x.half[i];
        for (int64_t n = 0; n < states_; ++n) {
            Vector grad_b = grad_b_[kept + n], grad_c = grad_c_[kept + n];
            for (int i = 0; i < 2; ++i) {
                Vector grad_h = grad_h_[first + n].half[i] + grad_y.half[i] * c[n];
                grad_c += grad_y.half[i] * kept_h_[kept + states_ + n].half[i];
                grad_b += grad_h * delta_x.half[i];
                grad_delta_x.half[i] += grad_h * b[n];
                grad_h *= kept_decay_[kept + n].half[i];
                grad_h_[first + n].half[i] = grad_h;
                const Vector grad_exponent = grad_h * kept_h_[kept + n].half[i];
                grad_a_[first + n].half[i] += grad_exponent * delta.half[i];
                grad_delta.half[i] += grad_exponent * rates_[first + n].half[i];
            }
            grad_b_[kept + n] = grad_b;
            grad_c_[kept + n] = grad_c;
        }
        for (int i = 0; i < 2; ++i) {
            grad_d_[pair].half[i] += grad_y.half[i] * x.half[i];
            grad_x.half[i] = grad_delta_x.half[i] * delta.half[i] + grad_y.half[i] * direct.half[i];
            grad_delta.half[i] =
                grad_delta_x.half[i] * x.half[i] + grad_delta.half[i] * Scalar(kLn2);
        }
        grad_x.store(out(grad.grad_x) + at, count);
        grad_delta.store(out(grad.grad_delta) + at, count);
    }

    const int64_t batch_, length_, inner_, states_, blocks_, pairs_;
    const ScanForward& scan_;
    std::vector<Channels> h_, rates_, kept_h_, kept_decay_;
    std::vector<Channels> grad_h_, grad_a_, grad_d_;  // of all pairs
    std::vector<Vector> grad_b_, grad_c_;             // (kInterval, N), to be summed over lanes
};

}  // namespace

extern "C" {

int64_t mail_scan_interval() { return kInterval; }

void mail_scan_forward_float(const ScanForward* scan) { Scan<float>(*scan).forward(); }
void mail_scan_forward_double(const ScanForward* scan) { Scan<double>(*scan).forward(); }

void mail_scan_backward_float(const ScanForward* scan, const ScanBackward* grad) {
    Scan<float>(*scan).backward(*grad);
}
void mail_scan_backward_double(const ScanForward* scan, const ScanBackward* grad) {
    Scan<double>(*scan).backward(*grad);
}
}
