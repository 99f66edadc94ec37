"""Several problems as one error."""

from __future__ import annotations

from spdbuild.errors import Location, Problem, SourceError


def test_problems_of_several_files_are_told_file_by_file() -> None:
    places = [("b.yaml", 7, 1), ("a.yaml", 3, 5), ("b.yaml", 2, 9), ("a.yaml", 3, 2)]
    problems = [Problem(f"{file}:{line}:{column}", Location(file, line, column)) for file, line, column in places]
    gathered = SourceError.gather([*problems, Problem("nowhere"), problems[0]]).problems
    assert [p.message for p in gathered] == ["nowhere", "b.yaml:2:9", "b.yaml:7:1", "a.yaml:3:2", "a.yaml:3:5"]
