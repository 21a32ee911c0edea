// A Team is the set of threads that works on one problem.
//
// A body strides over its work by size() and starts at rank(), so a team of one is always legal.
// sync() separates a phase that writes from a phase in which other ranks read. Every rank must reach
// every sync() and every reduction. The same body then runs as a serial CPU op (SerialTeam), as N real
// threads under ThreadSanitizer (tests/csrc/thread_team.h) and as a CUDA block or warp (cuda_team.cuh).
//
// What a team of threads cannot show: warp-synchronous tricks, alignment of vector loads, launch limits
// and the finer points of the GPU's memory model. Those need a GPU and compute-sanitizer.
#pragma once

#include "macros.h"

namespace netsculpt {

// The candidate with the larger value; the lower index wins ties, so a choice never depends on the team.
struct Best {
  double value;
  int64_t index;
};

NS_HD Best better(const Best& a, const Best& b) {
  if (a.index < 0) return b;
  if (b.index < 0) return a;
  if (a.value != b.value) return a.value > b.value ? a : b;
  return a.index < b.index ? a : b;
}

struct SerialTeam {
  NS_HD int rank() const { return 0; }
  NS_HD int size() const { return 1; }
  NS_HD void sync() const {}
  // Sum over the ranks, in rank order; every rank gets it.
  template <class T>
  NS_HD T sum(T x) const {
    return x;
  }
  // The best of the ranks' candidates (index < 0 means none); every rank gets it.
  NS_HD Best best(Best x) const { return x; }
};

}  // namespace netsculpt
