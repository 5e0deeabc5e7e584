"""The files that a reader opens: self-contained, faithful, safe."""

import base64
import gzip
import json
import re
from html.parser import HTMLParser

import pytest

from memory_r1.bench.report import write_report
from memory_r1.bench.report.labels import Box, place_labels
from memory_r1.errors import MemoryR1Error


class Page(HTMLParser):
    """What is in a page: tags with their attributes, and the cells of its tables."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.rows, self._cell = [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self._cell = ""
        if tag == "small" and self._cell is not None:
            self._cell += " ("

    def handle_endtag(self, tag):
        if tag == "small" and self._cell is not None:
            self._cell += ")"
        if tag in ("td", "th") and self._cell is not None:
            self.rows[-1].append(self._cell)
            self._cell = None

    def handle_data(self, data):
        if self._cell is not None:
            self._cell += data


def unpacked(html):
    """The questions that a page carries."""
    packed = re.search(r'<script type="text/plain" id="packed">([^<]*)</script>', html)[1]
    return json.loads(gzip.decompress(base64.b64decode(packed)))


@pytest.fixture(scope="module")
def written(plain):
    return write_report(plain.folder)


@pytest.fixture(scope="module")
def html(written):
    return written.html.read_text(encoding="utf-8")


def test_the_page_loads_nothing_from_outside(html):
    for tag, attributes in Page(html).tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "image", "use")
        for name in ("src", "href", "xlink:href", "action", "data"):
            value = attributes.get(name, "")
            assert value is None or value == "" or value.startswith("#"), (tag, name, value)
    assert "url(" not in html
    assert "@import" not in html
    assert 'http-equiv="Content-Security-Policy" content="default-src \'none\';' in html


def test_markdown_holds_the_same_tables_as_the_page(written):
    page = Page(written.html.read_text(encoding="utf-8"))
    shown = [row for row in page.rows if row]
    lines = written.markdown.read_text(encoding="utf-8").splitlines()
    table_lines = [line for line in lines if line.startswith("| ") and "---" not in line]
    body = [
        [cell.strip().replace("**", "").replace("\\", "") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in table_lines
    ]
    in_page = {tuple(cell.strip() for cell in row) for row in shown}
    missing = [row for row in body if row[0] not in ("system", "method") and tuple(row) not in in_page]
    assert len(body) > 60
    assert missing == []


def test_the_page_carries_every_question_answer_and_memory(html):
    data = unpacked(html)
    assert data["systems"] == ["no-memory", "rag-turns", "memory-r1"]
    assert len(data["questions"]) == 60
    assert data["distils"] == [False, False, True]
    for question in data["questions"]:
        given = question["a"][2]["m"]
        assert len(given) == 20
        texts = [data["memories"][coded >> 1][0] for coded in given]
        assert all(text.startswith("Ann told Ben about thing") for text in texts)
        assert 1 <= sum(coded & 1 for coded in given) <= 2
    assert len(data["memories"]) < 60 * 30


def test_what_models_write_cannot_become_markup(make_run):
    folder = make_run(errors=[("memory-r1", 3)], questions=10)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["systems"]["rag-turns"] = "</script><script>alert(1)</script> | **x**"
    config["command"] = "memory-r1 bench `x` ``` <b>"
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    written = write_report(folder)
    html = written.html.read_text(encoding="utf-8")
    assert "alert(1)</script>" not in html
    assert html.count("<script") == 2
    assert "ValueError: &lt;no&gt; way" in html
    markdown = written.markdown.read_text(encoding="utf-8")
    assert "&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt; \\| \\*\\*x\\*\\*" in markdown
    assert "````sh\nmemory-r1 bench `x` ``` <b>\n````" in markdown


def test_half_a_surrogate_pair_does_not_stop_the_report(make_run):
    folder = make_run(questions=5)
    file = folder / "config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    config["systems"]["rag-turns"] = "half \ud83d of one"
    file.write_text(json.dumps(config), encoding="utf-8")
    assert "half ? of one" in write_report(folder).markdown.read_text(encoding="utf-8")


def test_the_same_run_gives_the_same_files(make_run):
    one, other = (write_report(make_run(name, questions=10)) for name in ("one", "other"))
    assert one.html.read_bytes() == other.html.read_bytes()
    assert one.markdown.read_bytes() == other.markdown.read_bytes()
    before = one.html.read_bytes()
    assert write_report(one.html.parent).html.read_bytes() == before
    assert not [file for file in one.html.parent.rglob("*") if file.name.endswith(".new")]


def test_pictures_stand_beside_the_markdown_and_are_whole_svg_files(written):
    from xml.etree import ElementTree

    names = re.findall(r"\]\((pictures/[a-z-]+\.svg)\)", written.markdown.read_text(encoding="utf-8"))
    assert names == ["pictures/score-by-category.svg", "pictures/score-against-cost.svg"]
    for name in names:
        root = ElementTree.fromstring((written.markdown.parent / name).read_text(encoding="utf-8"))
        assert root.tag == "{http://www.w3.org/2000/svg}svg"


def test_light_and_dark_define_the_same_colours():
    from importlib.resources import files

    css = (files("memory_r1.bench.report") / "page.css").read_text(encoding="utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", css, flags=re.DOTALL)
    names = [set(re.findall(r"--([a-z-]+):", part)) for part in (light, dark)]
    assert names[0] == names[1]
    used = set(re.findall(r"var\(--([a-z-]+)\)", css + (files("memory_r1.bench.report") / "picture.css").read_text()))
    assert used <= names[0]


def test_a_report_on_nothing_leaves_no_file(tmp_path):
    with pytest.raises(MemoryR1Error):
        write_report(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_labels_cover_neither_each_other_nor_a_point():
    points = [(100 + 9 * place, 100 + 5 * place, str(place), False) for place in range(12)]
    svg = place_labels(points, Box(0, 0, 340, 300))
    placed = [
        (float(x) - {"start": 0, "middle": 0.5, "end": 1}[anchor] * len(text) * 6.1, float(y), len(text) * 6.1)
        for x, y, anchor, text in re.findall(
            r'<text class="label" x="([\d.]+)" y="([\d.]+)" text-anchor="(\w+)">([^<]+)<', svg
        )
    ]
    assert len(placed) == 12
    boxes = [Box(left, y - 9.5, left + width, y + 2.5) for left, y, width in placed]
    for place, box in enumerate(boxes):
        assert all(box.overlap(other) < 1 for other in boxes[place + 1 :])
        assert all(box.overlap(Box(x - 4, y - 4, x + 4, y + 4)) < 1 for x, y, _, _ in points)
