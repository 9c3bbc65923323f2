// Exposition: see exposition.h.
#include "control/metrics/exposition.h"

#include <fmt/format.h>

#include <iterator>

namespace millrace::control {

namespace {

void append_escaped(std::string& to, std::string_view value) {
  for (const char c : value) {
    if (c == '\\' || c == '"') to += '\\';
    if (c == '\n') {
      to += "\\n";
      continue;
    }
    to += c;
  }
}

}  // namespace

void Exposition::sample(std::uint64_t value, std::initializer_list<Label> labels) {
  begin_sample(labels);
  fmt::format_to(std::back_inserter(text_), " {}\n", value);
}

void Exposition::sample(double value, std::initializer_list<Label> labels) {
  begin_sample(labels);
  fmt::format_to(std::back_inserter(text_), " {}\n", value);
}

void Exposition::family(std::string_view name, std::string_view help, std::string_view type) {
  family_ = name;
  fmt::format_to(std::back_inserter(text_), "# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

void Exposition::begin_sample(std::initializer_list<Label> labels) {
  text_ += family_;
  if (labels.size() == 0) return;
  char separator = '{';
  for (const auto& [name, value] : labels) {
    text_ += separator;
    text_ += name;
    text_ += "=\"";
    append_escaped(text_, value);
    text_ += '"';
    separator = ',';
  }
  text_ += '}';
}

}  // namespace millrace::control
