"""The kernel against the independent model: after every event both have decided and kept the same."""

from hypothesis import given
from kernel_scripts import check_many_at_once, check_one_by_one, configs, scripts_of
from modelled import Modelled

scripts = scripts_of([1])


@given(configs, scripts)
def test_the_kernel_decides_as_the_model_after_every_event(config, script):
    check_one_by_one(Modelled, config, script)


@given(configs, scripts)
def test_many_rows_at_once_decide_as_the_model(config, script):
    check_many_at_once(Modelled, config, script)
