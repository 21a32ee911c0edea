#include "../kernels/taylor_gain.h"
#include "taylor_gain_params.h"

namespace netsculpt {
namespace {

constexpr int64_t kElements = 32768;  // of the whole list in a worker's share, at least: past what a thread costs
constexpr int64_t kBlock = 16;        // channels go to workers in whole vectors
constexpr int64_t kShortRow = 32;

// A consumer's [outer, channels, k, k]: too few adjacent places per channel to fill vectors.
bool has_short_rows(const TaylorSlice& s) {
  return s.by_row && s.inner < kShortRow && s.outer > s.inner && s.a_channel == s.inner && s.g_channel == s.inner;
}

// Such an entry, channels [begin, end): every place is added up over the outer positions as if it were a channel, and
// the places of a channel at the end. scratch: 2 * inner * (end - begin) zeros, which are zeros again afterwards.
void add_short_rows(const TaylorView& v, int64_t begin, int64_t end, const TaylorSums& sums, double* scratch) {
  const int64_t inner = v.slice.inner;
  TaylorView each = v;
  each.channels = v.channels * inner;
  each.slice.inner = each.slice.a_channel = each.slice.g_channel = 1;
  each.slice.by_row = false;
  double* run = scratch - begin * inner;  // sums are indexed from channel 0
  double* absolute = run + (end - begin) * inner;
  taylor_gain_cpu(each, {0, 1, 0, v.slice.outer, 0, 1, begin * inner, end * inner, false},
                  {nullptr, absolute, nullptr, run});
  for (int64_t c = begin; c < end; ++c) {
    double total = 0;
    for (int64_t i = c * inner; i < (c + 1) * inner; ++i) {
      total += run[i];
      sums.absolute[c] += absolute[i];
      run[i] = absolute[i] = 0;
    }
    sums.total[c] += total;
    sums.squared[c] += total * total;
  }
}

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
    for (const TaylorTensors& t : entries) {
      const TaylorSlice& s = t.view.slice;
      if (has_short_rows(s))
        add_short_rows(t.view, first, last, to, scratch.data() + 2 * longest * first);
      else
        taylor_gain_cpu(t.view, {0, 1, 0, s.outer, 0, s.inner, first, last, true}, to);
    }
  });
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(netsculpt, CPU, m) { m.impl("taylor_gain_params", TORCH_BOX(&taylor_gain_params)); }

}  // namespace netsculpt
