// Exposition: Prometheus text format 0.0.4, built sample by sample.
// Source: https://prometheus.io/docs/instrumenting/exposition_formats/
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace millrace::control {

class Exposition {
 public:
  using Label = std::pair<std::string_view, std::string_view>;

  // Starts a family; its samples follow.
  void counter(std::string_view name, std::string_view help) { family(name, help, "counter"); }
  void gauge(std::string_view name, std::string_view help) { family(name, help, "gauge"); }

  void sample(std::uint64_t value, std::initializer_list<Label> labels = {});
  void sample(double value, std::initializer_list<Label> labels = {});

  const std::string& text() const { return text_; }

 private:
  void family(std::string_view name, std::string_view help, std::string_view type);
  void begin_sample(std::initializer_list<Label> labels);

  std::string family_;
  std::string text_;
};

}  // namespace millrace::control
