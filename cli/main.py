"""Entry point of the command line: `covidctnet`."""

import sys

import typer

from cli.console import complain
from covidctnet.errors import CovidCTNetError, PipelineError, TrainingInterruptedError

REFUSED = 3
"""Exit code for input that is refused with a reason."""

FAILED = 1
"""Exit code for what failed for no fault of the input."""

INTERRUPTED = 143
"""Exit code after SIGTERM, as a shell gives it."""

app = typer.Typer(
    name="covidctnet",
    help="Train and serve CovidCTNet, chest-CT triage. Research use only, not a medical device.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _register() -> None:
    from cli import (
        cohort,
        data,
        demo,
        deploy,
        doctor,
        experiment,
        experiment_readers,
        explain,
        model,
        model_promotion,
        model_webhook,
        pipeline,
        predict,
        profile,
        retrain,
        serve,
        stack,
        train,
    )

    app.command("demo")(demo.demo)
    app.command("deploy")(deploy.deploy)
    app.command("doctor")(doctor.doctor)
    app.command("explain")(explain.explain)
    app.command("predict")(predict.predict)
    app.command("retrain")(retrain.retrain)
    app.command("serve")(serve.serve)
    app.command("train")(train.train)
    app.command("up")(stack.up)
    app.command("down")(stack.down)
    app.command("status")(stack.status)
    app.command("backup")(stack.backup)
    app.command("restore")(stack.restore)
    app.add_typer(cohort.app, name="cohort")
    app.add_typer(data.app, name="data")
    experiment_readers.add_commands(experiment.app)
    app.add_typer(experiment.app, name="experiment")
    model_promotion.add_commands(model.app)
    model.app.command("receive")(model_webhook.receive)
    app.add_typer(model.app, name="model")
    app.add_typer(model.tracking, name="tracking")
    app.add_typer(pipeline.app, name="pipeline")
    app.add_typer(profile.app, name="profile")


_register()


def main() -> None:
    """Run the command line; refused input ends with exit code 3 and one line."""
    try:
        app()
    except TrainingInterruptedError as error:
        complain(str(error))
        sys.exit(INTERRUPTED)
    except PipelineError as error:
        complain(str(error))
        sys.exit(FAILED)
    except CovidCTNetError as error:
        complain(f"{type(error).__name__}: {error}")
        sys.exit(REFUSED)
    except OSError as error:
        complain(f"the system refused: {error.strerror or type(error).__name__}")
        sys.exit(1)
