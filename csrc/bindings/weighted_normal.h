#pragma once

#include "../kernels/weighted_normal.h"
#include "common.h"
#include "weighted_rows.h"

namespace netsculpt {

// Checks x [n,d] or [n,g,d], q [n,m] or [n,g,m] and v [m,d] or [g,m,d]; the result is allocated but not filled.
inline WeightedNormalArgs weighted_normal_args(const Tensor& x, const Tensor& q, const Tensor& v, Tensor* out) {
  const char* op = "weighted_normal";
  WeightedNormalArgs a{};
  set_rows(&a, op, x, q);
  a.v_dtype = dtype_of(v, op, "v");
  const Dtype compute = a.dtype == Dtype::kFloat64 ? Dtype::kFloat64 : Dtype::kFloat32;
  check(a.v_dtype == a.dtype || a.v_dtype == compute, op, ": v must have x's dtype or the result's");
  const int64_t dim = x.dim();
  const bool grouped = dim == 3;
  check(
      v.dim() == dim && v.size(dim - 1) == a.width && v.size(dim - 2) == a.units && (!grouped || v.size(0) == a.groups),
      op, ": v must be [m, d] or [g, m, d]");
  check_device(v, x, op, "v");
  a.v = v.data_ptr();
  a.v_group = grouped ? v.stride(0) : 0;
  a.v_unit = v.stride(dim - 2);
  a.v_col = v.stride(dim - 1);
  std::vector<int64_t> sizes{a.units, a.width};
  if (grouped) sizes.insert(sizes.begin(), a.groups);
  *out = new_tensor(x, sizes, scalar_type_of(compute));
  a.out = out->data_ptr();
  return a;
}

}  // namespace netsculpt
