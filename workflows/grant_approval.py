"""What a team is asked when a reward would exceed a budget."""

from workflows.forms import Form


class GrantApproval(Form):
    """A reward would exceed a budget. Is the player to get it all the same?"""

    give: bool
