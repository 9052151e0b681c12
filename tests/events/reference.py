"""The canonical form a second time, following ``CANONICAL.md`` by plain scanning: no regular expressions, no caches.

Slow and simple on purpose; the product's implementation is held against it, as the Painless one will be.
"""

from __future__ import annotations

import hashlib
from functools import partial
from itertools import pairwise
from typing import Any

from connector.events.canonical import tables

TABLE = tables()

UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LOWER = "abcdefghijklmnopqrstuvwxyz"
DIGITS = "0123456789"
HEX = DIGITS + "abcdef"
WORD = DIGITS + LOWER
LIMIT = 16384

Units = list[int]


def _units(text: str) -> Units:
    data = text.encode("utf-16-le", "surrogatepass")
    return [data[i] | data[i + 1] << 8 for i in range(0, len(data), 2)]


def _string(units: Units) -> str:
    return b"".join(unit.to_bytes(2, "little") for unit in units).decode("utf-16-le")


def _high(unit: int) -> bool:
    return 0xD800 <= unit <= 0xDBFF


def _low(unit: int) -> bool:
    return 0xDC00 <= unit <= 0xDFFF


def scrub(text: str) -> str:
    units, out, i = _units(text), [], 0
    while i < len(units):
        if _high(units[i]) and i + 1 < len(units) and _low(units[i + 1]):
            out += units[i : i + 2]
            i += 2
            continue
        out.append(0xFFFD if _high(units[i]) or _low(units[i]) else units[i])
        i += 1
    return _string(out)


def cut(text: str, limit: int) -> str:
    units = _units(text)
    if len(units) <= limit:
        return text
    return _string(units[: limit - 1] if _high(units[limit - 1]) else units[:limit])


def lower(text: str) -> str:
    return "".join(LOWER[UPPER.index(char)] if char in UPPER else char for char in text)


def fold(text: str) -> str:
    out = ""
    for char in text:
        if char in " \t\r\n":
            out += "" if out.endswith(" ") else " "
        else:
            out += char
    out = out.removeprefix(" ")
    return out.removesuffix(" ")


def ipv4(text: str) -> str | None:
    groups = text.split(".")
    if len(groups) != 4:
        return None
    for group in groups:
        if not 1 <= len(group) <= 3 or any(char not in DIGITS for char in group) or int(group) > 255:
            return None
    a, b = int(groups[0]), int(groups[1])
    if a == 127:
        return "<loopback>"
    if a == 10 or (a == 172 and b in range(16, 32)) or (a == 192 and b == 168):
        return "<private>"
    if a == 169 and b == 254:
        return "<link-local>"
    return "<multicast>" if a >= 224 else "<any>" if a == 0 else "<public>"


def ipv6(text: str) -> str:
    bare = text
    while bare and bare[0] in "0:":
        bare = bare[1:]
    if bare == "":
        return "<any>"
    if bare == "1":
        return "<loopback>"
    for start, name in (("fe80", "<link-local>"), ("ff", "<multicast>"), ("fc", "<private>"), ("fd", "<private>")):
        if text[: len(start)] == start:
            return name
    return "<public>"


def address(text: str) -> str:
    text = lower(text)
    if text[:7] == "::ffff:":
        four = ipv4(text[7:])
        if four:
            return four
    else:
        four = ipv4(text)
        if four:
            return four
    bare = text.split("%")[0]
    return ipv6(bare) if ":" in bare and all(char in HEX + ":" for char in bare) else "<name>"


def user(text: str) -> str:  # noqa: PLR0911
    name = lower(text).split("\\")[-1].split("@")[0]
    if name in ("system", "localsystem", "local system", "s-1-5-18"):
        return "<system>"
    if name in ("local service", "localservice", "network service", "networkservice", "defaultapppool"):
        return "<service>"
    if name in ("s-1-5-19", "s-1-5-20"):
        return "<service>"
    for start in ("s-1-5-80-", "s-1-5-82-", "s-1-5-83-", "s-1-5-90-", "s-1-5-96-", "dwm-", "umfd-"):
        if name[: len(start)] == start:
            return "<service>"
    if name in ("anonymous logon", "s-1-5-7", "s-1-0-0", "guest", "s-1-1-0"):
        return "<anonymous>"
    if name == "krbtgt":
        return "<krbtgt>"
    return "<machine>" if name[-1:] == "$" else "<user>"


