#pragma once

#include <cuda_runtime_api.h>

#include "tridiagonal_extreme.h"

namespace netsculpt {
// `scratch` is [m, 8, k] of the matrices' type.
cudaError_t tridiagonal_extreme_launch(const TridiagonalExtremeArgs& a, void* scratch, cudaStream_t stream);
}  // namespace netsculpt
