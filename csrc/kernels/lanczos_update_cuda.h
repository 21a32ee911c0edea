#pragma once

#include <cuda_runtime_api.h>

#include "lanczos_update.h"

namespace netsculpt {
cudaError_t lanczos_update_launch(const LanczosUpdateArgs& a, cudaStream_t stream);
}  // namespace netsculpt
