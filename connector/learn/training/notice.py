"""What a bundle's card says of the texts that ``examples.json`` gives away: counts, changes, and what their licences ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from connector.models.manifest import Source
from connector.models.neighbours import LONGEST

LICENCES: Final = {
    "MIT": "https://spdx.org/licenses/MIT.html",
    "Apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
    "Apache-2.0 OR MIT": "https://www.apache.org/licenses/LICENSE-2.0",
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "DRL-1.1": "https://github.com/SigmaHQ/Detection-Rule-License",
}
"""Where each licence that lets a text be given away can be read."""

COPYRIGHT: Final = {
    "atomic": "Copyright (c) 2018 Red Canary, Inc.",
    "otrf": "Copyright (c) 2021 Open Threat Research Forge",
    "runner_images": "Copyright (c) 2026 GitHub",
    "tldr": "Copyright © 2014—present the tldr-pages team",
    "tram": "©2023 MITRE Engenuity, LLC. Approved for Public Release. Document numbers CT0035, CT0075.",
}
"""The upstreams' own lines. For another source its authors are named."""

_HEAD = """
## Texts in examples.json

`examples.json` gives away the beginnings of {total} training texts, at most {longest} characters each, as examples to
compare an event with. All are **shortened and changed**: each is an upstream's event, command, rule, script or sentence in
this project's canonical form, with hosts, users, numbers and ids replaced or left out; events for Sigma's and
Splunk's rules are generated from their patterns. `record` names the file, rule or report that each came from. No upstream
endorses this bundle.

"""
_ASKED = {
    "MIT": """
### MIT: {names}

{lines}

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation
files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy,
modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE,
ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
""",
    "CC-BY-4.0": """
### CC-BY-4.0: {names}

{lines}

Licensed under the Creative Commons Attribution 4.0 International License, {url}, without warranties. Changes were made, as
said above.
""",
    "DRL-1.1": """
### DRL-1.1: {names}

{lines}

The rules are licensed under the Detection Rule License 1.1, {url}. Their authors are named at the end of this card, and
`record` holds each rule's path in its upstream. Changes were made, as said above.
""",
    "Apache-2.0": """
### Apache-2.0: {names}

{lines}

Licensed under the Apache License, Version 2.0, {url}, and distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS
OF ANY KIND, either express or implied. Changes were made, as said above.
""",
}


def texts(counts: Mapping[str, int], sources: Sequence[Source]) -> str:
    """The card's part on the texts of ``examples.json``, by source; empty where a bundle carries none."""
    given = [source for source in sources if counts.get(source.name)]
    if not given:
        return ""
    lines = ["| source | texts | changes | licence | upstream |\n", "| --- | --- | --- | --- | --- |\n"]
    for source in given:
        licence = f"[{source.licence}]({LICENCES[source.licence]})"
        upstream = f"{source.upstream} @{source.commit}"
        lines.append(f"| {source.name} | {counts[source.name]} | shortened and changed | {licence} | {upstream} |\n")
    head = _HEAD.format(total=sum(counts.values()), longest=LONGEST)
    return "".join([head, *lines, *(_notice(licence, given) for licence in _ASKED)])


def _notice(licence: str, given: Sequence[Source]) -> str:
    """What one licence asks for. Of a choice of two the Apache licence is taken."""
    mine = [source for source in given if source.licence.split(" OR ")[0] == licence]
    if not mine:
        return ""
    lines = [f"- {source.name}: {COPYRIGHT.get(source.name) or source.authors} ({source.upstream})" for source in mine]
    names = ", ".join(source.name for source in mine)
    return _ASKED[licence].format(names=names, lines="\n".join(lines), url=LICENCES[licence])
