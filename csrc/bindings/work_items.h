// Items of unequal cost on torch's threads: each worker takes the next one when it is free.
#pragma once

#include <atomic>

#include "common.h"
#include "scratch.h"

namespace netsculpt {

// Runs f(item, scratch) for every item, in any order: an item's result must not depend on its worker. A worker
// has `scratch_bytes` to itself. f must not throw.
template <class F>
inline void for_items(int64_t items, int64_t scratch_bytes, const F& f) {
  const int64_t workers = std::min<int64_t>(items, torch::stable::get_num_threads());
  if (workers == 0) return;
  const WorkerScratch scratch(workers, scratch_bytes);
  std::atomic<int64_t> next{0};
  for_workers(workers, [&](int64_t w) {
    for (int64_t item = next++; item < items; item = next++) f(item, scratch.of(w));
  });
}

}  // namespace netsculpt
