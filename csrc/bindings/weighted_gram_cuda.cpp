#include "../kernels/weighted_gram_cuda.h"

#include "cuda_common.h"
#include "weighted_gram.h"

namespace netsculpt {
namespace {

void run(const Tensor& x, const WeightedGramArgs& a) {
  const WeightedGramGrid grid = weighted_gram_grid(a);
  const Tensor partial = new_tensor(x, {grid.partial_values}, scalar_type_of(a.out_dtype));
  check_launch(weighted_gram_launch(a, grid, partial.data_ptr(), current_stream(x)), "weighted_gram");
}

Tensor weighted_gram(const Tensor& x, const Tensor& q) {
  const DeviceGuard guard(x.get_device_index());
  WeightedGramArgs args = weighted_gram_args(x, q);
  const Tensor out = new_gram(x, &args);
  run(x, args);
  return out;
}

void weighted_gram_out(const Tensor& x, const Tensor& q, bool accumulate, const Tensor& out) {
  const DeviceGuard guard(x.get_device_index());
  WeightedGramArgs args = weighted_gram_args(x, q);
  use_gram(x, out, accumulate, &args);
  run(x, args);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(netsculpt, CUDA, m) {
  m.impl("weighted_gram", TORCH_BOX(&weighted_gram));
  m.impl("weighted_gram.out", TORCH_BOX(&weighted_gram_out));
}

}  // namespace netsculpt
