"""Every flow is an attribute of ``flows.running``, by which a deployment finds it."""

import pytest

from flows import running
from flows.declarations import FLOWS
from gpt_core.config import PRESETS


@pytest.mark.parametrize("name", FLOWS)
def test_a_deployment_finds_each_flow_with_its_whole_form(name: str) -> None:
    flow = getattr(running, name.replace("-", "_"))
    assert (flow.name, flow.__module__) == (name, "flows.running")
    form = flow.parameters.definitions["FlowConfig"]
    assert list(form["properties"]) == ["name", *FLOWS[name].form_sections]
    assert form["additionalProperties"] is False
    assert list(flow.parameters.properties) == ["preset", "settings", "config"]
    assert flow.parameters.properties["preset"]["anyOf"][0]["enum"] == list(PRESETS)


def test_another_attribute_is_an_error() -> None:
    with pytest.raises(AttributeError, match="there is no flow fly"):
        running.fly  # noqa: B018
