#!/usr/bin/env python3
"""Figures about the code and its prose, as a Markdown table.

    scripts/house.py                  the working tree
    scripts/house.py REV              a git revision
    scripts/house.py --compare REV    a revision beside the working tree

Needs Python 3.11 and git; uses no network. tests/tidy/ keeps the same rules and fails when one is
broken; this script only counts. How each figure is counted:

lines       Lines of a file in src/, or of a function from its header to its closing brace. Items
            marked `#[cfg(test)]` are left out.
types       `struct`, `enum`, `union`, `trait` and `type` of any visibility, outside tests.
            Associated types of a trait or an impl are left out. Names that a macro makes are not
            seen.
cycles      The children of a module are boxes: a file, or a folder with all that is in it. A box
            uses another if one of its files names an item of the other through `crate::`, `self::`
            or `super::`. A name that the parent only imports (`use`) belongs to the child that it
            is imported from. A parent is no box of its own folder: it may use its children, and
            they may use the items that it defines. A cycle is a strongly connected set of more
            than one box.
limits      A limit flag is a field with `#[arg(...)]` of a struct with `Limit` in its name. A limit
            is written once for each field of any such struct, each field of a `Default` of one,
            and each field of another struct literal of one (where flags become limits). The figure
            is the number of those places divided by the number of flags.
words       Words of the comment lines (`//`, `///`, `//!`) of src/, tests included. The lists of
            words are in tests/tidy/words.txt; a phrase counts once.
sentences   Paragraphs and list entries of README.md and docs/**/*.md. Code blocks, tables and
            headings are left out. A sentence ends at `.`, `!` or `?` before white space.
"""

import argparse
import io
import re
import statistics
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FUNCTION_LINES_MAX = 60
SENTENCE_WORDS_MAX = 30


# -- files ---------------------------------------------------------------------------------------


def is_read(path):
    return (path.startswith("src/") and path.endswith(".rs")) or (
        path.endswith(".md") and (path == "README.md" or path.startswith("docs/"))
    )


def working_tree():
    folders = [ROOT / "src", ROOT / "docs"]
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    paths.append(ROOT / "README.md")
    named = {path.relative_to(ROOT).as_posix(): path for path in sorted(paths)}
    return {name: path.read_text() for name, path in named.items() if is_read(name)}


def revision(name):
    command = ["git", "-C", str(ROOT), "archive", "--format=tar", name]
    archive = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    files = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            if member.isfile() and is_read(member.name):
                files[member.name] = tar.extractfile(member).read().decode()
    return dict(sorted(files.items()))


# -- Rust ----------------------------------------------------------------------------------------

NOT_CODE = re.compile(
    r"""//[^\n]*
      | /\*.*?\*/
      | (?<!\w)b?r(\#*)".*?"\1
      | (?<!\w)b?"(?:\\.|[^"\\])*"
      | (?<!\w)b?'(?:\\[^\n']+|\\'|[^\\'\n])'
    """,
    re.VERBOSE | re.DOTALL,
)


def blank(text):
    return re.sub(r"[^\n]", " ", text)


def code(text):
    """The text with comments, strings and characters blanked out; lines and columns stay."""
    return NOT_CODE.sub(lambda found: blank(found.group()), text)


def closing(text, start):
    """Where the bracket that opens at `start` is closed."""
    depth = 0
    for index in range(start, len(text)):
        if text[index] in "([{":
            depth += 1
        elif text[index] in ")]}":
            depth -= 1
            if depth == 0:
                return index
    return len(text) - 1


def body(text, start):
    """The first `{` after `start` outside parentheses, or None if a `;` comes first."""
    index = start
    while index < len(text):
        if text[index] in "([":
            index = closing(text, index)
        elif text[index] == "{":
            return index
        elif text[index] == ";":
            return None
        index += 1
    return None


def without_tests(text):
    """The code without items marked `#[cfg(test)]`, which are blanked out."""
    for found in reversed(list(re.finditer(r"#\[cfg\((?:all\()?test\b", text))):
        end = closing(text, found.start() + 1) + 1
        while attribute := re.compile(r"\s*#\[").match(text, end):
            end = closing(text, attribute.end() - 1) + 1
        opened = body(text, end)
        last = closing(text, opened) if opened is not None else text.index(";", end)
        first = found.start()
        text = text[:first] + re.sub(r"[^\n]", "\0", text[first : last + 1]) + text[last + 1 :]
    return text


def line_of(text, index):
    return text.count("\n", 0, index) + 1


