#pragma once

#include "../kernels/weighted_gram.h"
#include "common.h"
#include "weighted_rows.h"

namespace netsculpt {

// The result is described but not yet known.
inline WeightedGramArgs weighted_gram_args(const Tensor& x, const Tensor& q) {
  WeightedGramArgs a{};
  set_rows(&a, "weighted_gram", x, q);
  return a;
}

inline void set_out(WeightedGramArgs* a, const Tensor& out, bool accumulate) {
  a->out = out.data_ptr();
  a->out_dtype = full_dtype_of(out, "weighted_gram", "out");
  a->accumulate = accumulate;
}

// A new result: [m,d,d], or [g,m,d,d] for grouped input.
inline Tensor new_gram(const Tensor& x, WeightedGramArgs* a) {
  std::vector<int64_t> sizes{a->units, a->width, a->width};
  if (x.dim() == 3) sizes.insert(sizes.begin(), a->groups);
  const Tensor out = new_tensor(x, sizes, a->dtype == Dtype::kFloat64 ? ScalarType::Double : ScalarType::Float);
  set_out(a, out, false);
  return out;
}

// The caller's result.
inline void use_gram(const Tensor& x, const Tensor& out, bool accumulate, WeightedGramArgs* a) {
  const char* op = "weighted_gram";
  const int64_t dim = x.dim();
  check(out.dim() == dim + 1 && out.size(dim) == a->width && out.size(dim - 1) == a->width &&
            out.size(dim - 2) == a->units && (dim == 2 || out.size(0) == a->groups),
        op, ": out must be [m, d, d] or [g, m, d, d]");
  check(out.is_contiguous(), op, ": out must be contiguous");
  check_device(out, x, op, "out");
  set_out(a, out, accumulate);
  check(a->dtype != Dtype::kFloat64 || a->out_dtype == Dtype::kFloat64, op, ": out must be float64 for float64 x");
}

}  // namespace netsculpt
