// taylor_gain: per channel, sum a*g, sum |a*g| and the sum over samples of (sum over positions a*g)^2.
//
// A first stage adds up pieces of the input, a second one the pieces. A sample that is cut over several pieces is
// squared by the second.
#pragma once

#include "core/simd_level.h"
#include "taylor_view.h"

namespace netsculpt {

struct TaylorGainArgs {
  TaylorView view;
  TaylorPlan plan;
  double* partial;  // [kinds, channels, pieces] for the bodies below
  double* out;      // [3, channels], contiguous
};

namespace NS_TARGET {

NS_HD void store_partial(const TaylorGainArgs& a, int64_t piece, int64_t c, int kind, double value) {
  a.partial[(kind * a.view.channels + c) * a.plan.pieces + piece] = value;
}

// Stage 1 where inner positions are adjacent: one team per piece and channel, ranks side by side in a row.
template <class T, class Team>
NS_HD void taylor_row_body(const Team& team, const TaylorGainArgs& args, int64_t piece, int64_t c) {
  const TaylorSlice& s = args.view.slice;
  const TaylorRange r = taylor_range(args.view, args.plan, piece);
  TaylorPair mine{0, 0};
  double squared = 0, run = 0;
  for (int64_t b = r.sample_begin; b < r.sample_end; ++b) {
    const T* a = static_cast<const T*>(s.a) + b * args.view.a_sample + c * s.a_channel;
    const T* g = static_cast<const T*>(s.g) + b * args.view.g_sample + c * s.g_channel;
    TaylorPair sample{0, mine.absolute};
    add_row_share(s, a, g, r, team.rank(), team.size(), &sample);
    mine.absolute = sample.absolute;
    const double total = team.sum(sample.total);
    if (r.closes) {
      mine.total += total;
      squared += total * total;
    } else {
      run = total;
    }
  }
  const double absolute = team.sum(mine.absolute);
  if (team.rank() != 0) return;
  store_partial(args, piece, c, kSigned, mine.total);
  store_partial(args, piece, c, kAbsolute, absolute);
  store_partial(args, piece, c, kSquared, squared);
  store_partial(args, piece, c, kRun, run);
}

// Stage 1 where channels are adjacent: one team per piece and tile of `width` channels, ranks side by side along the
// channels. The groups of ranks share out the samples, or the positions of a sample that was cut. `width` is at most
// team.size(); `values` is scratch of kinds * team.size() doubles.
template <class T, class Team>
NS_HD void taylor_column_body(const Team& team, const TaylorGainArgs& args, int64_t piece, int64_t tile, int64_t width,
                              double* values) {
  const TaylorSlice& s = args.view.slice;
  const TaylorRange r = taylor_range(args.view, args.plan, piece);
  const int64_t c = tile * width + team.rank() % width, members = team.size() / width;
  const bool works = team.rank() < members * width && c < args.view.channels;
  const int64_t member = works ? team.rank() / width : members;
  TaylorPair all{0, 0};
  double squared = 0, run = 0;
  if (works) {
    const int64_t step = r.closes ? members : 1;
    for (int64_t b = r.sample_begin + (r.closes ? member : 0); b < r.sample_end; b += step) {
      const T* a = static_cast<const T*>(s.a) + b * args.view.a_sample + c * s.a_channel;
      const T* g = static_cast<const T*>(s.g) + b * args.view.g_sample + c * s.g_channel;
      TaylorPair sample{0, all.absolute};
      add_column_share(s, a, g, r, r.closes ? 0 : member, r.closes ? 1 : members, &sample);
      all.absolute = sample.absolute;
      if (r.closes) {
        all.total += sample.total;
        squared += sample.total * sample.total;
      } else {
        run = sample.total;
      }
    }
  }
  double* mine = values + team.rank();
  mine[kSigned * team.size()] = all.total;
  mine[kAbsolute * team.size()] = all.absolute;
  mine[kSquared * team.size()] = squared;
  mine[kRun * team.size()] = run;
  fold_members(team, values, kTaylorKinds, member, members, width);
  if (member == 0)
    for (int kind = 0; kind < kTaylorKinds; ++kind) store_partial(args, piece, c, kind, mine[kind * team.size()]);
}

// Stage 2 for channel c: adds the pieces and squares the samples that were cut.
template <class Team>
NS_HD void taylor_combine_body(const Team& team, const TaylorGainArgs& args, int64_t c) {
  const int64_t pieces = args.plan.pieces, cuts = args.plan.cuts > 0 ? args.plan.cuts : 1;
  const double* row[kTaylorKinds];
  for (int kind = 0; kind < kTaylorKinds; ++kind) row[kind] = args.partial + (kind * args.view.channels + c) * pieces;
  double total = 0, absolute = 0, squared = 0;
  for (int64_t first = team.rank() * cuts; first < pieces; first += team.size() * cuts) {
    double run = 0;
    for (int64_t p = first; p < first + cuts; ++p) {
      total += row[kSigned][p];
      absolute += row[kAbsolute][p];
      squared += row[kSquared][p];
      run += row[kRun][p];
    }
    total += run;
    squared += run * run;
  }
  total = team.sum(total);
  absolute = team.sum(absolute);
  squared = team.sum(squared);
  if (team.rank() != 0) return;
  args.out[c] = total;
  args.out[args.view.channels + c] = absolute;
  args.out[2 * args.view.channels + c] = squared;
}

}  // namespace NS_TARGET
}  // namespace netsculpt

// Adds the part `r` of `v` to the sums. Where channels are adjacent, r.channel_begin is a multiple of 16 past the
// first, so that a channel's sum does not depend on how the channels were shared out.
NS_DECLARE_CPU(void, taylor_gain_cpu, (const TaylorView& v, const TaylorRange& r, const TaylorSums& sums), (v, r, sums))
