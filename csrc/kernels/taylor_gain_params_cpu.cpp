#include "core/target.h"
// target.h first: it sets the instruction set
#include "taylor_gain.h"
#include "taylor_gain_params.h"

namespace netsculpt::NS_TARGET {
namespace {

void add_short_rows(const TaylorSlice& s, int64_t channels, int64_t begin, int64_t end, const TaylorSums& sums,
                    double* scratch) {
  TaylorView each{s, 1, channels * s.inner, 0, 0};
  each.slice.inner = each.slice.a_channel = each.slice.g_channel = 1;
  each.slice.by_row = false;
  double* run = scratch - begin * s.inner;  // sums are indexed from channel 0
  double* absolute = run + (end - begin) * s.inner;
  const TaylorRange range{0, 1, 0, s.outer, 0, 1, begin * s.inner, end * s.inner, false};
  NS_TARGET::taylor_gain_cpu(each, range, {nullptr, absolute, nullptr, run});
  for (int64_t c = begin; c < end; ++c) {
    double total = 0;
    for (int64_t i = c * s.inner; i < (c + 1) * s.inner; ++i) {
      total += run[i];
      sums.absolute[c] += absolute[i];
      run[i] = absolute[i] = 0;
    }
    sums.total[c] += total;
    sums.squared[c] += total * total;
  }
}

}  // namespace

void taylor_gain_params_cpu(const TaylorSlice& s, int64_t channels, int64_t begin, int64_t end, const TaylorSums& sums,
                            double* scratch) {
  if (has_short_rows(s)) return add_short_rows(s, channels, begin, end, sums, scratch);
  const TaylorRange range{0, 1, 0, s.outer, 0, s.inner, begin, end, true};
  NS_TARGET::taylor_gain_cpu({s, 1, channels, 0, 0}, range, sums);
}

}  // namespace netsculpt::NS_TARGET
