// Topic: see topic.h.
#include "control/catalog/topic.h"

namespace millrace::control {

using base::Error;
using base::ErrorCode;

base::Result<void> check_topic_name(std::string_view name) {
  if (name.empty()) return Error(ErrorCode::invalid_argument, "a topic's name must not be empty");
  if (name.size() > link::topic_name_bytes_max) {
    return Error(ErrorCode::invalid_argument, "a topic's name has at most {} characters, not {}",
                 link::topic_name_bytes_max, name.size());
  }
  if (name == "." || name == "..") {
    return Error(ErrorCode::invalid_argument, "a topic cannot be called \"{}\"", name);
  }
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    const bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '.' || c == '_' || c == '-';
    if (!fits) {
      // Only the place: the character itself may be anything, and this goes into JSON.
      return Error(ErrorCode::invalid_argument,
                   "character {} of the topic's name is not one of a-z A-Z 0-9 . _ -", i + 1);
    }
  }
  return {};
}

}  // namespace millrace::control
