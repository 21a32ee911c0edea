#include "core/cuda_team.cuh"
#include "lanczos_update_cuda.h"

namespace netsculpt {
namespace {

constexpr int kThreads = 128;

template <class T>
__global__ void __launch_bounds__(kThreads) lanczos_update_kernel(LanczosUpdateArgs a) {
  __shared__ BlockTeam<kThreads>::Shared shared;
  NS_TARGET::lanczos_update_body<T>(BlockTeam<kThreads>{&shared}, a, blockIdx.x);
}

}  // namespace

cudaError_t lanczos_update_launch(const LanczosUpdateArgs& a, cudaStream_t stream) {
  if (a.count == 0) return cudaSuccess;
  const unsigned blocks = static_cast<unsigned>(a.count);
  if (a.dtype == Dtype::kFloat64)
    lanczos_update_kernel<double><<<blocks, kThreads, 0, stream>>>(a);
  else
    lanczos_update_kernel<float><<<blocks, kThreads, 0, stream>>>(a);
  return cudaGetLastError();
}

}  // namespace netsculpt
