#include "core/cuda_team.cuh"
#include "greedy_select_cuda.h"

namespace netsculpt {
namespace {

constexpr int kPrepareThreads = 256, kSelectThreads = 512;
constexpr int kWarps = kPrepareThreads / kWarp;

// A warp for each row of each problem.
template <class T>
__global__ void __launch_bounds__(kPrepareThreads) greedy_prepare_kernel(GreedySelectArgs a) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kWarps;
  for (int64_t r = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarp; r < a.batch * a.units; r += stride)
    NS_TARGET::greedy_prepare_body<T>(WarpTeam{}, a, r / a.units, r % a.units);
}

template <class T, GreedyMode kMode>
__global__ void __launch_bounds__(kSelectThreads, 1) greedy_select_kernel(GreedySelectArgs a) {
  __shared__ typename BlockTeam<kSelectThreads>::Shared shared;
  NS_TARGET::greedy_select_body<T, kMode>(BlockTeam<kSelectThreads>{&shared}, a, blockIdx.x, blockIdx.x);
}

template <class T>
cudaError_t launch(const GreedySelectArgs& a, cudaStream_t stream) {
  const int64_t blocks = ceil_div(a.batch * a.units, kWarps);
  if (blocks > 0)
    greedy_prepare_kernel<T><<<static_cast<unsigned>(blocks < 65535 ? blocks : 65535), kPrepareThreads, 0, stream>>>(a);
  NS_TARGET::for_greedy_mode(a.mode, [&](auto mode) {
    greedy_select_kernel<T, decltype(mode)::value><<<static_cast<unsigned>(a.batch), kSelectThreads, 0, stream>>>(a);
  });
  return cudaGetLastError();
}

}  // namespace

cudaError_t greedy_select_launch(const GreedySelectArgs& a, cudaStream_t stream) {
  if (a.batch == 0) return cudaSuccess;
  return a.dtype == Dtype::kFloat64 ? launch<double>(a, stream) : launch<float>(a, stream);
}

}  // namespace netsculpt
