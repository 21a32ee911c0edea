// Which SIMD target the CPU ops run with, chosen once at run time.
#pragma once

#include <cstdint>

namespace netsculpt {

enum class SimdLevel : int { kBaseline = 0, kAvx2 = 1, kAvx512 = 2 };

// The best level this processor has, lowered by torch's own ATEN_CPU_CAPABILITY (default, avx2, avx512).
SimdLevel simd_level();
const char* simd_level_name();

}  // namespace netsculpt

// Declares `ret name params` in every target's namespace and a dispatcher of the same name in netsculpt.
// Use: NS_DECLARE_CPU(void, coupled_gram_cpu, (const CoupledGramArgs& a, int64_t i), (a, i))
#if defined(__x86_64__)
#define NS_DECLARE_CPU(ret, name, params, args)                \
  namespace netsculpt {                                        \
  namespace baseline { ret name params; }                      \
  namespace avx2 { ret name params; }                          \
  namespace avx512 { ret name params; }                        \
  inline ret name params {                                     \
    const SimdLevel level = simd_level();                      \
    if (level == SimdLevel::kAvx512) return avx512::name args; \
    if (level == SimdLevel::kAvx2) return avx2::name args;     \
    return baseline::name args;                                \
  }                                                            \
  }
#else
#define NS_DECLARE_CPU(ret, name, params, args)          \
  namespace netsculpt {                                  \
  namespace baseline { ret name params; }                \
  inline ret name params { return baseline::name args; } \
  }
#endif
