// What taylor_gain and taylor_gain_params share: activations (or a parameter) and gradients seen as
// samples x outer positions x channels x inner positions, and sums over parts of them.
#pragma once

#include "core/dtype.h"
#include "core/sizes.h"
#include "core/team.h"

namespace netsculpt {

// One sample of the two tensors. Strides are in elements.
struct TaylorSlice {
  const void *a, *g;
  int64_t outer, inner;  // positions around the channel dimension
  int64_t a_outer, g_outer, a_channel, g_channel;
  Dtype dtype;
  bool by_row;  // inner positions are adjacent in memory; else inner is 1 and channels are adjacent
};

struct TaylorView {
  TaylorSlice slice;  // of sample 0
  int64_t samples, channels, a_sample, g_sample;
};

// A part of a view, and whether it holds samples to their end, so that their sums may be squared.
struct TaylorRange {
  int64_t sample_begin, sample_end, outer_begin, outer_end, inner_begin, inner_end, channel_begin, channel_end;
  bool closes;
};

// How a view is cut into pieces: several whole samples each (cuts = 0), or a sample in `cuts` parts. It follows from
// the shape alone, so no result depends on the number of threads.
struct TaylorPlan {
  int64_t samples_per_piece, cuts, pieces;
};

enum TaylorKind : int { kSigned, kAbsolute, kSquared, kRun, kTaylorKinds };  // kRun: the sum of a sample not yet closed

// Where to add; each points at channel 0 of a row of sums.
struct TaylorSums {
  double *total, *absolute, *squared, *run;
};

// Pieces of about `positions` positions; whole samples come in multiples of `group`.
NS_HD TaylorPlan taylor_plan(const TaylorView& v, int64_t positions, int64_t group) {
  const int64_t per_sample = v.slice.outer * v.slice.inner;
  if (v.samples == 0 || v.channels == 0 || per_sample == 0) return {1, 0, 0};
  if (per_sample * group > positions) {
    const int64_t longest = v.slice.outer > v.slice.inner ? v.slice.outer : v.slice.inner;
    const int64_t wanted = ceil_div(per_sample, positions);
    const int64_t cuts = ceil_div(longest, ceil_div(longest, wanted));  // none of them empty
    return {1, cuts, v.samples * cuts};
  }
  const int64_t per_piece = ceil_div(positions / per_sample, group) * group;
  return {per_piece, 0, ceil_div(v.samples, per_piece)};
}

// Piece `p`, all channels.
NS_HD TaylorRange taylor_range(const TaylorView& v, const TaylorPlan& plan, int64_t p) {
  TaylorRange r{0, 0, 0, v.slice.outer, 0, v.slice.inner, 0, v.channels, plan.cuts == 0};
  if (plan.cuts == 0) {
    r.sample_begin = p * plan.samples_per_piece;
    r.sample_end = r.sample_begin + plan.samples_per_piece;
    if (r.sample_end > v.samples) r.sample_end = v.samples;
    return r;
  }
  r.sample_begin = p / plan.cuts;
  r.sample_end = r.sample_begin + 1;
  const bool cut_outer = v.slice.outer > v.slice.inner;
  const int64_t longest = cut_outer ? v.slice.outer : v.slice.inner, length = ceil_div(longest, plan.cuts);
  const int64_t begin = p % plan.cuts * length, end = begin + length < longest ? begin + length : longest;
  (cut_outer ? r.outer_begin : r.inner_begin) = begin;
  (cut_outer ? r.outer_end : r.inner_end) = end;
  return r;
}

namespace NS_TARGET {

struct TaylorPair {
  double total, absolute;
};

NS_HD float magnitude(float x) { return x < 0 ? -x : x; }
NS_HD double magnitude(double x) { return x < 0 ? -x : x; }

// Adds a*g and |a*g| over `count` places a_step and g_step apart. Four products are added in the compute type, the
// rest in float64.
template <class T>
NS_HD void add_strided(const T* a, const T* g, int64_t count, int64_t a_step, int64_t g_step, TaylorPair* sum) {
  using C = typename ComputeType<T>::type;
  int64_t i = 0;
  for (; i + 4 <= count; i += 4, a += 4 * a_step, g += 4 * g_step) {
    C p[4];
    for (int k = 0; k < 4; ++k) p[k] = widen<C>(a[k * a_step]) * widen<C>(g[k * g_step]);
    sum->total += static_cast<double>((p[0] + p[1]) + (p[2] + p[3]));
    sum->absolute += static_cast<double>((magnitude(p[0]) + magnitude(p[1])) + (magnitude(p[2]) + magnitude(p[3])));
  }
  for (; i < count; ++i, a += a_step, g += g_step) {
    const C p = widen<C>(*a) * widen<C>(*g);
    sum->total += static_cast<double>(p);
    sum->absolute += static_cast<double>(magnitude(p));
  }
}

// How many of begin, begin + step, ... lie below end.
NS_HD int64_t strided_count(int64_t begin, int64_t end, int64_t step) {
  return begin < end ? (end - begin + step - 1) / step : 0;
}

// Member `member` of `members` adds its share of one channel of one sample, `a` and `g` being where that channel
// starts. Inner positions are adjacent, and dealt out in turn.
template <class T>
NS_HD void add_row_share(const TaylorSlice& s, const T* a, const T* g, const TaylorRange& r, int64_t member,
                         int64_t members, TaylorPair* sum) {
  const int64_t i = r.inner_begin + member, count = strided_count(i, r.inner_end, members);
  for (int64_t o = r.outer_begin; o < r.outer_end; ++o)
    add_strided(a + o * s.a_outer + i, g + o * s.g_outer + i, count, members, members, sum);
}

// The same where channels are adjacent: outer positions are dealt out in turn.
template <class T>
NS_HD void add_column_share(const TaylorSlice& s, const T* a, const T* g, const TaylorRange& r, int64_t member,
                            int64_t members, TaylorPair* sum) {
  const int64_t o = r.outer_begin + member, count = strided_count(o, r.outer_end, members);
  add_strided(a + o * s.a_outer, g + o * s.g_outer, count, members * s.a_outer, members * s.g_outer, sum);
}

// Adds up each of `kinds` rows of team.size() values over the members of a group, in a fixed tree; member 0's place
// gets the sum. Members lie `step` ranks apart; a rank without a group passes members as its member. Every rank has
// written its values before; all may read the sums afterwards.
template <class Team>
NS_HD void fold_members(const Team& team, double* values, int kinds, int64_t member, int64_t members, int64_t step) {
  team.sync();  // values: written by every rank
  for (int64_t n = members; n > 1;) {
    const int64_t half = (n + 1) / 2;
    if (member + half < n)
      for (int k = 0; k < kinds; ++k) {
        double* value = values + k * team.size() + team.rank();
        *value += value[half * step];
      }
    n = half;
    team.sync();  // values: the first half holds the sums of both
  }
}

}  // namespace NS_TARGET
}  // namespace netsculpt
