"""`covidctnet experiment`: the paper's experiments and their report."""

import typer

app = typer.Typer(help="Run the paper's experiments again, and report them.", no_args_is_help=True)
