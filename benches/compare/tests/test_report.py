"""What the report makes of results: `python3 -m unittest discover -s benches/compare/tests`."""

import sys
import unittest
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from comparison import figures  # noqa: E402
from comparison import markdown  # noqa: E402
from comparison import options  # noqa: E402
from comparison import page  # noqa: E402
from comparison import plot  # noqa: E402
from comparison.loads import BY_NAME  # noqa: E402
from comparison.main import groups  # noqa: E402

SEED = BY_NAME["seed200"]


def engine(title, **more):
    return {
        "title": title,
        "version": "1.0",
        "missing": None,
        "settings": "none",
        "is_floor": False,
        **more,
    }


def a_run(**engines):
    return {
        "machine": [
            ("date", "today"),
            ("processor", "one <fast>"),
            ("instructions", "-"),
            ("kernel", "6"),
            ("commit", "abc"),
        ],
        "command": "run --quick",
        "repetitions": 3,
        "size": 1,
        "loads": [SEED.name],
        "engines": engines,
    }


def result(name, rate, **more):
    return {
        "engine": name,
        "load": SEED.name,
        "repetition": 1,
        "MB_per_s": rate,
        "engine_cpu_s_per_GiB": 1.0,
        **more,
    }


BOTH = a_run(coreswarm=engine("coreswarm"), other=engine("other & sons"))
RESULTS = [result("coreswarm", rate) for rate in (900, 3000, 1000)] + [
    result("other", 500),
    result("other", 300),
]


class Figures(unittest.TestCase):
    def test_a_median_is_of_all_repetitions_and_no_outlier(self):
        ours, other = figures.cells(SEED, BOTH, RESULTS)
        self.assertEqual(ours.median(SEED.metrics[0]), 1000)
        self.assertEqual(other.median(SEED.metrics[0]), 400)

    def test_an_advantage_is_above_one_when_we_do_more_or_need_less(self):
        rate, cost = SEED.metrics[:2]
        self.assertEqual(figures.advantage(rate, 1000, 500), 2)
        self.assertEqual(figures.advantage(cost, 0.25, 0.5), 2)
        self.assertIsNone(figures.advantage(rate, 1000, None))
        self.assertIsNone(figures.advantage(cost, 0.0, 0.5))

    def test_an_engine_that_is_missing_or_failed_says_why(self):
        run = a_run(
            coreswarm=engine("coreswarm"), gone=engine("gone", missing="no gone on the PATH")
        )
        _, gone = figures.cells(SEED, run, RESULTS)
        self.assertEqual(gone.notes, ["not run: no gone on the PATH"])
        failed = [
            result("other", 5),
            {"engine": "other", "load": SEED.name, "repetition": 2, "failure": "it ended"},
        ]
        _, other = figures.cells(SEED, BOTH, failed)
        self.assertEqual(other.notes, ["failed 1 of 2 times: it ended"])
        self.assertEqual(other.median(SEED.metrics[0]), 5)

    def test_results_that_are_unfair_are_labelled(self):
        doubtful = result(
            "other", 5, connections=200, connections_served=128, generator_busy_percent=99.0
        )
        notes = figures.cells(SEED, BOTH, [doubtful, doubtful])[1].notes
        self.assertEqual(
            notes,
            [
                "only 128 of 200 connections were served",
                "the load generator's core was full: the engine could do more",
            ],
        )
        self.assertEqual(list(figures.doubts(result("other", 5, pieces_wrong=0, torrents=1))), [])
        few = {"torrents_ready": 3, "torrents_wanted": 9}
        self.assertIn("only 3 of 9 torrents", next(figures.doubts(few)))


