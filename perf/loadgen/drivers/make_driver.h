// make_driver: the one list of systems that load can be put on.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/base/result.h"
#include "perf/loadgen/drivers/driver.h"

namespace millrace::loadgen {

struct DriverOptions {
  std::string name;
  std::string address;  // where the system listens, in its driver's words
  std::map<std::string, std::string> settings;
};

struct DriverInfo {
  std::string name;
  std::string address;                // the default
  std::vector<std::string> settings;  // that it knows; "*" hands on whatever it gets
  std::string what;
};

const std::vector<DriverInfo>& drivers();
// An error names what is not known, and what is.
base::Result<std::unique_ptr<Driver>> make_driver(DriverOptions options);

}  // namespace millrace::loadgen
