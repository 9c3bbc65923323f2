// Result<T>: a value, or an Error that says cause, where, and the fix.
//
// A subset of std::expected's interface, which gcc 12 has only under C++23. An Error carries its
// text inline, so one can be made on a sealed core.
#pragma once

#include <fmt/core.h>

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <variant>

#include "dataplane/base/check.h"

namespace millrace::base {

enum class ErrorCode : std::uint8_t {
  invalid_argument,  // the caller's words are off
  not_found,         // no such topic, file, device
  already_exists,
  permission,   // a capability, a limit or a file mode is in the way
  unavailable,  // a thing of the host or a peer is missing; may work later
  no_space,     // disk, memory, descriptors
  io,           // a device or file failed
  corrupt,      // bytes at rest or on the wire are not what was written
  timeout,
};

class Error {
 public:
  template <typename... Args>
  explicit Error(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) : code_(code) {
    write(format, fmt::make_format_args(args...));
  }

  ErrorCode code() const { return code_; }
  std::string_view message() const { return {text_.data(), bytes_}; }

 private:
  void write(fmt::string_view format, fmt::format_args args);

  ErrorCode code_;
  std::uint16_t bytes_ = 0;
  std::array<char, 380> text_;
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, error) {}

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  T& value() {
    CHECK(has_value());
    return *std::get_if<0>(&state_);
  }
  const T& value() const {
    CHECK(has_value());
    return *std::get_if<0>(&state_);
  }
  T& operator*() { return value(); }
  const T& operator*() const { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const {
    CHECK(!has_value());
    return *std::get_if<1>(&state_);
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : state_(std::in_place_index<1>, error) {}

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }
  const Error& error() const {
    CHECK(!has_value());
    return *std::get_if<1>(&state_);
  }

 private:
  std::variant<std::monostate, Error> state_;
};

}  // namespace millrace::base