class Documents(unittest.TestCase):
    def test_markdown_has_one_row_per_engine_with_as_many_cells_as_its_head(self):
        text = markdown.render(BOTH, RESULTS, [SEED])
        table = text.split("## Seeding")[1]
        rows = [line for line in table.splitlines() if line.startswith("|")]
        self.assertEqual(len(rows), 4)
        self.assertEqual({line.count("|") for line in rows}, {rows[0].count("|")})
        self.assertIn("| other & sons | 400 | 2.50× |", text)

    def test_turns_stand_apart_for_each_process(self):
        turns = {"engine": "coreswarm", "load": "turns", "count": 12345, "p50_us": 1, "p99_us": 2}
        turns |= {"p999_us": 700, "max_us": 9000}
        processes = enumerate(["seed10, idle", "download10"])
        said = [{**turns, "of": of, "repetition": at} for at, of in processes]
        text = markdown.render(a_run(), said, [])
        self.assertIn("| seed10, idle (0) | 12,345 | 1 | 2 | 700 | 9,000 |", text)
        self.assertIn("| download10 (1) | 12,345 |", text)
        self.assertNotIn("turns", markdown.render(a_run(), [], []).lower())

    def test_the_page_is_balanced_escaped_and_asks_for_nothing(self):
        text = page.render(BOTH, RESULTS, [SEED])
        self.assertIn("one &lt;fast&gt;", text)
        self.assertNotIn("http://", text.replace("http://www.w3.org", ""))
        for word in ("src=", "@import", "<script", "url("):
            self.assertNotIn(word, text)
        Balance().feed_all(self, text)

    def test_a_page_without_any_result_says_so_in_every_place(self):
        text = page.render(BOTH, [], [SEED])
        self.assertGreaterEqual(text.count("not run"), 4)
        Balance().feed_all(self, text)

    def test_bars_are_as_long_as_their_median_is_large(self):
        metric = SEED.metrics[0]
        drawn = plot.bars(
            metric, [("a", "ours", [100.0, 50.0, 80.0], ""), ("b", "other", [40.0], "")]
        )
        svg = ElementTree.fromstring(drawn[drawn.index("<svg") : drawn.index("</figure>")])
        widths = [float(bar.get("width")) for bar in svg.iter("rect")]
        self.assertAlmostEqual(widths[0] / widths[1], 2, places=1)
        self.assertEqual(len(list(svg.iter("circle"))), 3)

    def test_one_bar_that_is_far_off_is_cut_and_leaves_the_others_room(self):
        cost = SEED.metrics[1]
        entries = [("a", "ours", [0.2], ""), ("b", "other", [0.4], ""), ("c", "other", [9.0], "")]
        drawn = plot.bars(cost, entries)
        svg = ElementTree.fromstring(drawn[drawn.index("<svg") : drawn.index("</figure>")])
        widths = [float(bar.get("width")) for bar in svg.iter("rect")]
        self.assertGreater(widths[1], widths[2] / 5)
        self.assertEqual(len(list(svg.iter("path"))), 1)
        self.assertIn(">9.000<", drawn)

    def test_ticks_are_round_and_never_above_the_largest_value(self):
        self.assertEqual(plot.ticks(2496), [0, 500, 1000, 1500, 2000])
        self.assertEqual(plot.ticks(0.5), [0, 0.1, 0.2, 0.30000000000000004, 0.4, 0.5])
        self.assertEqual(plot.ticks(0), [0])

    def test_labels_of_curves_do_not_lie_on_each_other(self):
        placed = [y for _, y in plot.spaced([(10, "a"), (11, "b"), (60, "c")])]
        self.assertEqual(placed, [10, 25, 60])


class Schedule(unittest.TestCase):
    def test_loads_of_one_process_stand_together_in_the_order_that_memory_needs(self):
        loads = ["seed50", "download10", "idle", "check", "torrents"]
        self.assertEqual(
            groups(loads, has_once=True),
            [["check", "seed50"], ["idle"], ["download10"], ["torrents"]],
        )
        self.assertEqual(groups(loads, has_once=False), [["check", "seed50"], ["download10"]])

    def test_quick_is_small_and_what_is_given_stays(self):
        chosen = options.parse(
            ["--quick", "--size", "64M", "--only", "rqbit,coreswarm", "--loads", "seed50"]
        )
        self.assertEqual((chosen.size, chosen.repetitions), (64 << 20, 1))
        self.assertEqual((chosen.engines, chosen.loads), (["coreswarm", "rqbit"], ["seed50"]))
        self.assertEqual((options.parse([]).size, options.parse([]).repetitions), (4 << 30, 3))


class Balance(HTMLParser):
    """Fails a test when an element is closed that is not open, or stays open."""

    ALONE = ("meta", "line", "rect", "circle", "polyline")

    def feed_all(self, test, text):
        self.test, self.open = test, []
        self.feed(text)
        test.assertEqual(self.open, [])

    def handle_starttag(self, tag, attributes):
        if tag not in self.ALONE:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.ALONE:
            self.test.assertEqual(self.open.pop(), tag)


if __name__ == "__main__":
    unittest.main()
