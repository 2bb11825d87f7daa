"""Builds the C++ kernels beside the Python package. All else is in pyproject.toml.

The kernels are plain C++ without torch's headers, so that they build in seconds, in pip's
isolated environment, and fit every release of torch. They are optional: without a compiler the
package installs all the same, and the torch code that they replace is used.
"""

import platform
from pathlib import Path

from setuptools import Extension, setup

KERNELS = Path("mail_policy/kernels")
# One library per instruction set and source; `mail_policy.kernels.library` loads the best one
# that this machine has. Levels: https://gitlab.com/x86-psABIs/x86-64-ABI
X86_TARGETS = {"avx512": ["-march=x86-64-v4"], "avx2": ["-march=x86-64-v3"]}
TARGETS = X86_TARGETS if platform.machine() in ("x86_64", "AMD64") else {"generic": []}
# No -ffast-math: a NaN must stay one, so that it is noticed before it moves an arm.
FLAGS = ["-std=c++17", "-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"]

setup(
    ext_modules=[
        Extension(
            f"mail_policy.kernels._{source.stem}_{target}",
            [str(source)],
            depends=[str(header) for header in sorted(KERNELS.glob("*.hpp"))],
            extra_compile_args=[*FLAGS, *flags],
            language="c++",
            optional=True,
        )
        for source in sorted(KERNELS.glob("*.cpp"))
        for target, flags in TARGETS.items()
    ]
)
