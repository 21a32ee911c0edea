#include "../kernels/tridiagonal_extreme_cuda.h"

#include "cuda_common.h"
#include "tridiagonal_extreme.h"

namespace netsculpt {
namespace {

std::tuple<Tensor, Tensor> tridiagonal_extreme(const Tensor& alpha, const Tensor& beta) {
  const DeviceGuard guard(alpha.get_device_index());
  const TridiagonalExtremeCall call = tridiagonal_extreme_call(alpha, beta);
  const Tensor scratch = new_tensor(alpha, {call.args.count, 8, call.args.size}, alpha.scalar_type());
  check_launch(tridiagonal_extreme_launch(call.args, scratch.data_ptr(), current_stream(alpha)), "tridiagonal_extreme");
  return {call.values, call.vectors};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(netsculpt, CUDA, m) { m.impl("tridiagonal_extreme", TORCH_BOX(&tridiagonal_extreme)); }

}  // namespace netsculpt
