#include "../kernels/taylor_gain_cuda.h"

#include "cuda_common.h"
#include "taylor_gain.h"

namespace netsculpt {
namespace {

Tensor taylor_gain(const Tensor& a, const Tensor& g) {
  check(g.is_cuda() && g.get_device_index() == a.get_device_index(), "taylor_gain: g must be on the device of a");
  const DeviceGuard guard(a.get_device_index());
  const TaylorTensors t = taylor_gain_tensors(a, g);
  const TaylorPlan plan = taylor_gain_cuda_plan(t.view);
  const Tensor out = new_tensor(a, {3, t.view.channels}, ScalarType::Double);
  const Tensor partial = new_tensor(a, {kTaylorKinds, t.view.channels, plan.pieces}, ScalarType::Double);
  const TaylorGainArgs args{t.view, plan, static_cast<double*>(partial.data_ptr()),
                            static_cast<double*>(out.data_ptr())};
  check_launch(taylor_gain_launch(args, current_stream(a)), "taylor_gain");
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(netsculpt, CUDA, m) { m.impl("taylor_gain", TORCH_BOX(&taylor_gain)); }

}  // namespace netsculpt
