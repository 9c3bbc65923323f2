// Documents: the admin API's JSON, from the catalog and the region.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "control/admin/node.h"

namespace millrace::control {

// {"name", "id", "partitions", "durability", "created"}
nlohmann::json topic_document(const Topic& topic);
// {"topics": [the above with "records" and "bytes" held]}
nlohmann::json topic_list_document(Node& node, const std::vector<Topic>& topics);
// The above with "offsets": [{"partition", "id", "log_start", "log_end", "durable_end", "bytes",
// "damaged"}]; a partition that the data plane does not hold (yet) has "present": false instead.
nlohmann::json topic_offsets_document(Node& node, const Topic& topic);

// /v1/status; its keys are listed in control/README.md.
nlohmann::json status_document(Node& node);

}  // namespace millrace::control
