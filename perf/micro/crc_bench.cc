// How large must bytes be for isa-l's CRC32C to be the faster one?
#include <benchmark/benchmark.h>
#include <isa-l/crc.h>

#include <vector>

#include "storage/crc32c.h"

namespace {

using millrace::storage::crc32c;

void ours(benchmark::State& state) {
  const std::vector<std::byte> bytes(static_cast<std::size_t>(state.range(0)), std::byte{7});
  std::uint32_t crc = 0;
  for (auto _ : state) crc = crc32c(bytes, crc);
  benchmark::DoNotOptimize(crc);
}

void isal(benchmark::State& state) {
  std::vector<unsigned char> bytes(static_cast<std::size_t>(state.range(0)), 7);
  std::uint32_t crc = 0;
  for (auto _ : state) crc = crc32_iscsi(bytes.data(), static_cast<int>(bytes.size()), crc);
  benchmark::DoNotOptimize(crc);
}

BENCHMARK(ours)->Arg(16)->Arg(64)->Arg(200)->Arg(255)->Arg(256)->Arg(9000);
BENCHMARK(isal)->Arg(16)->Arg(64)->Arg(200)->Arg(255)->Arg(256)->Arg(9000);

}  // namespace

BENCHMARK_MAIN();