PRIVATE = (".local", ".lan", ".internal", ".corp", ".home", ".localdomain", ".intranet", ".private", ".test")


def domain(text: str) -> str:
    text = lower(text)
    while text[-1:] == ".":
        text = text[:-1]
    return "<host>" if "." not in text or any(text.endswith(end) for end in PRIVATE) else running(text)


def stack(text: str) -> str:
    names: list[str] = []
    for frame in lower(text).split("|"):
        name = "unknown" if frame[:7] == "unknown" else frame.split("\\")[-1].split("+")[0]
        if names[-1:] != [name]:
            names.append(name)
    return "|".join(names[:24])


BASE64 = UPPER + LOWER + DIGITS + "+/"


def payload(bare: str) -> bool:
    if all(char in HEX + "ABCDEF" for char in bare):
        return len(bare) > 64
    few = sum(char == "/" for char in bare) * 16 <= len(bare)
    mixed = any(c in UPPER for c in bare) and any(c in LOWER for c in bare) and any(c in DIGITS + "+" for c in bare)
    return few and mixed


def running(text: str, named: bool = False) -> str:
    out, stretch, i = "", "", 0
    while i < len(text):
        j = i
        while j < len(text) and text[j] in BASE64:
            j += 1
        if j - i >= 32 and payload(text[i:j]):
            k = j
            while k < len(text) and k < j + 2 and text[k] == "=":
                k += 1
            out += scan(lower(stretch), named) + text[i:k]
            stretch, i = "", k
        elif j > i:
            stretch, i = stretch + text[i:j], j
        else:
            stretch, i = stretch + text[i], i + 1
    return out + scan(lower(stretch), named)


def run(text: str, i: int, chars: str) -> int:
    while i < len(text) and text[i] in chars:
        i += 1
    return i


def at(text: str, i: int, chars: str) -> bool:
    return 0 <= i < len(text) and text[i] in chars


def guid(text: str, i: int) -> int:
    for index, size in enumerate((8, 4, 4, 4, 12)):
        if index:
            if not at(text, i, "-"):
                return -1
            i += 1
        if i + size > len(text) or any(char not in HEX for char in text[i : i + size]):
            return -1
        i += size
    return -1 if at(text, i, WORD) else i


def date(text: str, i: int) -> int:
    for index, size in enumerate((4, 2, 2)):
        if index:
            if not at(text, i, "-"):
                return -1
            i += 1
        if i + size > len(text) or any(char not in DIGITS for char in text[i : i + size]):
            return -1
        i += size
    return -1 if at(text, i, DIGITS) else i


def dotted(text: str, i: int) -> int:
    groups = 0
    end = run(text, i, DIGITS)
    if end == i:
        return -1
    groups = 1
    while at(text, end, ".") and at(text, end + 1, DIGITS):
        end = run(text, end + 1, DIGITS)
        groups += 1
    return -1 if groups < 3 or at(text, end, WORD) else end


def word(text: str) -> str:
    if text[:2] == "0x" and len(text) >= 7 and all(char in HEX for char in text[2:]):
        return "<hex>"
    if all(char in DIGITS for char in text):
        return "<n>" if len(text) >= 5 else text
    if len(text) >= 8 and all(char in HEX for char in text):
        return "<hex>"
    changes = sum((a in DIGITS) != (b in DIGITS) for a, b in pairwise(text))
    if len(text) > 5 and changes >= 3:
        return "<rand>"
    out, i = "", 0
    while i < len(text):
        j = run(text, i, DIGITS)
        if j > i:
            out += "<n>" if j - i >= 5 else text[i:j]
            i = j
        else:
            out += text[i]
            i += 1
    return out


NO_NAME = "\\\"/:*?<>|,;'()"


def name(text: str, i: int) -> int:
    j = i
    while j < len(text) and text[j] not in NO_NAME:
        j += 1
    if 1 <= j - i <= 64 and at(text, j, "\\/"):
        return j
    k = i
    while k < j and text[k] != " ":
        k += 1
    return k if k > i else -1


def profile(text: str) -> str:
    known = ("public", "default", "default user", "all users", "defaultaccount", "defaultapppool")
    return text if text in known else "<user>"