class Source:
    """One file of src/."""

    def __init__(self, path, text):
        self.path = path
        self.raw = text
        marked = without_tests(code(text))
        left_out = sum(1 for line in marked.split("\n") if "\0" in line)
        self.lines = len(text.splitlines()) - left_out
        self.code = marked.replace("\0", " ")
        parts = path.removeprefix("src/").removesuffix(".rs").split("/")
        if parts[-1] in ("mod", "lib", "main"):
            parts = parts[:-1] if parts[-1] != "main" else parts
        self.module = tuple(parts)

    def functions(self):
        for found in re.finditer(r"\bfn\s+([a-z_]\w*)", self.code):
            opened = body(self.code, found.end())
            if opened is not None:
                first = line_of(self.code, found.start())
                last = line_of(self.code, closing(self.code, opened))
                yield found.group(1), first, last - first + 1

    def types(self):
        kind = r"\b(struct|enum|union|trait|type)\s+([A-Z]\w*)"
        blocks = []
        header = 0
        for found in re.finditer(r"[{};]|" + kind, self.code):
            if found.group() == "{":
                blocks.append(self.code[header : found.start()])
            elif found.group() == "}" and blocks:
                blocks.pop()
            elif found.group(1):
                inside = blocks[-1] if blocks else ""
                associated = found.group(1) == "type" and is_impl(inside)
                if not associated:
                    yield found.group(2), line_of(self.code, found.start())
                continue
            header = found.end()


def is_impl(header):
    header = re.sub(r"#\[.*?\]", " ", header, flags=re.DOTALL)
    return re.match(r"\s*(?:pub(?:\([^)]*\))?\s+)?(?:unsafe\s+)?(?:impl|trait)\b", header)


def leaves(tree, before=()):
    """The paths of a `use` tree, each as (path, the name it is imported under)."""
    tree = tree.strip()
    if "{" in tree:
        opened = tree.index("{")
        before += tuple(part.strip() for part in tree[:opened].split("::") if part.strip())
        depth = start = 0
        inner = tree[opened + 1 : closing(tree, opened)]
        for index, letter in enumerate(inner + ","):
            depth += (letter == "{") - (letter == "}")
            if letter == "," and depth == 0:
                if inner[start:index].strip():
                    yield from leaves(inner[start:index], before)
                start = index + 1
        return
    tree, _, name = tree.partition(" as ")
    path = before + tuple(part.strip() for part in tree.split("::") if part.strip())
    if len(path) > 1 and path[-1] == "self":
        path = path[:-1]
    yield path, name.strip() or path[-1]


# -- who uses whom -------------------------------------------------------------------------------


class Crate:
    """The modules of src/ and the paths between them."""

    def __init__(self, sources):
        self.files = {source.module: source for source in sources}
        self.modules = {module[:end] for module in self.files for end in range(len(module) + 1)}
        self.imports = {
            module: {
                name: path
                for tree in re.findall(r"\buse\s+([^;]+);", source.code)
                for path, name in leaves(tree)
            }
            for module, source in self.files.items()
        }

    def paths(self, module):
        """Every path that a file names from the crate's root, or through `self` and `super`."""
        text = self.files[module].code
        for tree in re.findall(r"\buse\s+([^;]+);", text):
            yield from (path for path, _ in leaves(tree))
        rest = re.sub(r"\buse\s+[^;]+;", " ", text)
        for path in re.findall(r"\b(?:crate|self|super)(?:::\w+)+", rest):
            yield tuple(path.split("::"))

    def absolute(self, module, path):
        """The path from the crate's root, or None if it is another crate's."""
        if path[0] == "crate":
            return path[1:]
        if path[0] not in ("self", "super") and module + path[:1] not in self.modules:
            return None
        at = module
        while path and path[0] in ("self", "super"):
            at = at[:-1] if path[0] == "super" else at
            path = path[1:]
        return at + path

    def home(self, path, steps=8):
        """The module that an absolute path leads to, imports followed."""
        end = len(path)
        while path[:end] not in self.modules:
            end -= 1
        module, rest = path[:end], path[end:]
        imported = self.imports.get(module, {}).get(rest[0]) if rest else None
        if imported and steps:
            target = self.absolute(module, imported)
            if target is not None and target != path[: end + 1]:
                return self.home(target + rest[1:], steps - 1)
        return module

    def edges(self):
        """Which box uses which, by the folder that both are in."""
        found = {}
        for module in self.files:
            for path in self.paths(module):
                absolute = self.absolute(module, path)
                if absolute is None:
                    continue
                home = self.home(absolute)
                for depth in range(min(len(module), len(home))):
                    if module[depth] != home[depth]:
                        boxes = found.setdefault(module[:depth], {})
                        boxes.setdefault(module[depth], set()).add(home[depth])
                        break
        return found

    def cycles(self):
        """The cycles of each folder: (the folder, the boxes in it), in order."""
        return sorted(
            ("/".join(folder), sorted(group))
            for folder, boxes in self.edges().items()
            for group in connected(boxes)
        )


