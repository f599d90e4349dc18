#!/usr/bin/env python3
"""Tests of `tests/house` on small crates with known counts."""
import importlib.machinery
import importlib.util
import io
import pathlib
import subprocess
import tempfile
import unittest
from contextlib import redirect_stderr, redirect_stdout

SCRIPT = pathlib.Path(__file__).resolve().with_name("house")
LOADER = importlib.machinery.SourceFileLoader("house", str(SCRIPT))
house = importlib.util.module_from_spec(importlib.util.spec_from_loader("house", LOADER))
LOADER.exec_module(house)

RULES = """[ceilings]
one_word_types = {types}
one_word_percent = 100
duplicate_types = 0
circles = 0
modules_in_circles = 0
functions_over_60 = 0
files_over_500 = 0
files_over_600 = 0
short_docs = 0
what_openings = 0
longest_line = 100
[terms]
rfc9499 = ["Zone"]
[duplicates]
"""


class HouseTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.directory = pathlib.Path(temporary.name)

    def write(self, **files):
        """Writes the crate `sample`; `a__b` is `src/a/b.rs`."""
        (self.directory / "src").mkdir(exist_ok=True)
        (self.directory / "Cargo.toml").write_text('[package]\nname = "sample"\n')
        for name, text in files.items():
            path = self.directory / "src" / f"{name.replace('__', '/')}.rs"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    def measure(self, **settings):
        return house.House(self.directory, **settings)

    def circles(self, **files):
        self.write(**files)
        return [text for _, _, text in self.measure().findings("circles")]

    def test_counts_public_types_of_one_word_outside_the_terms(self):
        self.write(lib="pub struct Desk;\npub(crate) enum Zone { A }\npub trait AnswerScratch {}\nstruct Hidden;\npub(super) type Rrset = u8;\n")
        found = self.measure(terms=["Zone"])
        self.assertEqual([text for _, _, text in found.findings("one_word_types")], ["Desk", "Rrset"])
        self.assertEqual(found.measures()["one_word_percent"], 50)

    def test_does_not_count_what_stands_in_comments_strings_and_guarded_tests(self):
        text = '// pub struct InComment;\nconst S: &str = "pub struct Quoted;";\nconst R: &str = r#"pub struct "Raw;"#;\n/* /* */ pub struct Block; */\n'
        text += "const C: char = '\"'; pub struct Seen<'a>(&'a u8);\n#[cfg(test)]\nmod tests { pub struct Tested; }\n#[cfg(test)]\nmod more;\n"
        self.write(lib=text, more="pub struct More;\n")
        self.assertEqual([text for _, _, text in self.measure().findings("one_word_types")], ["Seen"])

    def test_counts_a_public_name_in_two_files_once_unless_it_is_an_exception(self):
        self.write(lib="mod a;\nmod b;\n", a="pub struct TheKey;\npub struct OtherKey;\n", b="pub enum TheKey {}\npub enum OtherKey {}\n")
        self.assertEqual(self.measure(exceptions=["OtherKey"]).measures()["duplicate_types"], 1)
        self.assertEqual(self.measure().measures()["duplicate_types"], 2)

    def test_finds_a_circle_by_use_and_by_a_full_path(self):
        found = self.circles(lib="mod a;\nmod b;\nmod c;\n", a="use crate::{c::Z, b::{self, X as Other}};\n", b="pub struct X;\nfn f() { crate::a::g(); }\n", c="")
        self.assertEqual(found, ["sample::a sample::b"])

    def test_follows_reexports_to_the_module_that_defines_the_item(self):
        found = self.circles(
            lib="mod a;\nmod b;\npub use b::X;\npub use a::*;\n", a="use crate::X;\npub fn g() {}\n", b="pub struct X;\nfn f() { super::g(); }\n"
        )
        self.assertEqual(found, ["sample::a sample::b"])

    def test_follows_a_module_that_was_imported_by_name(self):
        found = self.circles(lib="mod a;\nmod b;\n", a="use super::b as other;\nfn f() { other::g() }\n", b="pub fn g() { super::a::f() }\n")
        self.assertEqual(found, ["sample::a sample::b"])

    def test_does_not_count_parent_and_child(self):
        found = self.circles(lib="mod a;\npub struct Root;\nuse a::b::X;\n", a="pub mod b;\npub use b::X;\npub struct Y;\n", a__b="use super::Y;\npub struct X;\nuse crate::Root;\n")
        self.assertEqual(found, [])

    def test_counts_a_circle_that_passes_through_a_child_of_another_folder(self):
        found = self.circles(lib="mod a;\nmod c;\n", a="pub mod b;\nuse crate::c::Z;\n", a__b="pub struct X;\n", c="use crate::a::b::X;\npub struct Z;\n")
        self.assertEqual(found, ["sample::a sample::c"])

    def test_names_the_imports_that_hold_a_circle_together(self):
        self.circles(lib="mod a;\nmod b;\n", a="\nuse crate::b::X;\npub struct Y;\n", b="use crate::a::Y;\npub struct X;\n")
        edges = self.measure().findings("circle_edges")
        self.assertIn(("src/a.rs", 2, "sample::a needs sample::b: crate::b::X"), edges)
        self.assertEqual(len(edges), 2)

    def test_knows_modules_inside_a_file(self):
        found = self.circles(lib="mod a { pub struct X; fn f() { super::b::g() } }\nmod b { use super::a::X; pub fn g() {} }\n")
        self.assertEqual(found, ["sample::a sample::b"])

    def test_counts_functions_over_sixty_lines_and_long_files(self):
        body = lambda lines: "fn f() {\n" + "    g();\n" * (lines - 2) + "}\n"
        self.write(lib="mod a;\nmod b;\n", a=body(60), b=body(61) + "//\n" * 440)
        measures = self.measure().measures()
        self.assertEqual((measures["functions_over_60"], measures["files_over_500"], measures["files_over_600"]), (1, 1, 0))

    def test_counts_short_docs_and_comments_that_open_with_what(self):
        self.write(lib="/// Yes.\nfn a() {}\n\n/// Two\n/// lines.\nfn b() {}\n\n/// Three whole words.\nfn c() {}\n// What it does.\n//! Whoever asks for it.\n// Whatever.\n")
        measures = self.measure().measures()
        self.assertEqual((measures["short_docs"], measures["what_openings"]), (1, 2))

    def compare(self, types):
        rules = self.directory / "rules.toml"
        rules.write_text(RULES.format(types=types))
        output = io.StringIO()
        with redirect_stderr(output), redirect_stdout(output):
            right = house.compare(self.measure(), rules, {})
        return right, output.getvalue()

    def test_names_the_file_that_raised_a_measure_above_its_ceiling(self):
        self.write(lib="mod desk;\n", desk="\npub struct Desk;\n")
        right, output = self.compare(types=0)
        self.assertFalse(right)
        self.assertIn("one_word_types: 1, at most 0 allowed\n  src/desk.rs:2: Desk\n", output)
        self.assertTrue(self.compare(types=1)[0])

    def test_names_only_new_findings_when_the_history_is_known_and_refuses_a_raised_ceiling(self):
        self.write(lib="pub struct Old;\n")
        self.compare(types=1)
        git = lambda *words: subprocess.run(["git", "-C", self.directory, "-c", "user.name=t", "-c", "user.email=t@contoso.com", *words], check=True, capture_output=True)
        git("init", "-q")
        git("add", ".")
        git("commit", "-q", "-m", "First")
        self.addCleanup(setattr, house, "ROOT", house.ROOT)
        house.ROOT = self.directory.resolve()
        self.write(lib="pub struct Old;\npub struct New;\n")
        right, output = self.compare(types=1)
        self.assertFalse(right)
        self.assertIn("src/lib.rs:2: New", output)
        self.assertNotIn("Old", output)
        right, output = self.compare(types=2)
        self.assertFalse(right)
        self.assertIn("the ceiling of one_word_types was raised from 1 to 2", output)

    def test_lowers_a_ceiling_and_never_raises_one(self):
        self.write(lib="pub struct Desk;\n")
        rules = self.directory / "rules.toml"
        rules.write_text(RULES.format(types=7))
        house.lower(self.measure(), rules)
        self.assertIn("one_word_types = 1\n", rules.read_text())
        self.assertIn("files_over_500 = 0\n", rules.read_text())


if __name__ == "__main__":
    unittest.main()
