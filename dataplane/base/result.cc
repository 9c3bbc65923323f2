#include "dataplane/base/result.h"

#include <fmt/format.h>

namespace millrace::base {

void Error::write(fmt::string_view format, fmt::format_args args) {
  const auto end = fmt::vformat_to_n(text_.data(), text_.size(), format, args);
  bytes_ = static_cast<std::uint16_t>(end.size < text_.size() ? end.size : text_.size());
}

}  // namespace millrace::base
