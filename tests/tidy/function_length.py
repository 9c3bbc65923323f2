"""No function is over 70 lines, but for those in long_functions.txt, which may only get shorter."""

import cpp_source
from tree import Finding

LINES_MAX = 70
LIST = "tests/tidy/long_functions.txt"


def check(tree):
    listed = _listed(tree)
    findings = []
    for path in tree.cpp_paths():
        for function in cpp_source.functions(tree.text(path)):
            lines = function.last_line - function.first_line + 1
            key = (path, function.qualified_name)
            _, allowed = listed.pop(key, (0, LINES_MAX)) if lines > LINES_MAX else (0, LINES_MAX)
            if lines > allowed:
                findings.append(Finding(path, function.first_line,
                                        f"{function.qualified_name} has {lines} lines, {allowed} allowed"))
            elif lines < allowed and allowed > LINES_MAX:
                findings.append(Finding(LIST, 1, f"{path} {function.qualified_name} has {lines} lines "
                                        f"now: write {lines} here, so that it stays so"))
    for (path, name), (number, _) in listed.items():
        findings.append(Finding(LIST, number, f"{path} {name} is no longer long: take it off"))
    return findings


def _listed(tree):
    """{(file, function): (line of the list, lines allowed)}; a line is: FILE FUNCTION LINES."""
    listed = {}
    if tree.exists(LIST):
        for number, line in tree.lines(LIST):
            if line and not line.startswith("#"):
                path, name, lines = line.split()
                listed[(path, name)] = (number, int(lines))
    return listed