def word_start(text: str, i: int) -> tuple[str, int] | None:  # noqa: PLR0911
    end = guid(text, i)
    if end > 0:
        return "<guid>", end
    if text[i : i + 4] == "s-1-" and at(text, i + 4, DIGITS):
        end = run(text, i + 4, DIGITS + "-")
        return (text[i:end] if end - i - 4 <= 8 else "<sid>"), end
    end = date(text, i)
    if end > 0:
        return "<date>", end
    end = dotted(text, i)
    if end > 0:
        return ipv4(text[i:end]) or "<version>", end
    if not at(text, i - 1, ":"):
        end = run(text, i, HEX + ":")
        colons = text[i:end]
        if colons.count(":") >= 2 and not at(text, end, WORD):
            if all(char == ":" for char in colons):
                return colons, end
            return (ipv6(colons) if "::" in colons or colons.count(":") > 2 else "<time>"), end
    end = run(text, i, WORD)
    if any(char in DIGITS for char in text[i:end]):
        return word(text[i:end]), end
    if text[i : i + 2] == "\\\\" and not at(text, i - 1, ":.\\"):
        end = run(text, i + 2, WORD + "_.-")
        if end > i + 2 and not at(text, end, ":$"):
            host = text[i + 2 : end]
            return "\\\\" + (host if host in (".", "localhost", "127.0.0.1") else "<host>"), end
    return None


NO_MAIL = " \"'()/:;,<=>@[\\]{|}&%?#*"


def mail(text: str, i: int) -> tuple[str, int] | None:
    if text[i] in NO_MAIL or (i and text[i - 1] not in NO_MAIL):
        return None
    end = i
    while end < len(text) and text[end] not in NO_MAIL:
        end += 1
    start = end + (1 if at(text, end, "@") else 3 if text[end : end + 3] == "%40" else 0)
    stop = start
    while stop < len(text) and (text[stop] in WORD + ".-" or ord(text[stop]) > 0x7F):
        stop += 1
    if start in (end, stop):
        return None
    host = text[start:stop]
    bare = host
    while bare[-1:] in (".", "-"):
        bare = bare[:-1]
    if "." in bare and any(char not in DIGITS for char in bare.split(".")[-1]):
        return "<user>", stop
    if ipv4(bare):
        return "<user>@" + host, stop
    version = host[0] in DIGITS or (host[0] == "v" and at(host, 1, DIGITS)) or host == "sha256"
    return (text[i:stop] if version else "<user>@<host>"), stop


def folder(text: str, i: int) -> tuple[str, int] | None:
    for word in ("users", "home"):
        for between in ("\\\\", "\\", "/"):
            start = i + len(word + between)
            if text[i:start] == word + between and name(text, start) > 0:
                stop = name(text, start)
                found = text[start:stop]
                return word + between + (found if found == "shared" else profile(found)), stop
    return None


def technique(text: str, i: int) -> tuple[str, int] | None:
    for letters in ("ta", "t"):
        end = i + len(letters)
        if text[i:end] == letters and run(text, end, WORD) == run(text, end, DIGITS) == end + 4:
            end += 4
            if at(text, end, "./") and run(text, end + 1, WORD) == run(text, end + 1, DIGITS) == end + 4:
                end += 4
            return "<technique>", end
    return None


def people(text: str) -> str:
    out, i = "", 0
    while i < len(text):
        found = mail(text, i)
        if found is None and not at(text, i - 1, WORD):
            found = folder(text, i) or technique(text, i)
        if found is None:
            found = text[i], i + 1
        out += found[0]
        i = found[1]
    return out


def anywhere(text: str, i: int) -> tuple[str, int] | None:
    volume = "\\device\\harddiskvolume"
    if text[i : i + len(volume)] == volume and at(text, i + len(volume), DIGITS):
        end = run(text, i + len(volume), DIGITS)
        if text[end : end + 7] == "\\users\\" and name(text, end + 7) > 0:
            stop = name(text, end + 7)
            return "<volume>\\users\\" + profile(text[end + 7 : stop]), stop
        return "<volume>", end
    for lead in (":", "$"):
        for folder in ("\\users\\", "\\\\users\\\\", "/users/", "\\documents and settings\\"):
            start = lead + folder
            if text[i : i + len(start)] == start and name(text, i + len(start)) > 0:
                stop = name(text, i + len(start))
                return start + profile(text[i + len(start) : stop]), stop
    if text[i : i + 6] == "/home/" and name(text, i + 6) > 0:
        stop = name(text, i + 6)
        return "/home/" + profile(text[i + 6 : stop]), stop
    return None


