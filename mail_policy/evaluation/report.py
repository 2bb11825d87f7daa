"""An evaluation as one page of HTML; only videos and their pictures lie beside it."""

import base64
import html
from collections.abc import Sequence
from typing import Any

from mail_policy.evaluation.interval_plot import interval_plot
from mail_policy.evaluation.report_page import PAGE
from mail_policy.evaluation.summary import INTERVAL_OF_TASK
from mail_policy.evaluation.videos import picture_beside

REPORT_NAME = "report.html"
_TIMES = {"inference_ms": "inference [ms]", "steps_to_success": "steps to success"}

Section = dict[str, Any]


def report_page(summary: dict[str, Any]) -> str:
    """Return the page.

    Args:
        summary: As `summarise` returns it, or as read from `summary.json`.
    """
    sections = _sections(summary)
    plot = base64.b64encode(interval_plot(summary)).decode()
    return PAGE.substitute(
        title=_text(summary["task"]),
        robot=_text(summary["robot"]),
        verdicts="".join(f"<p>{_text(verdict_of(section))}</p>" for section in sections.values()),
        comparison=_comparison(summary),
        left_out=_left_out(summary["left_out"]),
        tasks=_task_table(sections),
        plot=f"data:image/png;base64,{plot}",
        times=_time_table(sections),
        failures=_episodes(sections, success=False) or "<p>No episode failed.</p>",
        successes=_episodes(sections, success=True) or "<p>None was filmed.</p>",
        setup=_setup(summary, sections),
    )


def verdict_of(section: Section) -> str:
    """Say in one line how good a policy is."""
    return f"{section['policy']['name']}: {rate_of(section, section['interval_method'])}"


def rate_of(section: Section, method: str = INTERVAL_OF_TASK) -> str:
    """Say how often a policy succeeded, at all or at one task."""
    low, high = section["interval_95"]
    return (
        f"{section['successes']} of {section['episodes']} succeeded, "
        f"{100 * section['success_rate']:.1f} % (95 % interval {100 * low:.1f} to "
        f"{100 * high:.1f}; {method})"
    )


def difference_of(summary: dict[str, Any]) -> str:
    """Say in one line how two policies differ; the summary must have a comparison."""
    found = summary["comparison"]
    low, high = found["interval_95"]
    return (
        f"A ({summary['policy']['name']}) minus B ({summary['against']['policy']['name']}): "
        f"{100 * found['difference']:+.1f} percentage points (95 % interval {100 * low:+.1f} to "
        f"{100 * high:+.1f}; {found['interval_method']}); pairs: both {found['both']}, only A "
        f"{found['only_a']}, only B {found['only_b']}, neither {found['neither']}; McNemar, "
        f"exact and two-sided: p = {found['mcnemar_p']:.3g}"
    )


def _sections(summary: dict[str, Any]) -> dict[str, Section]:
    both = {"A": summary, "B": summary["against"]}
    return {label: section for label, section in both.items() if section}


def _comparison(summary: dict[str, Any]) -> str:
    if summary["comparison"] is None:
        return ""
    return f"<h2>A against B</h2><p>{_text(difference_of(summary))}</p>"


def _left_out(sentences: Sequence[str]) -> str:
    if not sentences:
        return ""
    items = "".join(f"<li>{_text(sentence)}</li>" for sentence in sentences)
    return f"<h2>Left out</h2><p>Tasks that not every policy knows:</p><ul>{items}</ul>"


def _task_table(sections: dict[str, Section]) -> str:
    rows = [
        (
            label,
            task["task"],
            f"{task['successes']} of {task['episodes']}",
            f"{100 * task['success_rate']:.1f}",
            "{:.1f} to {:.1f}".format(*(100 * bound for bound in task["interval_95"])),
        )
        for label, section in sections.items()
        for task in section["tasks"]
    ]
    return _table(rows, ("policy", "task", "successes", "rate [%]", "95 % interval (Wilson)"))


def _time_table(sections: dict[str, Section]) -> str:
    rows = [
        (label, words, *(f"{values[name]:.1f}" for name in ("p50", "p99", "max")))
        for label, section in sections.items()
        for key, words in _TIMES.items()
        if (values := section["timing"][key]) is not None
    ]
    return _table(rows, ("policy", "what", "p50", "p99", "max"))


def _episodes(sections: dict[str, Section], *, success: bool) -> str:
    return "".join(
        _episode(label, task["task"], row)
        for label, section in sections.items()
        for task in section["tasks"]
        for row in task["rows"]
        if row["success"] is success and (row["video"] or not success)
    )


def _episode(label: str, task: str, row: dict[str, Any]) -> str:
    film = ""
    if row["video"]:
        video, picture = _text(row["video"]), _text(picture_beside(row["video"]))
        film = f'<video controls preload="none" poster="{picture}" src="{video}"></video>'
    facts = f"{label}, {task}, seed {row['seed']}, {row['steps']} steps"
    stages = f"; stages done: {', '.join(row['stages'])}" if row["stages"] else ""
    return (
        f"<figure>{film}<figcaption>{_text(facts + stages)}<br><b>{_text(row['failure'])}</b>"
        "</figcaption></figure>"
    )


def _setup(summary: dict[str, Any], sections: dict[str, Section]) -> str:
    rows = [("command", summary["command"]), ("written", summary["created_at"])]
    rows += [
        (f"policy {label}", f"{section['policy']['name']}, sha256 {section['policy']['sha256']}")
        for label, section in sections.items()
    ]
    return _table([*rows, *summary["software"].items(), *summary["machine"].items()])


def _table(rows: Sequence[Sequence[object]], head: Sequence[str] = ()) -> str:
    top = f"<tr>{''.join(f'<th>{_text(name)}</th>' for name in head)}</tr>" if head else ""
    body = "".join(
        f"<tr>{''.join(f'<td>{_text(value)}</td>' for value in row)}</tr>" for row in rows
    )
    return f"<table>{top}{body}</table>"


def _text(value: object) -> str:
    return html.escape(str(value))
