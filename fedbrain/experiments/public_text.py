"""What a page for others may show of command lines and configurations: no folders, no subjects."""

import ast
import re
import shlex
from pathlib import Path

PATH, SUBJECT, ARGUMENTS = "(path)", "(subject)", "(arguments not shown)"
_QUOTED = re.compile(r"""(['"])(?:~[^'"/\\]*|[A-Za-z]:|file:)?[/\\].*?\1""")
_ABSOLUTE = re.compile(r"""(?<![\w.)])(?:~[^\s'"/\\]*|[A-Za-z]:)?[/\\][^\s'",;)]*""")
_SUBJECT = re.compile(r"\bsub-[^\s_'\",:;)/]+(?:_ses-[^\s_'\",:;)/]+)?")
_SITE_ARGUMENTS = ("label", "pattern", "pipeline", "subjects", "ms")  # name no person, no folder
_OWN = re.compile(r"--?(config\.(\w+\.)*sites\b[^=]*|site|cache|config\.(\w+\.)*cache)(=|$)")


def hide(text: str) -> str:
    """Text without absolute paths and names of subjects.

    Args:
      text: of a file.

    >>> hide("run('/data/lyon/x'), phenotype/sdmt, sub-01_ses-2: n/a")
    "run('(path)'), phenotype/sdmt, (subject): n/a"
    """
    text = _QUOTED.sub(rf"\1{PATH}\1", text)
    return _SUBJECT.sub(SUBJECT, _ABSOLUTE.sub(PATH, text))


def public_site(call: str) -> str:
    """How a site was read, without its folder and its lists of subjects.

    Args:
      call: of `config.sites`.

    >>> public_site("bids('/data/lyon', label='age', exclude='sub-01')")
    "bids(label='age')"
    """
    try:
        node = ast.parse(call.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        return "n/a"
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return "n/a"
    kept = [k for k in node.keywords if k.arg in _SITE_ARGUMENTS]
    arguments = ", ".join(f"{k.arg}={ast.unparse(k.value)}" for k in kept)
    return hide(f"{node.func.id}({arguments})")


def public_command(command: str) -> str:
    """A command line without folders, sites' arguments and names of subjects; arguments of other
    programs than fedbrain's are not shown.

    Args:
      command: as `made_by.json` has it.

    >>> public_command("/usr/bin/python /x/bin/fedbrain train mine --site a=/data/a,exclude=sub-1")
    'python fedbrain train mine --site (path)'
    >>> public_command("python -c 'print(1)'")
    'python (arguments not shown)'
    """
    try:
        words = shlex.split(command)
    except ValueError:
        return ARGUMENTS
    if not words:
        return ""
    program = [Path(words[0]).name]
    if words[1:2] == ["-m"] and len(words) > 2 and words[2].startswith("fedbrain"):
        program, rest = [*program, "-m", words[2]], words[3:]
    elif len(words) > 1 and Path(words[1]).name == "fedbrain":
        program, rest = [*program, "fedbrain"], words[2:]
    elif program == ["fedbrain"]:
        rest = words[1:]
    else:
        return " ".join([hide(program[0]), ARGUMENTS])
    return " ".join([*program, *_public_words(rest)])


def _public_words(words: list[str]) -> list[str]:
    shown, hidden = [], False
    for word in words:
        own = _OWN.match(word)
        if hidden:
            shown.append(PATH)
        elif own:
            shown.append(f"{own[0]}{PATH}" if own[0].endswith("=") else word)
        else:
            flag, equals, value = word.partition("=")
            whole = re.match(r"~|[A-Za-z]:\\|/|\\", value if equals else word)
            shown.append(f"{flag}={PATH}" if whole and equals else PATH if whole else hide(word))
        hidden = bool(own) and not word.endswith("=") and "=" not in word
    return shown
