#pragma once

#include "../kernels/taylor_gain.h"
#include "taylor_view.h"

namespace netsculpt {

// Checks the arguments and describes them; where it is wise, one of them is copied into the layout of the other.
inline TaylorTensors taylor_gain_tensors(const Tensor& a, const Tensor& g) {
  const char* op = "taylor_gain";
  const Dtype dtype = dtype_of(a, op, "a");
  check(a.scalar_type() == g.scalar_type(), op, ": a and g must have one dtype");
  check(a.dim() >= 2, op, ": a must have a batch and a channel dimension");
  check(a.dim() == g.dim(), op, ": g must have the shape of a");
  for (int64_t d = 0; d < a.dim(); ++d) check(a.size(d) == g.size(d), op, ": g must have the shape of a");
  return taylor_tensors(a, g, true, 1, dtype);
}

}  // namespace netsculpt
