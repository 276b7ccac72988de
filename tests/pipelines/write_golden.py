"""Write the golden pipeline again after a change that is wanted: `python -m tests.pipelines.write_golden`."""

from pipelines.compilation import compile_pipeline
from pipelines.settings import load_settings
from tests.pipelines.test_compilation import GOLDEN, IMAGE

if __name__ == "__main__":
    compile_pipeline(load_settings("cluster", image=IMAGE), GOLDEN)
