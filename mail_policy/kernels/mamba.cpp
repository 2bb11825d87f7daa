#include "simd.hpp"
extern "C" int mail_mamba_width() { return mail::kWidth; }
