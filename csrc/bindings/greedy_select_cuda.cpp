#include "../kernels/greedy_select_cuda.h"

#include "cuda_common.h"
#include "greedy_select.h"

namespace netsculpt {
namespace {

std::tuple<Tensor, Tensor, Tensor> greedy_select(const Tensor& gram, const std::optional<Tensor>& target,
                                                 const std::optional<Tensor>& target_energy,
                                                 const std::optional<Tensor>& lengths,
                                                 const std::optional<Tensor>& cost, int64_t k, const std::string& mode,
                                                 bool repeats, double ridge, double tolerance) {
  const DeviceGuard guard(gram.get_device_index());
  const GreedyOptions options = greedy_options(k, mode, repeats, ridge, tolerance);
  GreedySelectCall call = greedy_select_call(gram, target, target_energy, lengths, cost, options);
  greedy_select_scratch(&call, call.args.batch);
  check_launch(greedy_select_launch(call.args, current_stream(gram)), kGreedySelect);
  // Waits for the kernels: input that cannot be worked with is an error here, not a wrong answer later.
  const Tensor status = torch::stable::to(call.status, torch::stable::Device(torch::headeronly::DeviceType::CPU));
  greedy_select_throw(static_cast<const int32_t*>(status.data_ptr()), call.args.batch);
  return {call.order, call.weights, call.errors};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(netsculpt, CUDA, m) { m.impl("greedy_select", TORCH_BOX(&greedy_select)); }

}  // namespace netsculpt
