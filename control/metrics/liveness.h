// Is the process that the region names there, and what does it say of itself?
#pragma once

#include <string_view>

#include "dataplane/link/region.h"

namespace millrace::control {

bool is_data_plane_alive(const link::Region& region);

// "ready", "recovering", ...; "down" when its process is gone, whatever it last wrote.
std::string_view data_plane_state(const link::Region& region);

}  // namespace millrace::control
