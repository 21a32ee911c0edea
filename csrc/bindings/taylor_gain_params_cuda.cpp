#include "../kernels/taylor_gain_params_cuda.h"

#include "cuda_common.h"
#include "taylor_gain_params.h"

namespace netsculpt {
namespace {

Tensor taylor_gain_params(std::vector<Tensor> params, std::vector<Tensor> grads, std::vector<int64_t> dims) {
  const DeviceGuard guard(params.empty() ? 0 : params[0].get_device_index());
  const std::vector<TaylorTensors> entries = taylor_gain_params_tensors(params, grads, dims);
  const int64_t channels = entries[0].view.channels;
  const Tensor out = new_tensor(params[0], {3, channels}, ScalarType::Double);
  // One launch for up to kTaylorEntries entries; further ones add to it in order, since they share a stream.
  for (size_t first = 0; first < entries.size(); first += kTaylorEntries) {
    TaylorParamsArgs args{{}, static_cast<double*>(out.data_ptr()), channels, 0, first > 0};
    args.count = static_cast<int>(std::min<size_t>(kTaylorEntries, entries.size() - first));
    for (int e = 0; e < args.count; ++e) args.entry[e] = entries[first + e].view.slice;
    check_launch(taylor_gain_params_launch(args, current_stream(params[0])), "taylor_gain_params");
  }
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(netsculpt, CUDA, m) { m.impl("taylor_gain_params", TORCH_BOX(&taylor_gain_params)); }

}  // namespace netsculpt
