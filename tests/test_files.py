"""Texts, other users' files, JSON without NaN, and seeds."""

import math
import os

import pytest

from pg2lib.core import files
from pg2lib.core.files import UserError
from pg2lib.core.seeds import parse_seeds


def test_a_text_in_another_encoding_is_told(tmp_path):
    path = tmp_path / "images.csv"
    path.write_bytes("image,person\nä.jpg,Anna\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"images\.csv is not a text file \(UTF-8\)"):
        files.read_text(path)
    path.write_text("ä", encoding="utf-8-sig")  # with the mark that Windows puts first
    assert files.read_text(path) == "ä"


def test_what_another_users_process_is_writing_is_not_swept(tmp_path, monkeypatch):
    def kill(process, signal):
        assert (process, signal) == (4711, 0)
        raise PermissionError

    monkeypatch.setattr(os, "kill", kill)
    (tmp_path / ".scores.4711.npy").write_text("half")
    files.remove_litter(tmp_path)
    assert (tmp_path / ".scores.4711.npy").read_text() == "half"


def test_json_has_no_nan_however_deep():
    value = {"a": (1.5, math.nan), "b": [math.inf, {"c": -math.inf, "d": "NaN"}], "e": 3}
    expected = {"a": [1.5, None], "b": [None, {"c": None, "d": "NaN"}], "e": 3}
    assert files.without_nan(value) == expected


def test_seeds_may_be_a_span_and_others_but_not_too_many():
    assert parse_seeds("0-4,7") == (0, 1, 2, 3, 4, 7) == parse_seeds([0, 1, "2-4", 7])
    assert len(parse_seeds("1-1000")) == 1000
    for wrong in ("0-1000", "0-99999999999999", "3-1", "0-4,4"):
        with pytest.raises(UserError, match="are not different whole numbers"):
            parse_seeds(wrong)
