#include "../kernels/weighted_normal_cuda.h"

#include "cuda_common.h"
#include "weighted_normal.h"

namespace netsculpt {
namespace {

Tensor weighted_normal(const Tensor& x, const Tensor& q, const Tensor& v) {
  const DeviceGuard guard(x.get_device_index());
  Tensor out;
  const WeightedNormalArgs a = weighted_normal_args(x, q, v, &out);
  const WeightedNormalGrid grid = weighted_normal_grid(a);
  const Tensor partial = new_tensor(x, {grid.partial_values}, out.scalar_type());
  check_launch(weighted_normal_launch(a, grid, partial.data_ptr(), current_stream(x)), "weighted_normal");
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(netsculpt, CUDA, m) { m.impl("weighted_normal", TORCH_BOX(&weighted_normal)); }

}  // namespace netsculpt
