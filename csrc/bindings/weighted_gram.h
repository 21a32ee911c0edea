#pragma once

#include "../kernels/weighted_gram.h"
#include "common.h"

namespace netsculpt {

// Checks x [n,d] or [n,g,d] and q [n,m] or [n,g,m]; the result is described but not yet known.
inline WeightedGramArgs weighted_gram_args(const Tensor& x, const Tensor& q) {
  const char* op = "weighted_gram";
  const Dtype dtype = dtype_of(x, op, "x");
  check(dtype_of(q, op, "q") == dtype, op, ": x and q must have one dtype");
  const int64_t dim = x.dim();
  check(dim == 2 || dim == 3, op, ": x must be [n, d] or [n, g, d]");
  check(q.dim() == dim && q.size(0) == x.size(0) && (dim == 2 || q.size(1) == x.size(1)), op,
        ": q must have x's rows and groups");
  check(q.get_device_index() == x.get_device_index(), op, ": x and q must be on one device");
  const bool grouped = dim == 3;
  WeightedGramArgs a{};
  a.x = x.data_ptr();
  a.q = q.data_ptr();
  a.rows = x.size(0);
  a.groups = grouped ? x.size(1) : 1;
  a.units = q.size(dim - 1);
  a.width = x.size(dim - 1);
  a.x_row = x.stride(0);
  a.x_group = grouped ? x.stride(1) : 0;
  a.x_col = x.stride(dim - 1);
  a.q_row = q.stride(0);
  a.q_group = grouped ? q.stride(1) : 0;
  a.q_col = q.stride(dim - 1);
  a.dtype = dtype;
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
  check(out.get_device_index() == x.get_device_index(), op, ": x and out must be on one device");
  set_out(a, out, accumulate);
  check(a->dtype != Dtype::kFloat64 || a->out_dtype == Dtype::kFloat64, op, ": out must be float64 for float64 x");
}

}  // namespace netsculpt
