#pragma once

#include "../kernels/weighted_normal.h"
#include "common.h"

namespace netsculpt {

// Checks x [n,d] or [n,g,d], q [n,m] or [n,g,m] and v [m,d] or [g,m,d]; the result is allocated but not filled.
inline WeightedNormalArgs weighted_normal_args(const Tensor& x, const Tensor& q, const Tensor& v, Tensor* out) {
  const char* op = "weighted_normal";
  const Dtype dtype = dtype_of(x, op, "x"), v_dtype = dtype_of(v, op, "v");
  const Dtype compute = dtype == Dtype::kFloat64 ? Dtype::kFloat64 : Dtype::kFloat32;
  check(dtype_of(q, op, "q") == dtype, op, ": x and q must have one dtype");
  check(v_dtype == dtype || v_dtype == compute, op, ": v must have x's dtype or the result's");
  const int64_t dim = x.dim();
  const bool grouped = dim == 3;
  check(dim == 2 || dim == 3, op, ": x must be [n, d] or [n, g, d]");
  check(q.dim() == dim && q.size(0) == x.size(0) && (!grouped || q.size(1) == x.size(1)), op,
        ": q must have x's rows and groups");
  check(v.dim() == dim && v.size(dim - 1) == x.size(dim - 1) && v.size(dim - 2) == q.size(dim - 1) &&
            (!grouped || v.size(0) == x.size(1)),
        op, ": v must be [m, d] or [g, m, d]");
  check(q.get_device_index() == x.get_device_index() && v.get_device_index() == x.get_device_index(), op,
        ": x, q and v must be on one device");
  WeightedNormalArgs a{};
  a.x = x.data_ptr();
  a.q = q.data_ptr();
  a.v = v.data_ptr();
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
  a.v_group = grouped ? v.stride(0) : 0;
  a.v_unit = v.stride(dim - 2);
  a.v_col = v.stride(dim - 1);
  a.dtype = dtype;
  a.v_dtype = v_dtype;
  std::vector<int64_t> sizes{a.units, a.width};
  if (grouped) sizes.insert(sizes.begin(), a.groups);
  *out = new_tensor(x, sizes, scalar_type_of(compute));
  a.out = out->data_ptr();
  return a;
}

}  // namespace netsculpt
