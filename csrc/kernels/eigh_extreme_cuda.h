#pragma once

#include <cuda_runtime_api.h>

#include "eigh_extreme.h"

namespace netsculpt {

// Bytes of device scratch for a launch over `matrices` matrices; zero where shared memory is enough.
int64_t eigh_extreme_cuda_scratch(const EighExtremeArgs& a, int64_t matrices, bool float64);

// Matrices [begin, end), computed in float64 or in their own type.
cudaError_t eigh_extreme_launch(const EighExtremeArgs& a, int64_t begin, int64_t end, bool float64, void* scratch,
                                cudaStream_t stream);

// Waits for the stream and copies a.status [a.count] to the host.
cudaError_t eigh_extreme_status(const EighExtremeArgs& a, int32_t* host, cudaStream_t stream);

}  // namespace netsculpt
