"""The manual of templates lists what is shipped."""

import re

from tests.unit.test_templates import CATALOGUE, SHIPPED


def test_the_manual_lists_what_is_shipped() -> None:
    manual = (SHIPPED.parent / "docs" / "templates.md").read_text(encoding="utf-8")
    filled_in = {"first_name", "brand_name", "unsubscribe_url", "answer_url"}
    lines = re.findall(r"^\|(.*)\|$", manual, re.MULTILINE)
    rows = {cells[0].strip(" `"): cells for cells in (line.split("|") for line in lines) if len(cells) == 6}
    for name in CATALOGUE:
        template = CATALOGUE[name]
        required = {variable for channel in template.channels for variable in template.required(channel)} - filled_in
        _, message_class, channels, needed, may, held_back = rows[name]
        assert message_class.strip() == template.message_class
        assert channels.strip() == ", ".join(template.channels)
        assert set(re.findall(r"`(\w+)`", needed)) == required
        assert set(re.findall(r"`(\w+)`", may)) == set(template.variables) - required - filled_in
        assert (held_back.strip() == "active today") == template.suppress_if_active_today
