// SegmentList: the segments of one file, in a third of the memory that SegmentEntry takes.
// Core:  none.
// Owns:  the entries, each as differences to what the one before it makes likely. So they are read
//        from front to back only; each of them comes back exactly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <vector>

#include "storage/segment.h"

namespace millrace::storage {

class SegmentList {
 public:
  // What it points at stays until it moves on.
  class Iterator {
   public:
    using value_type = SegmentEntry;
    using reference = const SegmentEntry&;
    using pointer = const SegmentEntry*;
    using difference_type = std::ptrdiff_t;
    using iterator_category = std::input_iterator_tag;

    Iterator() = default;
    reference operator*() const { return entry_; }
    pointer operator->() const { return &entry_; }
    Iterator& operator++();
    Iterator operator++(int) {
      Iterator before = *this;
      ++*this;
      return before;
    }
    bool operator==(const Iterator& other) const { return left_ == other.left_; }

   private:
    friend class SegmentList;
    Iterator(const std::byte* at, std::size_t left) : at_(at), left_(left) {
      if (left_ != 0) take();
    }
    void take();

    const std::byte* at_ = nullptr;  // of the next one
    std::size_t left_ = 0;           // this one included
    SegmentEntry entry_;
  };

  SegmentList() = default;
  explicit SegmentList(std::span<const SegmentEntry> entries);

  Iterator begin() const { return {bytes_.data(), count_}; }
  Iterator end() const { return {}; }
  std::size_t size() const { return count_; }
  bool empty() const { return count_ == 0; }
  // Walks there.
  SegmentEntry at(std::size_t index) const;
  std::size_t packed_bytes() const { return bytes_.size(); }

 private:
  std::vector<std::byte> bytes_;
  std::size_t count_ = 0;
};

}  // namespace millrace::storage
