"""OpenITI mARkdown becomes paragraphs of plain text, without any of its marks."""

import io
import re
from pathlib import Path

import pytest

from gpt_core.config import ReadingConfig
from gpt_core.errors import DataError
from gpt_core.text import read_texts
from gpt_core.text.openiti import is_openiti, plain_lines

HEADER = """######OpenITI#

#META# 000.BookURI\t:: #0256Bukhari.Sahih
#META# 010.AuthorNAME\t:: محمد بن إسماعيل (المتوفى: 256هـ)
#META# 020.BookTITLE\t:: الجامع الصحيح

#META#Header#End#

"""
BODY = """### | [كتاب بدء الوحي] PageV01P001
### || AUTO باب كيف كان بدء الوحي
# حدثنا الحميدي عبد الله بن الزبير، قال حدثنا سفيان، قال حدثنا يحيى بن سعيد
~~الأنصاري، قال أخبرني محمد ms0012 بن إبراهيم التيمي،
PageV01P002
~~أنه سمع @PER02 علقمة بن وقاص الليثي، يقول @QB@ وما أرسلنا @QE@ سنة @YD68 ثمان
# وقال ms12 آخر Milestone300 نعم PageV01P003
# PageV01P004
# يهل بالفرقد ركبانها %~% كما يهل الراكب المعتمر
# % أصاب الأرض منقمس الثريا % % بساحية وأتبعها طلالا % 2
### $BIO_MAN$ 17 - زبان بن العلاء بن عمار
~~المازني من الأعلام
### $ أبو عمرو (@)(@@) المحدث
### $$ صمعة بنت أحمد
### @ RAW وفيها كانت وقعة
### |EDITOR|
# $RWY$ حدثنا مالك @MATN@ إنما الأعمال @HUKM@ صحيح
#$#PROV العراق #$#TYPE مدينة
#~:onomastic:
# ونقص ٥ % من المال ![image file](./page_0006.png) @MGR@WACZ_education_fiqh@ تم
"""
PARAGRAPHS = [
    "حدثنا الحميدي عبد الله بن الزبير، قال حدثنا سفيان، قال حدثنا يحيى بن سعيد الأنصاري، قال "
    "أخبرني محمد بن إبراهيم التيمي، أنه سمع علقمة بن وقاص الليثي، يقول وما أرسلنا سنة ثمان",
    "وقال آخر نعم",
    "يهل بالفرقد ركبانها كما يهل الراكب المعتمر",
    "أصاب الأرض منقمس الثريا بساحية وأتبعها طلالا 2",
    "17 - زبان بن العلاء بن عمار المازني من الأعلام",
    "أبو عمرو المحدث",
    "صمعة بنت أحمد",
    "وفيها كانت وقعة",
    "حدثنا مالك إنما الأعمال صحيح",
    "العراق مدينة",
    "ونقص ٥ % من المال تم",
]
HEADS = ["[كتاب بدء الوحي]", "باب كيف كان بدء الوحي"]
NAME = "0256Bukhari.Sahih.Shamela0001284-ara1"


@pytest.fixture
def book(tmp_path: Path) -> Path:
    (tmp_path / NAME).write_text(HEADER + BODY, encoding="utf-8-sig")
    return tmp_path / NAME


def texts_of(path: Path, **reading: object) -> list[str]:
    return [text for _, text in read_texts(path, ReadingConfig(**reading))]


def test_a_book_is_read_without_any_mark_whatever_its_name(book: Path) -> None:
    first, *others = PARAGRAPHS
    texts = texts_of(book)
    assert texts == ["\n".join([*HEADS, first]), *others]
    assert not re.search(r"[#~@$|]|%~%|Page|ms\d|[A-Z]", "".join(texts))
    assert texts_of(book, keep_heads=False) == PARAGRAPHS
    assert texts_of(book, split="line", keep_heads=False) == PARAGRAPHS
    assert texts_of(book, split="line") == HEADS + PARAGRAPHS
    [whole] = texts_of(book, split="file")
    assert whole.split("\n\n") == [*texts, ""]


def test_every_way_to_name_and_pack_a_book_gives_the_same(book: Path, tmp_path: Path) -> None:
    for name in (f"{NAME}.completed", "book.mARkdown", "book.txt", "book"):
        (tmp_path / name).write_text(HEADER + BODY, encoding="utf-8")
        assert texts_of(tmp_path / name) == texts_of(book)
    (tmp_path / "a.md").write_text(HEADER + BODY, encoding="utf-8")
    assert texts_of(tmp_path / "a.md", format="text")[0] == "######OpenITI#"
    assert texts_of(tmp_path / "a.md", format="openiti") == texts_of(book)


def test_metadata_without_an_end_raise_a_one_line_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("######OpenITI#\n# text\n")
    with pytest.raises(DataError, match=r"a.txt begins with ######OpenITI# but has no line #META#"):
        texts_of(tmp_path / "a.txt")


def test_a_row_of_a_table_is_no_head() -> None:
    lines = plain_lines(
        io.StringIO("#META#Header#End#\n# |فتح فدك|38|\n# | باب\n"), "a", heads=False
    )
    assert "".join(lines) == "|فتح فدك|38|\n\n"


def test_the_first_bytes_tell_the_format() -> None:
    assert is_openiti(b"\xef\xbb\xbf######OpenITI#\r\n")
    assert not is_openiti(b"# ######OpenITI#")
