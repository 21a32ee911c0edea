// What the CUDA bindings add: torch's current stream, and launch errors as one sentence.
#pragma once

#include <cuda_runtime_api.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>

#include "common.h"

namespace netsculpt {

using torch::stable::accelerator::DeviceGuard;

// torch >= 2.13 has getCurrentStream().nativeHandle(); until the target is raised, only this call is right.
inline cudaStream_t current_stream(const Tensor& t) {
  void* stream = nullptr;
  const AOTITorchError error = aoti_torch_get_current_cuda_stream(t.get_device_index(), &stream);
  check(error == 0, "netsculpt: torch gave no CUDA stream for device ", t.get_device_index());
  return static_cast<cudaStream_t>(stream);
}

inline void check_launch(cudaError_t error, const char* op) {
  check(error == cudaSuccess, op, ": CUDA error: ", cudaGetErrorString(error));
}

}  // namespace netsculpt
