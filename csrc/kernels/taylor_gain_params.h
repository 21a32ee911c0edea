// taylor_gain_params: the sums of taylor_gain over a list of parameters and gradients; an entry of the list plays the
// part of a sample.
#pragma once

#include "core/simd_level.h"
#include "taylor_view.h"

namespace netsculpt {

constexpr int kTaylorEntries = 48;  // in one call: the struct below fits the 4 KiB that a kernel's arguments may take

struct TaylorParamsArgs {
  TaylorSlice entry[kTaylorEntries];
  double* out;  // [3, channels], contiguous
  int64_t channels;
  int count;
  bool accumulate;  // add to what out holds
};
static_assert(sizeof(TaylorParamsArgs) <= 4096, "the arguments of a CUDA kernel are limited to 4 KiB");

// A consumer's [outer, channels, k, k] has too few adjacent places per channel to fill vectors: on the CPU every place
// is added up over the outer positions as if it were a channel, which takes scratch.
constexpr int64_t kShortRow = 32;

inline bool has_short_rows(const TaylorSlice& s) {
  return s.by_row && s.inner < kShortRow && s.outer > s.inner && s.a_channel == s.inner && s.g_channel == s.inner;
}

namespace NS_TARGET {

template <class T>
NS_HD void add_channel(const TaylorSlice& s, int64_t c, int64_t member, int64_t members, TaylorPair* sum) {
  const T* a = static_cast<const T*>(s.a) + c * s.a_channel;
  const T* g = static_cast<const T*>(s.g) + c * s.g_channel;
  const TaylorRange all{0, 1, 0, s.outer, 0, s.inner, 0, 0, true};
  if (s.by_row)
    add_row_share(s, a, g, all, member, members, sum);
  else
    add_column_share(s, a, g, all, member, members, sum);
}

// Channels [tile * width, (tile + 1) * width) of all entries in order. One team per tile; its ranks lie side by side
// along whatever is adjacent in the entry. `width` is at most team.size(); `values` is scratch of 2 * team.size()
// doubles.
template <class Team>
NS_HD void taylor_gain_params_body(const Team& team, const TaylorParamsArgs& args, int64_t tile, int64_t width,
                                   double* values) {
  const int64_t members = team.size() / width, owned = tile * width + team.rank();
  double total = 0, absolute = 0, squared = 0;  // of channel `owned`, on the ranks below `width`
  for (int e = 0; e < args.count; ++e) {
    const TaylorSlice& s = args.entry[e];
    const int64_t lane = s.by_row ? team.rank() / members : team.rank() % width, c = tile * width + lane;
    const bool works = team.rank() < members * width && c < args.channels;
    const int64_t member = !works ? members : s.by_row ? team.rank() % members : team.rank() / width;
    TaylorPair sum{0, 0};
    if (works) {
      switch (s.dtype) {
        case Dtype::kFloat32: add_channel<float>(s, c, member, members, &sum); break;
        case Dtype::kFloat64: add_channel<double>(s, c, member, members, &sum); break;
        case Dtype::kBFloat16: add_channel<BFloat16>(s, c, member, members, &sum); break;
        case Dtype::kFloat16: add_channel<Float16>(s, c, member, members, &sum); break;
      }
    }
    values[team.rank()] = sum.total;
    values[team.size() + team.rank()] = sum.absolute;
    fold_members(team, values, 2, member, members, s.by_row ? 1 : width);
    if (team.rank() < width) {
      const int64_t place = s.by_row ? team.rank() * members : team.rank();
      const double run = values[place];
      total += run;
      absolute += values[team.size() + place];
      squared += run * run;
    }
    team.sync();  // values may be reused
  }
  if (team.rank() >= width || owned >= args.channels) return;
  const double sums[3] = {total, absolute, squared};
  for (int kind = 0; kind < 3; ++kind) {
    double* place = args.out + kind * args.channels + owned;
    *place = args.accumulate ? *place + sums[kind] : sums[kind];
  }
}

}  // namespace NS_TARGET
}  // namespace netsculpt

// Adds channels [begin, end) of one entry of `channels` channels to the sums. `begin` is a multiple of 16. scratch:
// 2 * inner * (end - begin) zeros where rows are short, which are zeros again afterwards.
NS_DECLARE_CPU(void, taylor_gain_params_cpu,
               (const TaylorSlice& s, int64_t channels, int64_t begin, int64_t end, const TaylorSums& sums,
                double* scratch),
               (s, channels, begin, end, sums, scratch))