def connected(edges):
    """The strongly connected sets of more than one node."""

    def reach(start):
        seen, open_ = set(), [start]
        while open_:
            for to in edges.get(open_.pop(), ()):
                if to not in seen:
                    seen.add(to)
                    open_.append(to)
        return seen

    reached = {node: reach(node) for node in edges}
    groups = {
        frozenset(to for to in reached[node] if node in reached.get(to, ()))
        for node in edges
        if node in reached[node]
    }
    return [group for group in groups if len(group) > 1]


# -- limits --------------------------------------------------------------------------------------


def fields(text):
    """How many fields a block of declarations or values has."""
    count, depth, fresh = 0, 0, True
    for letter in re.sub(r"#\[[^\]]*\]", " ", text):
        if letter in "([{<":
            depth += 1
        elif letter in ")]}>":
            depth -= 1
        elif letter == "," and depth == 0:
            fresh = True
        elif fresh and depth == 0 and not letter.isspace():
            count += letter != "."
            fresh = False
    return count


def limits(sources):
    """(flags, places where a limit is written)."""
    flags = places = 0
    for source in sources:
        # Arrows would close the angle brackets of generics.
        text = re.sub(r"[-=]>", "  ", source.code)
        for found in re.finditer(r"\bstruct\s+\w*Limit\w*\s*(?=\{)", text):
            inner = text[found.end() + 1 : closing(text, found.end())]
            places += fields(inner)
            flags += len(re.findall(r"#\[arg\b", inner))
        for block in re.finditer(r"\bimpl\s+(?:\w+\s+for\s+)?\w*Limit\w*\s*(?=\{)", text):
            end = closing(text, block.end())
            for found in re.finditer(r"\bSelf\s*(?=\{)", text[block.end() : end]):
                places += literal(source.code, text, block.end() + found.start())
        for found in re.finditer(r"\b\w+Limits\s*(?=\{)", text):
            places += literal(source.code, text, found.start())
    return flags, places


def literal(code, text, start):
    """The fields of the struct literal that begins here; 0 if this is another kind of block."""
    if re.search(r"(?:->|\bstruct|\bfor|\bimpl|\blet)\s*$", code[:start]):
        return 0
    opened = text.index("{", start)
    return fields(text[opened + 1 : closing(text, opened)])


# -- prose ---------------------------------------------------------------------------------------


def word_lists():
    lists, current = {}, None
    for line in (ROOT / "tests/tidy/words.txt").read_text().splitlines():
        if line.startswith("["):
            current = lists.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            current.append(line)
    return lists


def words(text):
    return re.findall(r"[\w'’]+", text.lower())


def comments(text):
    """The comments of a file, adjacent lines of one kind joined."""
    found, kind = [], None
    for line in text.splitlines():
        marker = re.match(r"\s*(//[/!]?)(?!/)", line)
        if not marker:
            kind = None
            continue
        if marker.group(1) != kind:
            kind = marker.group(1)
            found.append("")
        found[-1] += line[marker.end() :] + "\n"
    return found


def marks(blocks, phrases):
    """How often the phrases occur in these blocks of text."""
    count = 0
    for block in blocks:
        text = f" {' '.join(words(block))} "
        for phrase in phrases:
            wanted = f" {' '.join(words(phrase))} "
            if phrase.startswith("^"):
                count += block.lower().lstrip().startswith(phrase[1:])
            else:
                count += sum(1 for _ in re.finditer(f"(?={re.escape(wanted)})", text))
    return count


def paragraphs(text):
    """The prose of a Markdown file: no code, no tables, no headings."""
    text = re.sub(r"(?ms)^\s*```.*?^\s*```", "", text)
    found, fresh = [], True
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped or stripped[0] in "#|<" or line.startswith("    "):
            fresh = True
            continue
        if fresh or re.match(r"([-*]|\d+\.)\s", stripped):
            found.append("")
            fresh = False
        found[-1] += re.sub(r"^([-*]|\d+\.)\s", "", stripped) + " "
    return found


def sentences(text):
    for paragraph in paragraphs(text):
        paragraph = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", paragraph)
        for sentence in re.split(r"(?<=[.!?])[)*_\"]*\s+", paragraph):
            count = len(words(sentence))
            if count:
                yield count


# -- the table -----------------------------------------------------------------------------------


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, round(part * (len(values) - 1)))] if values else 0


def rate(blocks, phrases):
    total = sum(len(words(block)) for block in blocks)
    return 1000 * marks(blocks, phrases) / total if total else 0.0


