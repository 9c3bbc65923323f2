#include "storage/tool/report.h"

#include <fmt/format.h>

#include <string_view>

namespace millrace::storage {
namespace {

using nlohmann::json;

std::string_view name(Finding::Kind kind) {
  switch (kind) {
    case Finding::Kind::copy:
      return "copy";
    case Finding::Kind::rot:
      return "rot";
    case Finding::Kind::lost:
      return "lost";
    case Finding::Kind::unknown:
      return "unknown";
    case Finding::Kind::unusable:
      return "unusable";
  }
  return "unknown";
}

// [first, last] of each
json json_of(const std::vector<OffsetSpan>& spans) {
  json all = json::array();
  for (const OffsetSpan& span : spans) all.push_back(json::array({span.first, span.end - 1}));
  return all;
}

json json_of(const Finding& finding) {
  json one = {{"kind", name(finding.kind)}, {"place", finding.place}, {"what", finding.what}};
  if (finding.partition) {
    one["partition"] = base::raw(*finding.partition);
    one["first_offset"] = finding.first_offset;
    one["last_offset"] = finding.last_offset;
  }
  return one;
}

}  // namespace

std::string text_of(const ShardSurvey& survey) {
  std::string text = fmt::format("shard {}: ", base::raw(survey.identity.shard));
  if (survey.superblock) {
    text += fmt::format("generation {}, {}, journal positions {} to {}, ",
                        survey.superblock->generation,
                        survey.superblock->clean ? "stopped in order" : "not stopped in order",
                        survey.superblock->head, survey.journal_end);
  }
  text += fmt::format("{} segment files of {} bytes\n", survey.files.size(), survey.segment_bytes);
  for (const auto& [id, partition] : survey.partitions) {
    text += fmt::format("  partition {}: offsets {} up to {}{}\n", id, partition.log_start,
                        partition.log_end, partition.refuses_appends ? ", refuses appends" : "");
  }
  for (const Finding& finding : survey.findings) {
    text += fmt::format("  {:8} {}: {}\n", name(finding.kind), finding.place, finding.what);
  }
  return text;
}

json json_of(const ShardSurvey& survey) {
  json partitions = json::array();
  for (const auto& [id, partition] : survey.partitions) {
    partitions.push_back({{"partition", id},
                          {"log_start", partition.log_start},
                          {"log_end", partition.log_end},
                          {"missing", json_of(partition.missing)},
                          {"refuses_appends", partition.refuses_appends}});
  }
  json findings = json::array();
  for (const Finding& finding : survey.findings) findings.push_back(json_of(finding));
  json shard = {{"shard", base::raw(survey.identity.shard)},
                {"segment_files", survey.files.size()},
                {"segment_bytes", survey.segment_bytes},
                {"partitions", partitions},
                {"findings", findings}};
  if (survey.superblock) {
    shard["generation"] = survey.superblock->generation;
    shard["clean"] = survey.superblock->clean;
    shard["journal_head"] = survey.superblock->head;
    shard["journal_end"] = survey.journal_end;
  }
  return shard;
}

json json_of(const Salvaged& salvaged) {
  json partitions = json::array();
  for (const SalvagedPartition& one : salvaged.partitions) {
    partitions.push_back({{"partition", one.partition},
                          {"file", one.file},
                          {"bytes", one.bytes},
                          {"there", json_of(one.there)},
                          {"missing", json_of(one.missing)}});
  }
  json all = {{"partitions", partitions}};
  if (!salvaged.unassigned_file.empty()) {
    all["unassigned"] = {{"file", salvaged.unassigned_file}, {"bytes", salvaged.unassigned_bytes}};
  }
  return all;
}

}  // namespace millrace::storage
