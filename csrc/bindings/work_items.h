// Items of unequal cost on torch's threads: each worker takes the next one when it is free.
#pragma once

#include <atomic>
#include <memory>

#include "common.h"

namespace netsculpt {

constexpr int64_t kScratchAlignment = 64;  // a cache line, and the widest vector

// Memory with a start on a cache line, not initialised.
class Scratch {
 public:
  explicit Scratch(int64_t bytes) : memory_(new char[static_cast<size_t>(bytes + kScratchAlignment)]) {}

  char* data() const {
    const auto address = reinterpret_cast<uintptr_t>(memory_.get());
    return memory_.get() + (kScratchAlignment - address % kScratchAlignment);
  }

 private:
  std::unique_ptr<char[]> memory_;
};

// Runs f(item, scratch) for every item, in any order: an item's result must not depend on its worker. A worker
// has `scratch_bytes` (a multiple of the alignment) to itself. f must not throw.
template <class F>
inline void for_items(int64_t items, int64_t scratch_bytes, const F& f) {
  const int64_t workers = std::min<int64_t>(items, torch::stable::get_num_threads());
  if (workers == 0) return;
  const Scratch scratch(workers * scratch_bytes);
  std::atomic<int64_t> next{0};
  for_workers(workers, [&](int64_t w) {
    for (int64_t item = next++; item < items; item = next++) f(item, scratch.data() + w * scratch_bytes);
  });
}

}  // namespace netsculpt
