"""What schemathesis does not send, with the reason."""

import schemathesis


@schemathesis.hook
def filter_query(context, query):
    """The server takes an empty `limit` or `cursor` for an absent one, which the type of a parameter
    cannot say."""
    return not query or all(query.get(name) != "" for name in ("limit", "cursor"))
