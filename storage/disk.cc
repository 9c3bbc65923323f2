#include "storage/disk.h"

namespace millrace::storage {

std::string_view name(Durability durability) {
  switch (durability) {
    case Durability::plp:
      return "plp";
    case Durability::fua:
      return "fua";
    case Durability::flush:
      return "flush";
    case Durability::unsafe:
      return "unsafe";
  }
  return "unknown";
}

}  // namespace millrace::storage
