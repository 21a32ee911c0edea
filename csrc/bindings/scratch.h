// Scratch memory for the CPU ops: one aligned block a worker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>

namespace netsculpt {

class WorkerScratch {
 public:
  WorkerScratch(int64_t workers, int64_t bytes)
      : stride_((bytes + kAlign - 1) / kAlign * kAlign),
        memory_(
            static_cast<char*>(::operator new(static_cast<std::size_t>(workers * stride_), std::align_val_t(kAlign)))) {
  }
  ~WorkerScratch() { ::operator delete(memory_, std::align_val_t(kAlign)); }
  WorkerScratch(const WorkerScratch&) = delete;
  WorkerScratch& operator=(const WorkerScratch&) = delete;

  void* of(int64_t worker) const { return memory_ + worker * stride_; }

 private:
  static constexpr int64_t kAlign = 64;  // a cache line, and the widest vector
  int64_t stride_;
  char* memory_;
};

}  // namespace netsculpt
