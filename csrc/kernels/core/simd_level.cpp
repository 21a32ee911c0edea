#include "simd_level.h"

#include <cstdlib>
#include <cstring>

namespace netsculpt {
namespace {

SimdLevel detect() {
  SimdLevel level = SimdLevel::kBaseline;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c") &&
      __builtin_cpu_supports("bmi2"))
    level = SimdLevel::kAvx2;
  if (level == SimdLevel::kAvx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    level = SimdLevel::kAvx512;
  if (const char* cap = std::getenv("ATEN_CPU_CAPABILITY")) {
    if (std::strcmp(cap, "default") == 0) level = SimdLevel::kBaseline;
    if (std::strcmp(cap, "avx2") == 0 && level == SimdLevel::kAvx512) level = SimdLevel::kAvx2;
  }
#endif
  return level;
}

}  // namespace

SimdLevel simd_level() {
  static const SimdLevel level = detect();
  return level;
}

const char* simd_level_name() {
  switch (simd_level()) {
    case SimdLevel::kAvx512: return "avx512";
    case SimdLevel::kAvx2: return "avx2";
    default: return "baseline";
  }
}

}  // namespace netsculpt