def scan(text: str, named: bool) -> str:
    text = people(text) if named else text
    out, i = "", 0
    while i < len(text):
        found = None if at(text, i - 1, WORD) else word_start(text, i)
        found = found or anywhere(text, i)
        if found is None:
            found = text[i], i + 1
        out += found[0]
        i = found[1]
    return out


def mask(which: str, value: str) -> str:
    """The masked value, or the empty string for absent."""
    row = TABLE["masks"][which]
    text = fold(cut(scrub(value), LIMIT))
    if text in ("", "-"):
        return ""
    text = cut(text, row["cut"])
    if row["verb"] == "map":
        return row["map"].get(lower(text), "")
    verbs = {"user": user, "address": address, "domain": domain, "stack": stack, "text": running, "fold": lower}
    verbs["named"] = partial(running, named=True)
    return verbs[row["verb"]](text) if row["verb"] in verbs else text


def present(value: Any) -> Any:
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None or value in ("", "-", []) or isinstance(value, float | dict):
        return None
    return value


def look_up(document: Any, path: str) -> Any:
    keys = path.split(".")
    if path.startswith("winlog.event_data."):
        keys = ["winlog", "event_data", path.removeprefix("winlog.event_data.")]
    node = document
    for key in keys:
        node = node.get(key) if isinstance(node, dict) else None
    found = present(node)
    return present(document.get(path)) if found is None else found


def read(document: Any, paths: list[str]) -> Any:
    for path in paths:
        where, *marks = path.split("|", 2)
        value = look_up(document, where)
        if marks and value is not None:
            value = part(value, marks[0], marks[1] if len(marks) > 1 else "")
        if value is not None:
            return value
    return None


def part(value: Any, start: str, stop: str) -> str | None:
    if not isinstance(value, str) or start not in value:
        return None
    rest = value[value.index(start) + len(start) :][:LIMIT]
    for end in ("\r", "\n", stop):
        if end and end in rest:
            rest = rest[: rest.index(end)]
    return None if rest.strip(" \t") in ("", "-") else rest


def text_of(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if value.bit_length() < 14000 else ""
    return value if isinstance(value, str) else ""


def kind_of(document: Any) -> str:
    found = {name: read(document, paths) for name, paths in TABLE["selectors"].items()}
    code = "" if found["code"] is None else text_of(found["code"])
    log = None
    provider = found["provider"].split("$")[0] if isinstance(found["provider"], str) else None
    for value, names in ((found["channel"], "channels"), (provider, "providers")):
        for candidate, row in TABLE["logs"].items():
            if log is None and isinstance(value, str) and lower(value) in row[names]:
                log = candidate
    if f"{log}-{code}" in TABLE["kinds"]:
        return f"{log}-{code}"
    if code and log in TABLE["kinds"]:
        return log
    if isinstance(found["dataset"], str) and lower(found["dataset"]) in TABLE["datasets"]:
        return TABLE["datasets"][lower(found["dataset"])]
    return "windows" if found["channel"] is not None and code else "generic"


def canonical(document: Any, kind: str) -> list[list[str]]:
    pairs = [["kind", kind]]
    for field in TABLE["kinds"][kind]["fields"]:
        row = TABLE["fields"][field]
        value = read(document, row["paths"])
        if "other" in row:
            other = read(document, row["other"])
            if isinstance(value, str) and isinstance(other, str):
                left, right = mask(row["mask"], value), mask(row["mask"], other)
                if left and right:
                    pairs.append([field, "true" if lower(left) == lower(right) else "false"])
            continue
        if value is None:
            continue
        for element in value[:16] if isinstance(value, list) else [value]:
            text = mask(row["mask"], text_of(element))
            if text:
                pairs.append([field, text])
    return pairs


def fingerprint(pairs: list[list[str]]) -> str:
    text = "".join(f"{len(_units(part))}:{part}" for pair in pairs for part in pair)
    return hashlib.sha256(text.encode()).hexdigest()
