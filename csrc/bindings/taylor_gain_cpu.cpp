#include "taylor_gain.h"

namespace netsculpt {
namespace {

constexpr int64_t kElements = 65536;  // of one tensor in a piece, at least: well past what starting a thread costs
constexpr int64_t kPositions = 256;   // in a piece, at least: partial sums stay small beside the input
constexpr int64_t kMaxPieces = 128;
constexpr int64_t kChannels = 64;  // in a block, at least, where channels are shared out too

// Adds up the pieces, in order, into `out` [3, channels]. partial: [pieces, kinds, channels].
void add_pieces(const TaylorPlan& plan, int64_t channels, double* partial, double* out) {
  const int64_t cuts = std::max<int64_t>(plan.cuts, 1);
  for (int64_t first = 0; first < plan.pieces; first += cuts) {
    double* run = partial + (first * kTaylorKinds + kRun) * channels;
    for (int64_t p = first; p < first + cuts; ++p) {
      const double* piece = partial + p * kTaylorKinds * channels;
      for (int64_t i = 0; i < kRun * channels; ++i) out[i] += piece[i];
      if (p > first)
        for (int64_t c = 0; c < channels; ++c) run[c] += piece[kRun * channels + c];
    }
    for (int64_t c = 0; c < channels; ++c) {
      out[kSigned * channels + c] += run[c];
      out[kSquared * channels + c] += run[c] * run[c];
    }
  }
}

Tensor taylor_gain(const Tensor& a, const Tensor& g) {
  const TaylorTensors t = taylor_gain_tensors(a, g);
  const TaylorView& v = t.view;
  const int64_t positions = v.samples * v.slice.outer * v.slice.inner, channels = v.channels;
  const Tensor out = torch::stable::new_zeros(a, {3, channels}, ScalarType::Double);
  if (positions * channels == 0) return out;
  const int64_t wanted = std::max({kPositions, ceil_div(positions, kMaxPieces), ceil_div(kElements, channels)});
  const TaylorPlan plan = taylor_plan(v, wanted, 1);
  // Few pieces of many channels: share out the channels as well.
  const int64_t blocks =
      std::clamp<int64_t>(std::min(kMaxPieces / plan.pieces, positions * channels / plan.pieces / kElements), 1,
                          ceil_div(channels, kChannels));
  const int64_t block = ceil_div(ceil_div(channels, blocks), kChannels) * kChannels;
  std::vector<double> partial(static_cast<size_t>(plan.pieces * kTaylorKinds * channels));
  for_workers(plan.pieces * blocks, [&](int64_t i) {
    TaylorRange r = taylor_range(v, plan, i / blocks);
    r.channel_begin = std::min(i % blocks * block, channels);
    r.channel_end = std::min(r.channel_begin + block, channels);
    double* sums = partial.data() + i / blocks * kTaylorKinds * channels;
    taylor_gain_cpu(v, r, {sums, sums + channels, sums + 2 * channels, sums + 3 * channels});
  });
  add_pieces(plan, channels, partial.data(), static_cast<double*>(out.data_ptr()));
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(netsculpt, CPU, m) { m.impl("taylor_gain", TORCH_BOX(&taylor_gain)); }

}  // namespace netsculpt
