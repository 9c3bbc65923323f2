// Any bytes as a batch: check_batch and RecordReader stay inside them, and what passes stays whole.
#include <cstdlib>
#include <optional>
#include <vector>

#include "storage/batch.h"
#include "storage/crc32c.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  using namespace millrace::storage;
  const auto input = std::as_bytes(std::span(data, bytes));
  std::vector<std::byte> batch(input.begin(), input.end());
  check_batch(batch);
  if (batch.size() < batch_header_bytes || batch.size() > batch_bytes_max) return 0;

  // With length, magic and CRC put right, the fuzzer gets past the checks to the records.
  millrace::base::store_be(batch.data() + batch_field::length,
                           static_cast<std::uint32_t>(batch.size() - 12));
  batch[batch_field::magic] = std::byte{2};
  millrace::base::store_be(
      batch.data() + batch_field::crc,
      crc32c(std::span<const std::byte>(batch).subspan(batch_field::attributes)));
  if (check_batch(batch, Offsets::some) != BatchFault::none) return 0;

  const BatchView view(batch.data());
  std::vector<std::byte> kept(batch.size() + 64);
  BatchFilter filter(view, view.has_delete_horizon() ? std::nullopt : std::optional(view.crc()),
                     kept);
  RecordReader reader{view};
  Record record;
  std::int64_t records = 0;
  while (reader.next(record)) {
    ++records;
    if (record.offset % 2 == 0) filter.keep(record);
    if (record.headers.data() < batch.data() + batch_header_bytes) std::abort();
    if (record.headers.data() + record.headers.size() > batch.data() + batch.size()) std::abort();
  }
  if (!reader.malformed() && records != BatchView(batch.data()).record_count()) std::abort();
  const auto left = filter.finish();
  if (!left.empty() && check_batch(left, Offsets::some) != BatchFault::none) std::abort();
  return 0;
}
