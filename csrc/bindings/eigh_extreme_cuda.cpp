#include "../kernels/eigh_extreme_cuda.h"

#include "cuda_common.h"
#include "eigh_extreme.h"

namespace netsculpt {
namespace {

constexpr int64_t kScratchLimit = int64_t{256} << 20;  // bytes; more matrices take several launches

Tensor new_scratch(const Tensor& like, int64_t bytes) {
  return new_tensor(like, {std::max<int64_t>(bytes, 1)}, ScalarType::Byte);
}

// Synchronises with the stream: whether a matrix is finite and has converged decides what is returned.
std::tuple<Tensor, Tensor, Tensor> eigh_extreme(const Tensor& s, const std::string& which, double tol) {
  const DeviceGuard guard(s.get_device_index());
  EighExtremeCall call = eigh_extreme_call(s, which, tol);
  EighExtremeArgs& args = call.args;
  const Tensor device_status = new_tensor(s, {args.count}, ScalarType::Int);
  args.status = static_cast<int32_t*>(device_status.data_ptr());
  const cudaStream_t stream = current_stream(s);

  const int64_t each = std::max<int64_t>(1, eigh_extreme_cuda_scratch(args, 1, false));
  const int64_t chunk = std::min(std::max<int64_t>(1, args.count), std::max<int64_t>(1, kScratchLimit / each));
  const Tensor scratch = new_scratch(s, eigh_extreme_cuda_scratch(args, chunk, false));
  for (int64_t begin = 0; begin < args.count; begin += chunk) {
    const int64_t end = std::min(args.count, begin + chunk);
    check_launch(eigh_extreme_launch(args, begin, end, false, scratch.data_ptr(), stream), "eigh_extreme");
  }
  std::vector<int32_t> status(static_cast<size_t>(args.count));
  check_launch(eigh_extreme_status(args, status.data(), stream), "eigh_extreme");

  // Rare: the matrices that did not reach the tolerance, once more in float64.
  if (std::find(status.begin(), status.end(), kNotConverged) != status.end()) {
    const Tensor wide = new_scratch(s, eigh_extreme_cuda_scratch(args, 1, true));
    for (int64_t m = 0; m < args.count; ++m)
      if (status[m] == kNotConverged)
        check_launch(eigh_extreme_launch(args, m, m + 1, true, wide.data_ptr(), stream), "eigh_extreme");
    check_launch(eigh_extreme_status(args, status.data(), stream), "eigh_extreme");
  }
  check_status(status, tol);
  return {call.values, call.vectors, call.residuals};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(netsculpt, CUDA, m) { m.impl("eigh_extreme", TORCH_BOX(&eigh_extreme)); }

}  // namespace netsculpt
