"""What all components share.

A component's source is copied alone into the pipeline: everything that it uses is imported in its body, and
annotations must be real objects.
"""

import functools

from kfp import dsl

IMAGE = "covidctnet-python:embedded"
"""Name of the environment where no container runs; a compiled pipeline names an image by its digest instead."""

component = functools.partial(dsl.component, base_image=IMAGE, install_kfp_package=False)
