// What every binding uses: checks with one clear sentence, dtype tags and workers. Stable headers only.
#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <algorithm>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "../kernels/core/dtype.h"
#include "../kernels/core/sizes.h"

namespace netsculpt {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// Throws std::runtime_error with the parts joined; Python sees a RuntimeError.
template <class... Parts>
inline void check(bool ok, const Parts&... parts) {
  if (ok) return;
  std::ostringstream message;
  (message << ... << parts);
  throw std::runtime_error(message.str());
}

inline Dtype dtype_of(const Tensor& t, const char* op, const char* argument) {
  switch (t.scalar_type()) {
    case ScalarType::Float: return Dtype::kFloat32;
    case ScalarType::Double: return Dtype::kFloat64;
    case ScalarType::BFloat16: return Dtype::kBFloat16;
    case ScalarType::Half: return Dtype::kFloat16;
    default: break;
  }
  check(false, op, ": ", argument, " must be float32, float64, bfloat16 or float16");
  return Dtype::kFloat32;
}

// float32 or float64 only, for ops that read matrices others have accumulated.
inline Dtype full_dtype_of(const Tensor& t, const char* op, const char* argument) {
  const Dtype dtype = dtype_of(t, op, argument);
  check(dtype == Dtype::kFloat32 || dtype == Dtype::kFloat64, op, ": ", argument, " must be float32 or float64");
  return dtype;
}

inline ScalarType scalar_type_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::kFloat64: return ScalarType::Double;
    case Dtype::kBFloat16: return ScalarType::BFloat16;
    case Dtype::kFloat16: return ScalarType::Half;
    default: return ScalarType::Float;
  }
}

// A pointer of another device would only fail once a kernel follows it.
inline void check_device(const Tensor& t, const Tensor& like, const char* op, const char* argument) {
  check(t.is_cpu() ? like.is_cpu() : t.device() == like.device(), op, ": ", argument, " must be on the same device");
}

// A new tensor on the device of `like`.
inline Tensor new_tensor(const Tensor& like, std::vector<int64_t> sizes, ScalarType dtype) {
  return torch::stable::new_empty(like, sizes, dtype);
}

// `t` itself where its last `dims` dimensions are laid out densely, else a contiguous copy.
inline Tensor rows_contiguous(const Tensor& t) {
  return t.dim() == 0 || t.stride(t.dim() - 1) == 1 || t.size(t.dim() - 1) <= 1 ? t : torch::stable::contiguous(t);
}

// Runs f(worker) for worker in [0, workers), each at most once, on torch's threads. f must not throw.
template <class F>
inline void for_workers(int64_t workers, const F& f) {
  torch::stable::parallel_for(0, workers, 1, [&](int64_t begin, int64_t end) {
    for (int64_t w = begin; w < end; ++w) f(w);
  });
}

}  // namespace netsculpt
