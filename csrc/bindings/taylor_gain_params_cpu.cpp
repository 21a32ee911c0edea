#include "taylor_gain_params.h"

namespace netsculpt {
namespace {

constexpr int64_t kElements = 32768;  // of the whole list in a worker's share, at least: past what a thread costs
constexpr int64_t kBlock = 16;        // channels go to workers in whole vectors

// Channels are shared out, and each worker adds up all entries in order: no partial sums, and the same sums for any
// number of threads.
Tensor taylor_gain_params(std::vector<Tensor> params, std::vector<Tensor> grads, std::vector<int64_t> dims) {
  const std::vector<TaylorTensors> entries = taylor_gain_params_tensors(params, grads, dims);
  const int64_t channels = entries[0].view.channels;
  const Tensor out = torch::stable::new_zeros(params[0], {3, channels}, ScalarType::Double);
  double* sums = static_cast<double*>(out.data_ptr());
  int64_t elements = 0, longest = 0;  // of the short rows
  for (const TaylorTensors& t : entries) {
    elements += t.view.slice.outer * t.view.slice.inner * channels;
    if (has_short_rows(t.view.slice)) longest = std::max(longest, t.view.slice.inner);
  }
  std::vector<double> run(static_cast<size_t>(channels)), scratch(static_cast<size_t>(2 * longest * channels));
  const TaylorSums to{sums, sums + channels, sums + 2 * channels, run.data()};
  const int64_t blocks = ceil_div(channels, kBlock);
  const int64_t grain = elements == 0 ? 1 : ceil_div(kElements * blocks, elements);
  torch::stable::parallel_for(0, blocks, grain, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * kBlock, last = std::min(end * kBlock, channels);
    for (const TaylorTensors& t : entries)
      taylor_gain_params_cpu(t.view.slice, channels, first, last, to, scratch.data() + 2 * longest * first);
  });
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(netsculpt, CPU, m) { m.impl("taylor_gain_params", TORCH_BOX(&taylor_gain_params)); }

}  // namespace netsculpt
