// Report: what a survey found, as text and as JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "storage/tool/salvage.h"
#include "storage/tool/shard_survey.h"

namespace millrace::storage {

std::string text_of(const ShardSurvey& survey);
nlohmann::json json_of(const ShardSurvey& survey);
nlohmann::json json_of(const Salvaged& salvaged);

}  // namespace millrace::storage