def figures(files):
    sources = [Source(path, text) for path, text in files.items() if path.endswith(".rs")]
    lines = {source.path: source.lines for source in sources}
    functions = {
        (source.path, name, first): count
        for source in sources
        for name, first, count in source.functions()
    }
    longest_file = max(lines, key=lines.get)
    longest = max(functions, key=functions.get)
    over = sorted((key for key in functions if functions[key] > FUNCTION_LINES_MAX))
    types = {}
    for source in sources:
        for name, line in source.types():
            types.setdefault(name, []).append(f"{source.path}:{line}")
    twice = {name: places for name, places in sorted(types.items()) if len(places) > 1}
    transport = [path.split("/")[2:] for path in lines if path.startswith("src/transport/")]
    folders = {}
    for parts in transport:
        if len(parts) > 1:
            folders[parts[0]] = folders.get(parts[0], 0) + 1
    cycles = Crate(sources).cycles()
    flags, places = limits(sources)
    blocks = [comment for source in sources for comment in comments(source.raw)]
    docs = [text for path, text in files.items() if path.endswith(".md")]
    counts = [count for text in docs for count in sentences(text)]
    lists = word_lists()
    every = [phrase for phrases in lists.values() for phrase in phrases]
    prose = [paragraph for text in docs for paragraph in paragraphs(text)]
    sizes = list(functions.values())
    table = [
        ("files in src/", len(lines)),
        ("lines of a file: median", round(statistics.median(lines.values()))),
        ("lines of a file: p90", percentile(lines.values(), 0.9)),
        ("lines of a file: longest", f"{lines[longest_file]} ({longest_file})"),
        ("functions in src/", len(functions)),
        ("lines of a function: median", round(statistics.median(sizes))),
        ("lines of a function: p90", percentile(sizes, 0.9)),
        ("lines of a function: p99", percentile(sizes, 0.99)),
        ("lines of a function: longest", f"{functions[longest]} (`{longest[1]}`)"),
        (f"functions over {FUNCTION_LINES_MAX} lines", len(over)),
        ("types in src/", sum(len(places) for places in types.values())),
        ("type names defined more than once", len(twice)),
        ("files directly in src/transport/", sum(1 for parts in transport if len(parts) == 1)),
        (
            "folders of src/transport/",
            ", ".join(f"{name} {count}" for name, count in sorted(folders.items())) or 0,
        ),
        ("import cycles inside modules", len(cycles)),
        ("boxes in them", sum(len(boxes) for _, boxes in cycles)),
        ("limit flags", flags),
        ("places per limit", f"{places / flags:.1f}" if flags else "-"),
        ("comment words in src/", sum(len(words(block)) for block in blocks)),
        ("core words per 1,000 comment words", f"{rate(blocks, lists['core']):.1f}"),
        ("all listed words per 1,000 comment words", f"{rate(blocks, every):.1f}"),
        ("words of a sentence in docs: mean", f"{statistics.mean(counts):.1f}"),
        ("words of a sentence in docs: p90", percentile(counts, 0.9)),
        (
            f"sentences in docs over {SENTENCE_WORDS_MAX} words",
            f"{100 * sum(c > SENTENCE_WORDS_MAX for c in counts) / len(counts):.1f} %",
        ),
        ("core words per 1,000 words of docs", f"{rate(prose, lists['core']):.1f}"),
        ("all listed words per 1,000 words of docs", f"{rate(prose, every):.1f}"),
    ]
    details = [
        (
            "Type names defined more than once",
            [f"{name} ({', '.join(at)})" for name, at in twice.items()],
        ),
        (
            f"Functions over {FUNCTION_LINES_MAX} lines",
            [f"{path}:{first} {name} {functions[path, name, first]}" for path, name, first in over],
        ),
        (
            "Import cycles inside modules",
            [f"{folder or 'src'}: {', '.join(boxes)}" for folder, boxes in cycles],
        ),
    ]
    return table, details


def main():
    parser = argparse.ArgumentParser(description="Figures about the code and its prose.")
    parser.add_argument("revision", nargs="?", help="a git revision; the working tree if none")
    parser.add_argument("--compare", metavar="REV", help="this revision beside the other")
    parser.add_argument("--list", action="store_true", help="name the exceptions after the table")
    arguments = parser.parse_args()
    name = arguments.revision or "now"
    files = revision(arguments.revision) if arguments.revision else working_tree()
    table, details = figures(files)
    if arguments.compare:
        before = dict(figures(revision(arguments.compare))[0])
        print(f"| | {arguments.compare} | {name} |\n|---|---|---|")
        for label, value in table:
            print(f"| {label} | {before[label]} | {value} |")
    else:
        print(f"| | {name} |\n|---|---|")
        for label, value in table:
            print(f"| {label} | {value} |")
    if arguments.list:
        for label, entries in details:
            print(f"\n{label}:\n")
            for entry in entries:
                print(f"- {entry}")


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"git: {error}")
