// Element types without torch: a tag for run-time dispatch and the two half precisions as bits.
#pragma once

#include <cstring>

#include "macros.h"
#if defined(__CUDACC__)
#include <cuda_fp16.h>
#endif

namespace netsculpt {

enum class Dtype : int { kFloat32, kFloat64, kBFloat16, kFloat16 };

struct BFloat16 {
  uint16_t bits;
};
struct Float16 {
  uint16_t bits;
};

NS_HD float bits_to_float(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof(x));
  return x;
}

NS_HD float to_float(float x) { return x; }
NS_HD float to_float(BFloat16 x) { return bits_to_float(static_cast<uint32_t>(x.bits) << 16); }
NS_HD float to_float(Float16 x) {
#if defined(__CUDA_ARCH__)
  return __half2float(__ushort_as_half(x.bits));
#elif defined(__FLT16_MANT_DIG__) && !defined(__CUDACC__)
  _Float16 h;
  memcpy(&h, &x.bits, sizeof(h));
  return static_cast<float>(h);
#else
  // Shift exponent and mantissa into place, then rescale: exact for normals and subnormals.
  const uint32_t sign = static_cast<uint32_t>(x.bits & 0x8000u) << 16;
  const uint32_t body = static_cast<uint32_t>(x.bits & 0x7fffu) << 13;
  if (body >= 0x0f800000u) return bits_to_float(sign | 0x7f800000u | (body & 0x007fffffu));  // inf, nan
  return bits_to_float(sign | 0u) + (sign ? -1.0f : 1.0f) * bits_to_float(body) * 5.192296858534828e+33f;
#endif
}

// The type a kernel computes in: float32 for the half precisions.
template <class T>
struct ComputeType {
  using type = float;
};
template <>
struct ComputeType<double> {
  using type = double;
};

// A value of storage type S as compute type T.
template <class T>
NS_HD T widen(double x) {
  return static_cast<T>(x);
}
template <class T>
NS_HD T widen(float x) {
  return static_cast<T>(x);
}
template <class T>
NS_HD T widen(BFloat16 x) {
  return static_cast<T>(to_float(x));
}
template <class T>
NS_HD T widen(Float16 x) {
  return static_cast<T>(to_float(x));
}

// Calls f(T{}) with the storage type that `dtype` names.
template <class F>
inline void for_dtype(Dtype dtype, F&& f) {
  switch (dtype) {
    case Dtype::kFloat32: return f(float{});
    case Dtype::kFloat64: return f(double{});
    case Dtype::kBFloat16: return f(BFloat16{});
    case Dtype::kFloat16: return f(Float16{});
  }
}

}  // namespace netsculpt
