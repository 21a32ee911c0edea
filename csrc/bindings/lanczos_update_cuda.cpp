#include "../kernels/lanczos_update_cuda.h"

#include "cuda_common.h"
#include "lanczos_update.h"

namespace netsculpt {
namespace {

std::tuple<Tensor, Tensor, Tensor> lanczos_update(const Tensor& basis, const Tensor& r) {
  const DeviceGuard guard(r.get_device_index());
  const LanczosUpdateCall call = lanczos_update_call(basis, r);
  check_launch(lanczos_update_launch(call.args, current_stream(r)), "lanczos_update");
  return {call.alpha, call.beta, call.next};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(netsculpt, CUDA, m) { m.impl("lanczos_update", TORCH_BOX(&lanczos_update)); }

}  // namespace netsculpt
