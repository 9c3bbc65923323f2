"""Reads C++ far enough to find its functions. It relies on clang-format's spacing: the brace that
opens a body stands after a space, the brace of an initialiser after what it initialises."""

import re
from dataclasses import dataclass

RAW_STRING = re.compile(r'R"([^(\s]*)\(')
NOT_A_FUNCTION = re.compile(r"\b(namespace|class|struct|union|enum|concept)\b|\bextern\s*$")
NAME_BEFORE_PARENTHESIS = re.compile(r"((?:[A-Za-z_]\w*\s*::\s*)*~?(?:operator\s*\S+?|[A-Za-z_]\w*))\s*\(")


@dataclass(frozen=True)
class Function:
    name: str  # without what qualifies it: "push"
    qualified_name: str  # as written: "Ring::push"
    first_line: int  # where its signature begins
    name_line: int
    last_line: int
    body: str  # blanked of comments and strings


def blank(text):
    """The text with comments, preprocessor lines, and the insides of strings and characters as
    spaces; every character keeps its place."""
    out = list(text)

    def erase(start, end):
        for k in range(start, min(end, len(out))):
            if out[k] != "\n":
                out[k] = " "

    i, length = 0, len(text)
    while i < length:
        c = text[i]
        if text.startswith("//", i):
            end = text.find("\n", i)
            end = length if end < 0 else end
            erase(i, end)
        elif text.startswith("/*", i):
            end = text.find("*/", i + 2)
            end = length if end < 0 else end + 2
            erase(i, end)
        elif c == "#" and text[text.rfind("\n", 0, i) + 1 : i].strip() == "":
            end = i
            while True:
                end = text.find("\n", end)
                if end < 0:
                    end = length
                    break
                if text[end - 1] != "\\":
                    break
                end += 1
            erase(i, end)
        elif c == "R" and (raw := RAW_STRING.match(text, i)) and not _in_word(text, i):
            end = text.find(")" + raw.group(1) + '"', i)
            end = length if end < 0 else end + len(raw.group(1)) + 2
            erase(i + 1, end)
        elif c == '"' or (c == "'" and not _in_word(text, i)):
            end = i + 1
            while end < length and text[end] != c and text[end] != "\n":
                end += 2 if text[end] == "\\" else 1
            erase(i + 1, end)
            end += 1
        else:
            end = i + 1
        i = end
    return "".join(out)


def _in_word(text, i):
    return i > 0 and (text[i - 1].isalnum() or text[i - 1] == "_")


def _matching_brace(text, opening):
    depth = 0
    for i in range(opening, len(text)):
        if text[i] == "{":
            depth += 1
        elif text[i] == "}":
            depth -= 1
            if depth == 0:
                return i
    return len(text) - 1


def _is_function(head):
    """Whether a brace after this head, at the scope of a namespace or class, opens a body."""
    outside = re.sub(r"\([^()]*\)", "()", head)
    while outside != (shorter := re.sub(r"\([^()]*\([^()]*\)[^()]*\)", "()", outside)):
        outside = shorter
    if "()" not in outside:
        return False
    before_parameters = re.sub(r"template\s*<[^{}]*?>\s*(?=\w)", "", outside)
    before_parameters = re.sub(r"\b(alignas|requires|__attribute__)\s*\(\)", "", before_parameters)
    before_parameters = before_parameters.split("()")[0]
    if NOT_A_FUNCTION.search(before_parameters):
        return False
    return not re.search(r"(?<![=!<>])=(?!=)", before_parameters.replace("operator=", ""))


def functions(text):
    """Every function defined at the scope of a namespace or a class."""
    code = blank(text)
    found = []
    head_start = i = 0
    while i < len(code):
        c = code[i]
        if c == ";" or c == "}":
            head_start = i + 1
        elif c == ":" and re.search(r"\b(public|private|protected)\s*$", code[head_start:i]):
            head_start = i + 1
        elif c == "{":
            head = code[head_start:i]
            if i > 0 and not code[i - 1].isspace() or re.search(r"=\s*$", head):
                i = _matching_brace(code, i)  # an initialiser; the head goes on
            elif _is_function(head):
                end = _matching_brace(code, i)
                found.append(_function(code, head_start, head, i, end))
                i = end
                head_start = i + 1
            else:
                head_start = i + 1
        i += 1
    return found


def _function(code, head_start, head, opening, closing):
    first = head_start + len(head) - len(head.lstrip())
    named = NAME_BEFORE_PARENTHESIS.search(head)
    qualified = re.sub(r"\s", "", named.group(1)) if named else "?"
    name_at = head_start + (named.start(1) if named else 0)

    def line_of(position):
        return code.count("\n", 0, position) + 1

    return Function(
        name=qualified.split("::")[-1],
        qualified_name=qualified,
        first_line=line_of(first),
        name_line=line_of(name_at),
        last_line=line_of(closing),
        body=code[opening : closing + 1],
    )
