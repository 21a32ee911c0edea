#pragma once

#include "../kernels/weighted_rows.h"
#include "common.h"

namespace netsculpt {

// Checks x [n,d] or [n,g,d] and q [n,m] or [n,g,m], and describes them.
inline void set_rows(WeightedRows* rows, const char* op, const Tensor& x, const Tensor& q) {
  const Dtype dtype = dtype_of(x, op, "x");
  check(dtype_of(q, op, "q") == dtype, op, ": x and q must have one dtype");
  const int64_t dim = x.dim();
  const bool grouped = dim == 3;
  check(dim == 2 || dim == 3, op, ": x must be [n, d] or [n, g, d]");
  check(q.dim() == dim && q.size(0) == x.size(0) && (!grouped || q.size(1) == x.size(1)), op,
        ": q must have x's rows and groups");
  check_device(q, x, op, "q");
  *rows = {x.data_ptr(),
           q.data_ptr(),
           x.size(0),
           grouped ? x.size(1) : 1,
           q.size(dim - 1),
           x.size(dim - 1),
           x.stride(0),
           grouped ? x.stride(1) : 0,
           x.stride(dim - 1),
           q.stride(0),
           grouped ? q.stride(1) : 0,
           q.stride(dim - 1),
           dtype};
}

}  // namespace netsculpt
