"""Pages of this package, filled in: whatever is put into them is escaped, and a name that is missing is an error."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Template


def load_template(name: str) -> "Template":
    """A page by its file name."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("covidctnet.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
    return environment.get_template(name)
