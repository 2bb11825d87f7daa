"""Which SROS2 enclave a process of ours belongs to; see launch/security and SECURITY.md."""

from collections.abc import Mapping

ENABLE_VARIABLE = "ROS_SECURITY_ENABLE"
OVERRIDE_VARIABLE = "ROS_SECURITY_ENCLAVE_OVERRIDE"
_ROOT = "/mail"


def enclave(process: str) -> str:
    """Return the enclave of a process, by its name in the stack; "operator" is mailctl."""
    return f"{_ROOT}/{process}"


def enclave_words(process: str, variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return what the command line of a process needs after `--ros-args`.

    Without security it is nothing: rcl warns about an enclave whose keys nobody asked for.

    Args:
        process: Its name in the stack.
        variables: The environment.
    """
    if variables.get(ENABLE_VARIABLE) != "true":
        return ()
    return ("--enclave", enclave(process))
