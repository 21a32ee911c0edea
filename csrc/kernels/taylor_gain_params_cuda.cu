#include "core/cuda_team.cuh"
#include "taylor_gain_params_cuda.h"

namespace netsculpt {
namespace {

constexpr int kThreads = 512;
constexpr int64_t kWidth = 8;  // channels of a block: adjacent float32 channels then fill a sector of memory

__global__ void __launch_bounds__(kThreads, 1) taylor_gain_params_kernel(const __grid_constant__ TaylorParamsArgs a) {
  __shared__ typename BlockTeam<kThreads>::Shared shared;
  __shared__ double values[2 * kThreads];
  NS_TARGET::taylor_gain_params_body(BlockTeam<kThreads>{&shared}, a, blockIdx.x, kWidth, values);
}

}  // namespace

cudaError_t taylor_gain_params_launch(const TaylorParamsArgs& a, cudaStream_t stream) {
  if (a.channels == 0) return cudaSuccess;
  taylor_gain_params_kernel<<<static_cast<unsigned>(ceil_div(a.channels, kWidth)), kThreads, 0, stream>>>(a);
  return cudaGetLastError();
}

}  // namespace netsculpt
