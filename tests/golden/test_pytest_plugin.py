"""The pytest plugin in another project; each test runs pytest in a new process."""

import subprocess
import sys

import pytest
from breaker_calls import fail, succeed
from log_files import write_traffic

from recloser import CircuitBreaker, EventLog
from recloser.golden.golden_pairs import GoldenPair, golden_path, update

pytest_plugins = ["pytester"]


@pytest.fixture
def project(pytester, clock, monkeypatch):
    """A project with one test of its own and two recordings with golden files."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    pytester.makeini(
        "[pytest]\ntestpaths = tests\nrecloser_golden = traces\nfilterwarnings = error"
    )
    (pytester.path / "tests").mkdir()
    (pytester.path / "tests" / "test_own.py").write_text("def test_own(): pass\n")
    for name, successes in (("outage", 2), ("relapse", 0)):
        trace = pytester.path / "traces" / name
        with EventLog(trace, clock=clock, tick_seconds=None, seal_seconds=None) as log:
            breaker = CircuitBreaker("pay", log=log)
            clock.advance(seconds=2)
            fail(breaker, 5)
            clock.advance(seconds=30)
            succeed(breaker, successes)
        update(GoldenPair(trace, golden_path(trace)))
    return pytester


def run(project, *arguments):
    return project.runpytest_subprocess("-p", "no:cacheprovider", *arguments)


def golden(project, name="outage"):
    return project.path / "traces" / f"{name}.golden.json"


def edit(path, old='"seq":8,"at":2000000000', new='"seq":8,"at":1999000000'):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def own_test(project, source):
    (project.path / "tests" / "test_own.py").write_text(source)


def test_each_golden_file_is_a_test_among_those_of_the_project(project):
    result = run(project, "-v")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines_random(
        [
            "traces/outage.golden.json::golden PASSED*",
            "traces/relapse.golden.json::golden PASSED*",
            "tests/test_own.py::test_own PASSED*",
        ]
    )


def test_a_failure_shows_the_difference_without_a_traceback(project):
    edit(golden(project))
    result = run(project)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*outage.golden.json: differs",
            "  the histories first differ at seq 7, call_failed of pay at 2.000000000 s, TimeoutError",
            "  pay: edge 1, trip, moved 1.000 ms later",
            "  - 1.999000000 s  CLOSED → OPEN  trip at seq 8: *",
            "  + 2.000000000 s  CLOSED → OPEN  trip at seq 8: *",
            "*if this change is intended, run: pytest --recloser-update",
            "FAILED traces/outage.golden.json::golden*",
        ]
    )
    for line in ("*Traceback*", "*.py:*: *"):
        result.stdout.no_fnmatch_line(line)


def test_a_failure_is_coloured_if_pytest_uses_colours(project):
    edit(golden(project))
    coloured = run(project, "--color=yes").stdout
    coloured.fnmatch_lines(["\x1b[[]31m  - 1.999*", "\x1b[[]32m  + 2.000*"])
    run(project, "--color=no").stdout.no_fnmatch_line("*\x1b*")


def test_golden_files_run_with_xdist(project):
    edit(golden(project))
    result = run(project, "-n", "2")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*outage.golden.json: differs",
            "  pay: edge 1, trip, moved 1.000 ms later",
            "  - 1.999000000 s *",
            "  + 2.000000000 s *",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize("more", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_an_update_rewrites_a_differing_file_and_fails_its_test(project, more):
    """A run that writes a golden file does not count as a check of it."""
    before = golden(project).read_bytes(), golden(project, "relapse").stat().st_mtime_ns
    edit(golden(project))
    result = run(project, "--recloser-update", *more)
    result.assert_outcomes(passed=2, failed=1)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "*outage.golden.json: changed",
            "  pay: edge 1, trip, moved 1.000 ms later",
            "the golden file was written: review the change, then run the tests again",
        ]
    )
    assert golden(project).read_bytes() == before[0]
    assert golden(project, "relapse").stat().st_mtime_ns == before[1]
    run(project, *more).assert_outcomes(passed=3)


def test_a_run_without_the_update_option_writes_nothing(project):
    edit(golden(project))
    before = golden(project).read_bytes()
    run(project)
    assert golden(project).read_bytes() == before


def test_an_update_on_a_ci_server_is_a_usage_error(project, monkeypatch):
    edit(golden(project))
    before = golden(project).read_bytes()
    monkeypatch.setenv("CI", "true")
    result = run(project, "--recloser-update")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --recloser-update: the environment says that this is CI*"])
    assert golden(project).read_bytes() == before


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (
            lambda path: path.write_text("<<<<<<<"),
            "*outage.golden.json: this is not a complete golden file*",
        ),
        (
            lambda path: path.with_name("outage").rename(path.with_name("gone")),
            "*outage.golden.json: its trace is gone*",
        ),
        (
            lambda path: edit(path, "recloser.golden/1", "recloser.golden/9"),
            "*this golden file has version 9; this library reads up to 1: upgrade recloser",
        ),
    ],
    ids=["broken", "unused", "future"],
)
def test_a_golden_file_that_can_not_be_checked_is_a_one_line_failure(project, spoil, line):
    spoil(golden(project))
    result = run(project)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines([line])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_golden_files_outside_the_configured_folders_are_collected_only_by_name(project):
    project.makeini("[pytest]\n")
    run(project).assert_outcomes(passed=1)
    run(project, "traces").assert_outcomes()
    run(project, golden(project)).assert_outcomes(passed=1)


def test_a_run_of_chosen_tests_has_no_golden_files(project):
    run(project, "tests").assert_outcomes(passed=1)
    run(project, "traces").assert_outcomes(passed=2)
    run(project, "-k", "outage").assert_outcomes(passed=1, deselected=2)


def test_golden_files_below_the_tests_are_collected_once(project):
    project.makeini("[pytest]\nrecloser_golden = traces\n")
    run(project).assert_outcomes(passed=3)


def test_the_plugin_can_be_disabled(project):
    project.makeini("[pytest]\nfilterwarnings = error")
    run(project, "-p", "no:recloser").assert_outcomes(passed=1)
    run(project, "-p", "no:recloser", golden(project)).assert_outcomes()


def test_golden_replay_returns_the_history_of_the_golden_file(project):
    own_test(
        project,
        "def test_it(golden_replay):\n"
        "    history = golden_replay('traces/outage')\n"
        "    assert [e.trigger.value for e in history.edges] == ['trip', 'cool', 'recover']\n",
    )
    run(project, "tests").assert_outcomes(passed=1)
    edit(golden(project))
    result = run(project, "tests")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*outage.golden.json: differs", "  - 1.999*", "  + 2.000*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_golden_replay_writes_a_golden_file_when_asked(project):
    """The file stores the settings that the test gives; other settings then fail the test."""
    write_traffic(project.path / "traces" / "calls", "FFFFFF")
    source = (
        "from recloser import CircuitBreakerConfig\n"
        "def test_it(golden_replay):\n"
        "    config = CircuitBreakerConfig(failure_threshold={})\n"
        "    assert golden_replay('traces/calls', config=config).trips()\n"
    )
    own_test(project, source.format(2))
    result = run(project, "tests")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*calls has no golden file; write it with*"])
    run(project, "tests", "--recloser-update").assert_outcomes(failed=1)
    run(project).assert_outcomes(passed=4)
    own_test(project, source.format(3))
    result = run(project, "tests")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["  failure_threshold: 2 became 3"])


def test_manual_clock_only_moves_by_hand_and_times_memory_log(project):
    own_test(
        project,
        "from recloser import CircuitBreaker, replay\n"
        "def test_it(manual_clock, memory_log):\n"
        "    breaker = CircuitBreaker('b', log=memory_log)\n"
        "    for _ in range(5):\n"
        "        breaker.after_failure(breaker.before_call().permit, OSError())\n"
        "    manual_clock.advance(seconds=30)\n"
        "    assert breaker.before_call().reason.value == 'probe'\n"
        "    assert [e.at for e in replay(memory_log).edges] == [0, 30 * 10**9]\n",
    )
    run(project, "tests").assert_outcomes(passed=1)


def test_a_run_without_golden_files_imports_nothing_of_recloser(pytester):
    pytester.makepyfile(
        "import sys\n"
        "def test_it(request):\n"
        "    assert '_recloser_pytest' in sys.modules\n"
        "    assert 'recloser' not in sys.modules\n"
        "    assert request.config.pluginmanager.has_plugin('recloser')\n"
    )
    run(pytester, "-p", "no:hypothesispytest").assert_outcomes(passed=1)


def test_golden_files_do_not_need_hypothesis(project):
    own_test(
        project,
        "import sys\n"
        "def test_it(golden_replay):\n"
        "    golden_replay('traces/outage')\n"
        "    assert 'hypothesis' not in sys.modules\n",
    )
    run(project, "tests", "-p", "no:hypothesispytest").assert_outcomes(passed=1)


def test_the_entry_point_of_pytest_names_the_plugin_module():
    code = (
        "from importlib.metadata import entry_points\n"
        "(found,) = [e for e in entry_points(group='pytest11') if e.name == 'recloser']\n"
        "print(found.value)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "_recloser_pytest\n"
