// Teams of CUDA threads. Reductions combine in a fixed tree, so results do not depend on scheduling.
#pragma once

#include "team.h"

namespace netsculpt {

constexpr int kWarp = 32;
constexpr unsigned kFullMask = 0xffffffffu;

// One warp; rank 0..31.
struct WarpTeam {
  __device__ int rank() const { return threadIdx.x % kWarp; }
  __device__ int size() const { return kWarp; }
  __device__ void sync() const { __syncwarp(); }

  template <class T>
  __device__ T sum(T x) const {
    for (int step = kWarp / 2; step > 0; step /= 2) x += __shfl_xor_sync(kFullMask, x, step);
    return x;
  }

  __device__ Best best(Best x) const {
    for (int step = kWarp / 2; step > 0; step /= 2) {
      Best other;
      other.value = __shfl_xor_sync(kFullMask, x.value, step);
      other.index = __shfl_xor_sync(kFullMask, static_cast<long long>(x.index), step);
      x = better(x, other);
    }
    return x;
  }
};

// One block of kThreads threads (a multiple of 32). Declare one Shared in shared memory per block.
template <int kThreads>
struct BlockTeam {
  static_assert(kThreads % kWarp == 0 && kThreads <= 1024, "a block is 1 to 32 whole warps");
  static constexpr int kWarps = kThreads / kWarp;

  struct Shared {
    double value[kWarps];
    int64_t index[kWarps];
  };

  Shared* shared;

  __device__ int rank() const { return threadIdx.x; }
  __device__ int size() const { return kThreads; }
  __device__ void sync() const { __syncthreads(); }

  template <class T>
  __device__ T sum(T x) const {
    static_assert(sizeof(T) <= sizeof(double), "sum() moves at most eight bytes a rank");
    T* slot = reinterpret_cast<T*>(shared->value);
    x = WarpTeam{}.sum(x);
    if (threadIdx.x % kWarp == 0) slot[threadIdx.x / kWarp] = x;
    __syncthreads();  // slot: written by each warp's first lane
    T total = slot[0];
    for (int w = 1; w < kWarps; ++w) total += slot[w];
    __syncthreads();  // slot may be reused
    return total;
  }

  __device__ Best best(Best x) const {
    x = WarpTeam{}.best(x);
    if (threadIdx.x % kWarp == 0) {
      shared->value[threadIdx.x / kWarp] = x.value;
      shared->index[threadIdx.x / kWarp] = x.index;
    }
    __syncthreads();  // value, index: written by each warp's first lane
    Best winner{shared->value[0], shared->index[0]};
    for (int w = 1; w < kWarps; ++w) winner = better(winner, Best{shared->value[w], shared->index[w]});
    __syncthreads();  // value, index may be reused
    return winner;
  }
};

}  // namespace netsculpt
