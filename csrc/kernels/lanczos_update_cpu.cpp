#include "core/target.h"
// target.h first: it sets the instruction set
#include "lanczos_update.h"

namespace netsculpt::NS_TARGET {

void lanczos_update_cpu(const LanczosUpdateArgs& a, int64_t begin, int64_t end) {
  for (int64_t m = begin; m < end; ++m) {
    if (a.dtype == Dtype::kFloat64)
      lanczos_update_body<double>(SerialTeam{}, a, m);
    else
      lanczos_update_body<float>(SerialTeam{}, a, m);
  }
}

}  // namespace netsculpt::NS_TARGET
